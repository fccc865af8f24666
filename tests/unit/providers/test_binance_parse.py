"""Binance frames become ticks, and what is wrong with them becomes a reason."""

import gzip
from pathlib import Path
from typing import Any

import orjson
import pytest

from marketstream.domain.market import Tick
from marketstream.domain.outcomes import Reason, Rejected
from marketstream.providers.binance.parse import Reply, Shutdown, parse_frame, read_control

RECEIVED = 1_672_515_782_140_000
TRADE = {
    "e": "aggTrade",
    "E": 1672515782136,
    "s": "BNBBTC",
    "a": 12345,
    "p": "0.001",
    "q": "100",
    "f": 100,
    "l": 105,
    "T": 1672515782135,
    "m": True,
    "M": True,
}
OTHERS: list[dict[str, Any]] = [
    {"e": "trade", "E": 1672515782136, "s": "BNBBTC", "t": 12345, "p": "0.001", "q": "100", "T": 1672515782136},
    {"e": "kline", "E": 1672515782136, "s": "BNBBTC", "k": {"t": 1672515780000, "i": "1m", "x": False}},
    {"e": "depthUpdate", "E": 1672515782136, "s": "BNBBTC", "U": 157, "u": 160, "b": [["0.0024", "10"]], "a": []},
]
DATA = Path(__file__).parents[4] / "shared" / "data"


def combined(data: Any, stream: str = "bnbbtc@aggTrade") -> bytes:
    return orjson.dumps({"stream": stream, "data": data})


def changed(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in (TRADE | fields).items() if value is not None}


def only(raw: bytes) -> Tick | Rejected:
    (outcome,) = parse_frame(raw, RECEIVED)
    return outcome


def test_an_aggregate_trade_becomes_a_tick() -> None:
    tick = only(combined(TRADE))
    assert tick == Tick(
        symbol="BNBBTC",
        price=0.001,
        size=100.0,
        event_time_us=1_672_515_782_135_000,
        received_time_us=RECEIVED,
        provider="binance",
        trade_id="12345",
        sequence=12345,
        asset_class="crypto",
        exchange="binance",
        side="sell",
    )
    assert only(orjson.dumps(TRADE)) == tick
    assert parse_frame(combined(TRADE).decode(), RECEIVED) == [tick]


def test_the_taker_bought_where_the_buyer_is_not_the_maker() -> None:
    tick = only(combined(changed(m=False)))
    assert isinstance(tick, Tick)
    assert tick.side == "buy"


@pytest.mark.parametrize("event", OTHERS)
def test_other_events_are_ignored(event: dict[str, Any]) -> None:
    assert parse_frame(orjson.dumps(event), RECEIVED) == []
    assert parse_frame(combined(event, f"bnbbtc@{event['e']}"), RECEIVED) == []


def test_other_streams_are_ignored_whatever_they_carry() -> None:
    assert parse_frame(combined({"u": 1, "s": "BNBBTC", "b": "1"}, "bnbbtc@bookTicker"), RECEIVED) == []
    assert parse_frame(combined([], "!miniTicker@arr"), RECEIVED) == []


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"p": "-0.001"}, Reason.NON_POSITIVE_PRICE),
        ({"p": "0"}, Reason.NON_POSITIVE_PRICE),
        ({"q": "-1"}, Reason.NEGATIVE_SIZE),
        ({"p": "NaN"}, Reason.NOT_FINITE),
        ({"q": "-Infinity"}, Reason.NOT_FINITE),
        ({"q": "Infinity"}, Reason.NOT_FINITE),
        ({"p": "1e999"}, Reason.NOT_FINITE),
        ({"p": 0.001}, Reason.INVALID_FIELD),
        ({"p": True}, Reason.INVALID_FIELD),
        ({"p": "abc"}, Reason.INVALID_FIELD),
        ({"p": ""}, Reason.INVALID_FIELD),
        ({"p": "1_0"}, Reason.INVALID_FIELD),
        ({"p": "\u0661"}, Reason.INVALID_FIELD),
        ({"m": 1}, Reason.INVALID_FIELD),
        ({"m": None}, Reason.INVALID_FIELD),
        ({"a": "12345"}, Reason.INVALID_FIELD),
        ({"a": -1}, Reason.INVALID_FIELD),
        ({"a": True}, Reason.INVALID_FIELD),
        ({"T": None}, Reason.INVALID_FIELD),
        ({"T": 1672515782135.5}, Reason.INVALID_FIELD),
        ({"T": -1}, Reason.TIME_OUT_OF_RANGE),
        ({"T": 2**60}, Reason.TIME_OUT_OF_RANGE),
        ({"s": ""}, Reason.INVALID_FIELD),
        ({"e": "trade"}, Reason.INVALID_FIELD),
    ],
)
def test_faults_have_reasons(fields: dict[str, Any], reason: Reason) -> None:
    raw = combined(changed(**fields))
    refusal = only(raw)
    assert isinstance(refusal, Rejected)
    assert (refusal.reason, refusal.raw, refusal.provider) == (reason, raw, "binance")


def test_a_token_that_json_lacks_is_refused_as_a_wrong_type() -> None:
    refusal = only(combined(TRADE).replace(b'"0.001"', b"NaN"))
    assert isinstance(refusal, Rejected)
    assert refusal.reason is Reason.INVALID_FIELD
    assert refusal.symbol == "BNBBTC"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"garbage",
        b"\xff",
        b"[]",
        b"7",
        b"{}",
        b'{"stream":5,"data":{}}',
        b'{"stream":"bnbbtc@aggTrade"}',
        b'{"e":5}',
        b'{"foo":1}',
        combined(TRADE)[:-1],
        combined(TRADE) + b"x",
        combined(TRADE).replace(b"BNBBTC", b"BNB\xff"),
        b'{"a":' * 500,
    ],
)
def test_what_binance_never_sends_is_malformed(raw: bytes) -> None:
    refusal = only(raw)
    assert isinstance(refusal, Rejected)
    assert (refusal.reason, refusal.raw) == (Reason.MALFORMED, raw)


def test_data_that_is_no_trade_of_its_stream_is_refused() -> None:
    wrong: list[Any] = [None, [], "x", {}]
    for data in wrong:
        refusal = only(combined(data))
        assert isinstance(refusal, Rejected)
        assert refusal.reason is Reason.INVALID_FIELD


@pytest.mark.parametrize(
    ("raw", "control"),
    [
        (b'{"result":null,"id":1}', Reply(None)),
        (b'{"code":2,"msg":"Invalid request"}', Reply("{'code': 2, 'msg': 'Invalid request'}")),
        (b'{"error":{"code":2,"msg":"bad"},"id":1}', Reply("{'code': 2, 'msg': 'bad'}")),
        (b'{"e":"serverShutdown","E":1770123456789}', Shutdown()),
        (b'{"stream":"x","data":{"e":"serverShutdown"}}', Shutdown()),
        (combined(OTHERS[0]), None),
        (b"[]", None),
        (b"x", None),
    ],
)
def test_control_messages_are_told_apart(raw: bytes, control: Reply | Shutdown | None) -> None:
    assert read_control(raw) == control


@pytest.mark.parametrize("raw", [b'{"result":null,"id":1}', b'{"code":2,"msg":"x"}', b'{"e":"serverShutdown"}'])
def test_control_messages_are_no_data(raw: bytes) -> None:
    assert parse_frame(raw, RECEIVED) == []


@pytest.mark.parametrize(
    "name",
    ["binance_spot_frames_20211012.txt.gz", "binance_usdm_frames_20210722.txt.gz"],
)
def test_recorded_frames_are_all_understood(name: str) -> None:
    if not (DATA / name).exists():
        pytest.skip(f"the recording {name} is not in ../shared/data")
    with gzip.open(DATA / name) as recording:
        frames = [line.split(b": ", 1)[1].strip() for line in recording if line[:1].isdigit()]
    outcomes = [outcome for frame in frames for outcome in parse_frame(frame, RECEIVED)]
    expected = [event for event in (orjson.loads(frame)["data"] for frame in frames) if event.get("e") == "aggTrade"]
    assert expected
    assert [
        (tick.symbol, tick.trade_id, tick.price, tick.size, tick.event_time_us, tick.side)
        for tick in outcomes
        if isinstance(tick, Tick)
    ] == [
        (
            event["s"],
            str(event["a"]),
            float(event["p"]),
            float(event["q"]),
            event["T"] * 1_000,
            "sell" if event["m"] else "buy",
        )
        for event in expected
    ]
    assert len(outcomes) == len(expected)

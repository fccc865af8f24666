"""Binance frames become ticks, and what is wrong with them becomes a reason."""

import gzip
from pathlib import Path
from typing import Any

import orjson
import pytest

from marketstream.domain.market import Bar, Quote, Tick
from marketstream.domain.outcomes import Parsed, Reason, Rejected
from marketstream.providers.binance.parse import Reply, Shutdown, parse_frame, read_control
from marketstream.providers.binance_usdm.parse import parse_frame as parse_usdm
from marketstream.providers.symbology import Symbology

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
KLINE = {
    "e": "kline",
    "E": 1672515782136,
    "s": "BNBBTC",
    "k": {
        "t": 1672515780000,
        "T": 1672515839999,
        "s": "BNBBTC",
        "i": "1m",
        "f": 100,
        "L": 200,
        "o": "0.0010",
        "c": "0.0020",
        "h": "0.0025",
        "l": "0.0015",
        "v": "1000",
        "n": 100,
        "x": False,
        "q": "1.0000",
        "V": "500",
        "Q": "0.500",
        "B": "123456",
    },
}
# The documented kline above has an open below its low: no market makes such a bar.
GOOD_KLINE = KLINE | {"k": KLINE["k"] | {"l": "0.0005"}}  # type: ignore[operator]  # a dictionary
BOOK = {
    "u": 400900217,
    "s": "BNBUSDT",
    "b": "25.35190000",
    "B": "31.21000000",
    "a": "25.36520000",
    "A": "40.66000000",
}
USDM_TRADE = {
    "e": "aggTrade",
    "E": 123456789,
    "s": "BTCUSDT",
    "a": 5933014,
    "p": "0.001",
    "q": "100",
    "nq": "100",
    "f": 100,
    "l": 105,
    "T": 123456785,
    "m": True,
    "st": 1,
}
USDM_BOOK = BOOK | {"e": "bookTicker", "E": 1568014460893, "T": 1568014460891, "ps": "BNBUSDT", "st": 1}
OTHERS: list[dict[str, Any]] = [
    orjson.loads(
        b'{"e":"trade","E":1672515782136,"s":"BNBBTC","t":12345,"p":"0.001","q":"100","T":1672515782136,"m":true,"M":true}'
    ),
    orjson.loads(
        b'{"e":"depthUpdate","E":1672515782136,"s":"BNBBTC","U":157,"u":160,"b":[["0.0024","10"]],"a":[["0.0026","100"]]}'
    ),
    {"e": "referencePrice", "s": "BAZUSD", "r": "1.00", "t": 1770313263917},
]
DATA = Path(__file__).parents[4] / "shared" / "data"


def combined(data: Any, stream: str = "bnbbtc@aggTrade") -> bytes:
    return orjson.dumps({"stream": stream, "data": data})


def changed(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in (TRADE | fields).items() if value is not None}


def only(raw: bytes) -> Parsed:
    (outcome,) = parse_frame(raw, RECEIVED)
    return outcome


def kline(**fields: Any) -> dict[str, Any]:
    inner: dict[str, Any] = GOOD_KLINE["k"] | fields  # type: ignore[operator]  # a dictionary
    return GOOD_KLINE | {"k": {name: value for name, value in inner.items() if value is not None}}


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


def test_the_documented_aggregate_trade_happened_when_it_was_told() -> None:
    tick = only(
        b'{"e":"aggTrade","E":1672515782136,"s":"BNBBTC","a":12345,"p":"0.001","q":"100","f":100,"l":105,'
        b'"T":1672515782136,"m":true,"M":true}'
    )
    assert tick == only(orjson.dumps(changed(T=1672515782136)))
    assert isinstance(tick, Tick)
    assert tick.event_time_us == 1_672_515_782_136_000


def test_the_taker_bought_where_the_buyer_is_not_the_maker() -> None:
    tick = only(combined(changed(m=False)))
    assert isinstance(tick, Tick)
    assert tick.side == "buy"


@pytest.mark.parametrize("event", OTHERS)
def test_other_events_are_ignored(event: dict[str, Any]) -> None:
    assert parse_frame(orjson.dumps(event), RECEIVED) == []
    assert parse_frame(combined(event, f"bnbbtc@{event['e']}"), RECEIVED) == []


def test_other_streams_are_ignored_whatever_they_carry() -> None:
    assert parse_frame(combined({"u": 1, "s": "BNBBTC", "b": "1"}, "bnbbtc@depth5@100ms"), RECEIVED) == []
    assert parse_frame(combined([], "!miniTicker@arr"), RECEIVED) == []


def test_spots_best_bid_and_ask_become_a_quote_of_the_moment_they_came() -> None:
    quote = only(combined(BOOK, "bnbusdt@bookTicker"))
    assert quote == Quote(
        symbol="BNBUSDT",
        bid_price=25.3519,
        bid_size=31.21,
        ask_price=25.3652,
        ask_size=40.66,
        event_time_us=RECEIVED,
        received_time_us=RECEIVED,
        provider="binance",
        sequence=400900217,
        asset_class="crypto",
        exchange="binance",
    )
    assert only(orjson.dumps(BOOK)) == quote


def test_futures_quotes_have_their_own_time_and_name() -> None:
    names = Symbology.of("binance_usdm", ["BNBUSDT-PERP"], {}, lambda _symbol, _asset_class: "BNBUSDT")
    (quote,) = parse_usdm(combined(USDM_BOOK, "bnbusdt@bookTicker"), RECEIVED, names)
    assert isinstance(quote, Quote)
    assert (quote.symbol, quote.provider, quote.exchange) == ("BNBUSDT-PERP", "binance_usdm", "binance_usdm")
    assert (quote.event_time_us, quote.received_time_us) == (1_568_014_460_891_000, RECEIVED)
    assert parse_usdm(orjson.dumps(USDM_BOOK), RECEIVED, names) == [quote]


def test_futures_trades_are_spots_with_another_name() -> None:
    (tick,) = parse_usdm(combined(USDM_TRADE, "btcusdt@aggTrade"), RECEIVED)
    assert isinstance(tick, Tick)
    assert (tick.symbol, tick.provider, tick.trade_id, tick.sequence) == ("BTCUSDT", "binance_usdm", "5933014", 5933014)
    assert tick.event_time_us == 123_456_785_000


@pytest.mark.parametrize("side", ["bB", "aA"])
def test_a_book_with_an_empty_side_has_no_quote(side: str) -> None:
    empty = BOOK | dict.fromkeys(side, "0.00000000")
    assert parse_frame(combined(empty, "bnbusdt@bookTicker"), RECEIVED) == []
    assert parse_frame(orjson.dumps(empty), RECEIVED) == []


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"b": "0"}, Reason.NON_POSITIVE_PRICE),
        ({"a": "-1"}, Reason.NON_POSITIVE_PRICE),
        ({"B": "-1"}, Reason.NEGATIVE_SIZE),
        ({"A": "NaN"}, Reason.NOT_FINITE),
        ({"b": "1e999"}, Reason.NOT_FINITE),
        ({"b": 25.3}, Reason.INVALID_FIELD),
        ({"u": None}, Reason.INVALID_FIELD),
        ({"A": "1e20"}, Reason.INVALID_FIELD),
        ({"T": -1}, Reason.TIME_OUT_OF_RANGE),
        ({"T": 631_151_999_999}, Reason.TIME_OUT_OF_RANGE),
        ({"T": RECEIVED // 1_000 + 86_400_001}, Reason.TIME_OUT_OF_RANGE),
    ],
)
def test_faults_of_quotes_have_reasons(fields: dict[str, Any], reason: Reason) -> None:
    raw = combined({name: value for name, value in (BOOK | fields).items() if value is not None}, "x@bookTicker")
    refusal = only(raw)
    assert isinstance(refusal, Rejected)
    assert (refusal.reason, refusal.raw, refusal.symbol) == (reason, raw, "BNBUSDT")


def test_a_kline_becomes_a_bar_that_goes_on() -> None:
    bar = only(combined(GOOD_KLINE, "bnbbtc@kline_1m"))
    assert bar == Bar(
        symbol="BNBBTC",
        interval="1min",
        start_us=1_672_515_780_000_000,
        end_us=1_672_515_840_000_000,
        open=0.001,
        high=0.0025,
        low=0.0005,
        close=0.002,
        volume=1_000.0,
        vwap=0.001,
        trade_count=100,
        last_event_time_us=1_672_515_782_136_000,
        last_received_time_us=RECEIVED,
        final=False,
        revision=RECEIVED,
        provider="binance",
    )
    assert only(orjson.dumps(GOOD_KLINE)) == bar


def test_a_closed_kline_is_final_and_covers_its_whole_minute() -> None:
    bar = only(combined(kline(x=True), "bnbbtc@kline_1m"))
    assert isinstance(bar, Bar)
    assert (bar.final, bar.last_event_time_us) == (True, 1_672_515_839_999_999)


def test_a_minute_without_trades_has_a_bar_without_an_average() -> None:
    quiet = kline(o="0.002", h="0.002", l="0.002", c="0.002", v="0", q="0", n=0, f=-1, L=-1)
    bar = only(combined(quiet, "bnbbtc@kline_1m"))
    assert isinstance(bar, Bar)
    assert (bar.volume, bar.vwap, bar.trade_count) == (0.0, None, 0)


@pytest.mark.parametrize(("wire", "name"), [("1s", "1s"), ("15m", "15min"), ("1h", "1h"), ("1d", "1d")])
def test_kline_intervals_have_our_names(wire: str, name: str) -> None:
    bar = only(combined(kline(i=wire, t=1672444800000), f"bnbbtc@kline_{wire}"))
    assert isinstance(bar, Bar)
    assert bar.interval == name


@pytest.mark.parametrize("wire", ["3d", "1w", "1M"])
def test_klines_longer_than_a_day_are_ignored(wire: str) -> None:
    assert parse_frame(combined(kline(i=wire), f"bnbbtc@kline_{wire}"), RECEIVED) == []


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"l": "0.0015"}, Reason.INCONSISTENT_BAR),
        ({"h": "0.0019"}, Reason.INCONSISTENT_BAR),
        ({"q": "3.0"}, Reason.INCONSISTENT_BAR),
        ({"q": "0"}, Reason.INCONSISTENT_BAR),
        ({"q": "1e300", "v": "1e-20"}, Reason.INCONSISTENT_BAR),
        ({"o": "0"}, Reason.NON_POSITIVE_PRICE),
        ({"v": "-1"}, Reason.NEGATIVE_SIZE),
        ({"q": "-1"}, Reason.NEGATIVE_SIZE),
        ({"q": "Infinity"}, Reason.NOT_FINITE),
        ({"c": "NaN"}, Reason.NOT_FINITE),
        ({"i": "7m"}, Reason.INVALID_FIELD),
        ({"n": -1}, Reason.INVALID_FIELD),
        ({"x": 1}, Reason.INVALID_FIELD),
        ({"o": None}, Reason.INVALID_FIELD),
        ({"t": 1672515781000}, Reason.INVALID_FIELD),
        ({"t": 1972515780000}, Reason.TIME_OUT_OF_RANGE),
        ({"t": -1}, Reason.TIME_OUT_OF_RANGE),
    ],
)
def test_faults_of_bars_have_reasons(fields: dict[str, Any], reason: Reason) -> None:
    raw = combined(kline(**fields), "bnbbtc@kline_1m")
    refusal = only(raw)
    assert isinstance(refusal, Rejected)
    assert (refusal.reason, refusal.raw, refusal.symbol) == (reason, raw, "BNBBTC")


def test_the_documented_kline_is_refused_for_its_open_below_its_low() -> None:
    refusal = only(combined(KLINE, "bnbbtc@kline_1m"))
    assert isinstance(refusal, Rejected)
    assert refusal.reason is Reason.INCONSISTENT_BAR


def test_an_event_on_another_kinds_stream_is_refused() -> None:
    for data, stream in ((TRADE, "x@bookTicker"), (BOOK, "x@kline_1m"), (GOOD_KLINE, "x@aggTrade")):
        refusal = only(combined(data, stream))
        assert isinstance(refusal, Rejected)
        assert refusal.reason is Reason.INVALID_FIELD


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
    ("name", "parse"),
    [("binance_spot_frames_20211012.txt.gz", parse_frame), ("binance_usdm_frames_20210722.txt.gz", parse_usdm)],
)
def test_recorded_frames_are_all_understood(name: str, parse: Any) -> None:
    if not (DATA / name).exists():
        pytest.skip(f"the recording {name} is not in ../shared/data")
    with gzip.open(DATA / name) as recording:
        frames = [line.split(b": ", 1)[1].strip() for line in recording if line[:1].isdigit()]
    received = 1_640_995_200_000_000
    told = {"aggTrade": trade_facts, "bookTicker": quote_facts, "kline": bar_facts}
    kinds = [frame.split(b'"', 5)[3].split(b"@")[1].split(b"_")[0].decode() for frame in frames]
    assert set(kinds) == {*told, "depth"}
    for frame, kind in zip(frames, kinds, strict=True):
        outcomes = [facts(outcome) for outcome in parse(frame, received)]
        assert outcomes == ([told[kind](orjson.loads(frame)["data"], received)] if kind in told else [])


def facts(outcome: Parsed) -> tuple[Any, ...]:
    match outcome:
        case Tick() as tick:
            return (tick.symbol, tick.trade_id, tick.price, tick.size, tick.event_time_us, tick.side)
        case Quote() as quote:
            sides = (quote.bid_price, quote.bid_size, quote.ask_price, quote.ask_size)
            return (quote.symbol, quote.sequence, *sides, quote.event_time_us)
        case Bar() as bar:
            prices = (bar.open, bar.high, bar.low, bar.close, bar.volume)
            return (bar.symbol, bar.interval, bar.start_us, *prices, bar.trade_count, bar.final)
    return (outcome,)


def trade_facts(data: dict[str, Any], _received: int) -> tuple[Any, ...]:
    side = "sell" if data["m"] else "buy"
    return (data["s"], str(data["a"]), float(data["p"]), float(data["q"]), data["T"] * 1_000, side)


def quote_facts(data: dict[str, Any], received: int) -> tuple[Any, ...]:
    time_us = data["T"] * 1_000 if "T" in data else received
    return (data["s"], data["u"], *(float(data[name]) for name in "bBaA"), time_us)


def bar_facts(data: dict[str, Any], _received: int) -> tuple[Any, ...]:
    inner = data["k"]
    numbers = (float(inner[name]) for name in "ohlcv")
    return (data["s"], "1min", inner["t"] * 1_000, *numbers, inner["n"], inner["x"])

"""FMP frames become ticks, quotes and cancels, and what is wrong with them becomes a reason."""

from typing import Any

import orjson
import pytest

from marketstream.domain.market import Cancel, Quote, Tick
from marketstream.domain.outcomes import Reason, Rejected
from marketstream.providers.fmp.config import FmpConfig
from marketstream.providers.fmp.parse import parse_frame
from marketstream.settings import FmpSettings, Settings

RECEIVED = 1_646_154_954_700_123
TRADE = b'{"s":"aapl","t":1646154954689123456,"type":"T","ap":null,"as":null,"bp":null,"bs":null,"lp":163.58,"ls":100}'
BREAK = TRADE.replace(b'"T"', b'"B"')
QUOTE = b'{"s":"aapl","t":1646154954689,"type":"Q","ap":163.6,"as":300,"bp":163.57,"bs":200,"lp":null,"ls":null}'
ANSWERS = [
    b'{"event":"login","status":200,"message":"Authenticated"}',
    b'{"event":"subscribe","status":200,"message":"Subscribed to: aapl"}',
    b'{"event":"heartbeat","timestamp":1646154954689}',
    b'{"message":"Unauthorized"}',
    b'{"event":"login","status":401,"message":"Connected from another location"}',
]


def changed(frame: bytes, **fields: Any) -> bytes:
    """The frame with some fields set."""
    return orjson.dumps(orjson.loads(frame) | fields)


def without(frame: bytes, *fields: str) -> bytes:
    return orjson.dumps({name: value for name, value in orjson.loads(frame).items() if name not in fields})


def replaced(frame: bytes, old: bytes, new: bytes) -> bytes:
    assert old in frame
    return frame.replace(old, new)


def only(frame: bytes | str) -> Any:
    (outcome,) = parse_frame(frame, RECEIVED)
    return outcome


def refusal(frame: bytes) -> Rejected:
    outcome = only(frame)
    assert isinstance(outcome, Rejected)
    assert (outcome.raw, outcome.provider, outcome.received_time_us) == (frame, "fmp", RECEIVED)
    return outcome


def test_a_trade() -> None:
    assert only(TRADE) == Tick(
        symbol="AAPL",
        price=163.58,
        size=100.0,
        event_time_us=1_646_154_954_689_123,
        received_time_us=RECEIVED,
        provider="fmp",
        trade_id="1646154954689123456:163.58:100.0",
        asset_class="equity",
    )


def test_a_break_names_the_trade_it_cancels() -> None:
    assert only(BREAK) == Cancel(
        symbol="AAPL",
        price=163.58,
        size=100.0,
        event_time_us=1_646_154_954_689_123,
        received_time_us=RECEIVED,
        provider="fmp",
        trade_id=only(TRADE).trade_id,
        asset_class="equity",
    )


def test_a_quote() -> None:
    assert only(QUOTE) == Quote(
        symbol="AAPL",
        bid_price=163.57,
        bid_size=200.0,
        ask_price=163.6,
        ask_size=300.0,
        event_time_us=1_646_154_954_689_000,
        received_time_us=RECEIVED,
        provider="fmp",
        asset_class="equity",
    )
    quote = only(changed(QUOTE, **{"as": None, "bs": None, "e": "binance"}))
    assert (quote.ask_size, quote.bid_size, quote.exchange) == (0.0, 0.0, "binance")


@pytest.mark.parametrize(
    ("time", "event_time_us", "identity"),
    [
        (1646154954, 1_646_154_954_000_000, "1646154954"),
        (1646154954689, 1_646_154_954_689_000, "1646154954689"),
        (1646154954689123456, 1_646_154_954_689_123, "1646154954689123456"),
        (1646154954.689, 1_646_154_954_689_000, "1646154954689000"),
        ("2022-03-01T17:15:54.689Z", 1_646_154_954_689_000, "1646154954689000"),
        ("2022-03-01 12:15:54.689", 1_646_154_954_689_000, "1646154954689000"),
    ],
)
def test_times_come_in_many_ways(time: float | str, event_time_us: int, identity: str) -> None:
    tick, cancel = only(changed(TRADE, t=time)), only(changed(BREAK, t=time))
    assert tick.event_time_us == cancel.event_time_us == event_time_us
    assert tick.trade_id == cancel.trade_id == f"{identity}:163.58:100.0"


def test_symbols_are_canonical_by_the_symbology() -> None:
    endpoint = FmpSettings(websocket_url="wss://x.invalid", rest_url="")
    names = FmpConfig.of(endpoint, Settings(symbols=["BRK.B", "BTCUSD", "EURUSD"])).names
    found = [
        parse_frame(replaced(TRADE, b"aapl", name), RECEIVED, names)[0] for name in (b"brk-b", b"btcusd", b"eurusd")
    ]
    assert [(each.symbol, getattr(each, "asset_class", None)) for each in found] == [
        ("BRK.B", "equity"),
        ("BTCUSD", "crypto"),
        ("EURUSD", "forex"),
    ]


def test_a_frame_sent_again_is_the_same_trade_and_any_difference_another() -> None:
    assert only(TRADE).trade_id == only(b" " + TRADE).trade_id == only(changed(TRADE, e="x")).trade_id
    others = [{"lp": 163.59}, {"ls": 101}, {"t": 1646154954689123457}]
    assert len({only(TRADE).trade_id, *(only(changed(TRADE, **other)).trade_id for other in others)}) == 4


def test_text_spaces_and_unknown_fields_are_taken() -> None:
    assert only(TRADE.decode()) == only(TRADE)
    assert only(replaced(QUOTE, b'"type":"Q"', b'"type" : "Q"')) == only(QUOTE)
    assert only(changed(TRADE, new=["Q"])) == only(TRADE)
    assert only(without(TRADE, "ap", "as", "bp", "bs")) == only(TRADE)


@pytest.mark.parametrize("frame", [*ANSWERS, changed(TRADE, type="X"), changed(TRADE, type="")])
def test_answers_and_other_types_are_ignored(frame: bytes) -> None:
    assert parse_frame(frame, RECEIVED) == []


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (changed(TRADE, lp=-1), Reason.NON_POSITIVE_PRICE),
        (changed(TRADE, lp=0), Reason.NON_POSITIVE_PRICE),
        (changed(TRADE, ls=-1), Reason.NEGATIVE_SIZE),
        (replaced(TRADE, b"163.58", b"NaN"), Reason.NOT_FINITE),
        (replaced(TRADE, b"163.58", b"-1e999"), Reason.NOT_FINITE),
        (changed(TRADE, lp=None), Reason.INVALID_FIELD),
        (changed(TRADE, lp="163.58"), Reason.INVALID_FIELD),
        (changed(TRADE, lp=True), Reason.INVALID_FIELD),
        (changed(TRADE, lp=1e16), Reason.INVALID_FIELD),
        (changed(TRADE, ls=None), Reason.INVALID_FIELD),
        (without(TRADE, "t"), Reason.INVALID_FIELD),
        (changed(TRADE, t=None), Reason.INVALID_FIELD),
        (changed(TRADE, t=True), Reason.INVALID_FIELD),
        (changed(TRADE, t="yesterday"), Reason.INVALID_FIELD),
        (changed(TRADE, t="2022-03-01" + "0" * 100), Reason.INVALID_FIELD),
        (changed(TRADE, t=-1), Reason.TIME_OUT_OF_RANGE),
        (changed(TRADE, t="1969-12-31T00:00:00Z"), Reason.TIME_OUT_OF_RANGE),
        (replaced(TRADE, b"1646154954689123456", b"9" * 30), Reason.TIME_OUT_OF_RANGE),
        (changed(TRADE, s=""), Reason.INVALID_FIELD),
        (changed(TRADE, s=None), Reason.INVALID_FIELD),
        (changed(BREAK, lp=-1), Reason.NON_POSITIVE_PRICE),
        (changed(BREAK, ls=None), Reason.INVALID_FIELD),
        (changed(QUOTE, ap=0), Reason.NON_POSITIVE_PRICE),
        (changed(QUOTE, bs=-1), Reason.NEGATIVE_SIZE),
        (changed(QUOTE, bp=None), Reason.INVALID_FIELD),
        (changed(QUOTE, bp=1e16), Reason.INVALID_FIELD),
        (changed(QUOTE, t=5e-324), Reason.TIME_OUT_OF_RANGE),
        (changed(QUOTE, t=RECEIVED + 86_400_000_001), Reason.TIME_OUT_OF_RANGE),
        (changed(BREAK, t="1989-12-31T23:59:59Z"), Reason.TIME_OUT_OF_RANGE),
        (changed(BREAK, t="2022-03-03T00:00:00Z"), Reason.TIME_OUT_OF_RANGE),
        (without(TRADE, "type"), Reason.MALFORMED),
        (without(TRADE, "s"), Reason.MALFORMED),
        (b'{"message":5}', Reason.MALFORMED),
        (b"[%b]" % TRADE, Reason.MALFORMED),
        (TRADE[:-1], Reason.MALFORMED),
        (b"", Reason.MALFORMED),
        (b"null", Reason.MALFORMED),
        (b"\xff\xfe", Reason.MALFORMED),
        (b"Unauthorized", Reason.MALFORMED),
        (b"[" * 5_000, Reason.MALFORMED),
    ],
)
def test_bad_frames_are_refused(frame: bytes, reason: Reason) -> None:
    assert refusal(frame).reason is reason


def test_a_refusal_names_the_symbol_where_it_can_be_read() -> None:
    assert refusal(changed(TRADE, lp=-1)).symbol == "AAPL"
    assert refusal(b"{}").symbol is None

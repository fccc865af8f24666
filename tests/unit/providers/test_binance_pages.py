"""Pages of Binance's REST API, and what its refusals mean."""

from typing import Any

import orjson
import pytest

from marketstream.domain.errors import Fault
from marketstream.domain.interval import Interval
from marketstream.domain.market import Bar, Tick
from marketstream.domain.outcomes import Reason, Rejected
from marketstream.providers.binance.pages import parse_bars, parse_trades
from marketstream.providers.binance.parse import parse_frame
from marketstream.providers.binance.refusals import find_refusal, subscription_fault
from marketstream.providers.faults import Source

RECEIVED = 1_672_515_782_140_000
SOURCE = Source("binance", RECEIVED)
MINUTE = Interval.parse("1min")
# The documentation's example.
TRADE = {
    "a": 26129,
    "p": "0.01633102",
    "q": "4.70443515",
    "f": 27781,
    "l": 27781,
    "T": 1498793709153,
    "m": True,
    "M": True,
}
# The documentation's example, with times of one minute.
ROW = [
    1499040000000,
    "0.01634790",
    "0.80000000",
    "0.01575800",
    "0.01577100",
    "148976.11427815",
    1499040059999,
    "2434.19055334",
    308,
    "1756.87402397",
    "28.46694368",
    "0",
]


def trades(*elements: Any) -> list[Any]:
    page = parse_trades(orjson.dumps(elements), "BNBBTC", SOURCE)
    assert page is not None
    assert page.size == len(elements)
    return page.outcomes


def bars(*rows: Any, source: Source = SOURCE) -> list[Any]:
    page = parse_bars(orjson.dumps(rows), "BNBBTC", MINUTE, source)
    assert page is not None
    return page.outcomes


def test_a_trade_is_the_streams() -> None:
    streamed = parse_frame(orjson.dumps({"e": "aggTrade", "E": 1, "s": "BNBBTC", **TRADE}), RECEIVED)
    assert trades(TRADE) == streamed
    (tick,) = trades(TRADE | {"M": None, "new": 1})
    assert tick == streamed[0]
    assert isinstance(tick, Tick)
    assert (tick.side, tick.sequence, tick.event_time_us) == ("sell", 26129, 1_498_793_709_153_000)


def test_a_bad_trade_is_refused_alone() -> None:
    good, refused, also_good = trades(TRADE, TRADE | {"a": 26130, "p": "-1"}, TRADE | {"a": 26131})
    assert (good.sequence, also_good.sequence) == (26129, 26131)
    assert isinstance(refused, Rejected)
    assert (refused.reason, refused.symbol) == (Reason.NON_POSITIVE_PRICE, "BNBBTC")
    assert orjson.loads(refused.raw)["a"] == 26130


def test_a_number_whose_trade_was_made_void_is_left_out() -> None:
    void = TRADE | {"a": 26130, "p": "0.00000000", "q": "0.00000000", "f": -1, "l": -1}
    page = parse_trades(orjson.dumps([TRADE, void]), "BNBBTC", SOURCE)
    assert page is not None
    assert [outcome.sequence for outcome in page.outcomes if isinstance(outcome, Tick)] == [26129]
    assert (page.size, page.last, len(page.outcomes)) == (2, 26130, 1)


def test_how_far_a_page_goes_is_known_even_where_its_last_element_is_bad() -> None:
    page = parse_trades(orjson.dumps([TRADE, {"a": 26200}, "x", None]), "BNBBTC", SOURCE)
    assert page is not None
    assert (page.size, page.last) == (4, 26200)
    page = parse_trades(b'[{"b":1}]', "BNBBTC", SOURCE)
    assert page is not None
    assert page.last is None


@pytest.mark.parametrize("body", [b"", b"{}", b'{"code":-1}', b"[", b"null", b"<html>"])
def test_what_is_no_array_is_no_page(body: bytes) -> None:
    assert parse_trades(body, "BNBBTC", SOURCE) is None
    assert parse_bars(body, "BNBBTC", MINUTE, SOURCE) is None


def test_an_empty_page() -> None:
    page = parse_trades(b"[]", "BNBBTC", SOURCE)
    assert page is not None
    assert (page.outcomes, page.size, page.last) == ([], 0, None)


def test_a_row_becomes_a_final_bar() -> None:
    assert bars(ROW) == [
        Bar(
            symbol="BNBBTC",
            interval="1min",
            start_us=1_499_040_000_000_000,
            end_us=1_499_040_060_000_000,
            open=0.0163479,
            high=0.8,
            low=0.015758,
            close=0.015771,
            volume=148976.11427815,
            vwap=2434.19055334 / 148976.11427815,
            trade_count=308,
            last_event_time_us=1_499_040_059_999_999,
            last_received_time_us=RECEIVED,
            final=True,
            revision=RECEIVED,
            provider="binance",
        )
    ]


@pytest.mark.parametrize(("seconds", "final"), [(30, False), (60, False), (61, False), (62, True)])
def test_a_bar_is_final_once_it_has_settled(seconds: int, final: bool) -> None:
    (bar,) = bars(ROW, source=Source("binance", 1_499_040_000_000_000 + seconds * 1_000_000))
    assert bar.final is final


@pytest.mark.parametrize(
    ("position", "value", "reason"),
    [
        (1, "0", Reason.NON_POSITIVE_PRICE),
        (2, "0.01", Reason.INCONSISTENT_BAR),
        (3, 0.01, Reason.INVALID_FIELD),
        (5, "-1", Reason.NEGATIVE_SIZE),
        (5, "NaN", Reason.NOT_FINITE),
        (7, "-1", Reason.NEGATIVE_SIZE),
        (8, "1", Reason.INVALID_FIELD),
        (0, -1, Reason.TIME_OUT_OF_RANGE),
        (0, 1499040000001, Reason.INVALID_FIELD),
    ],
)
def test_faults_of_rows_have_reasons(position: int, value: Any, reason: Reason) -> None:
    row = [*ROW[:position], value, *ROW[position + 1 :]]
    (refusal,) = bars(row)
    assert isinstance(refusal, Rejected)
    assert (refusal.reason, refusal.raw) == (reason, orjson.dumps(row))


@pytest.mark.parametrize("row", [[], ROW[:8], {}, "x", None])
def test_what_is_no_row_is_refused(row: Any) -> None:
    good, refusal = bars(ROW, row)
    assert isinstance(good, Bar)
    assert isinstance(refusal, Rejected)


@pytest.mark.parametrize(
    ("status", "body", "fault"),
    [
        (400, b'{"code":-1121,"msg":"Invalid symbol."}', Fault.UNKNOWN_SYMBOL),
        (400, b'{"code":-1100,"msg":"Illegal characters found in parameter \'symbol\'"}', Fault.UNKNOWN_SYMBOL),
        (400, b'{"code":-1100,"msg":"Illegal characters found in parameter \'limit\'"}', Fault.PROTOCOL),
        (400, b'{"code":-1120,"msg":"Invalid interval."}', Fault.UNSUPPORTED),
        (400, b'{"code":-1127,"msg":"More than 1 hours between startTime and endTime."}', Fault.PROTOCOL),
        (400, b'{"code":-1003,"msg":"Too many requests"}', Fault.BURST_LIMIT),
        (400, b'{"code":"-1121"}', Fault.PROTOCOL),
        (400, b"[]", Fault.PROTOCOL),
        (401, b'{"code":-2015,"msg":"Invalid API-key"}', Fault.BAD_KEY),
        (403, b"<html>WAF</html>", Fault.BANNED),
        (404, b"", Fault.PROTOCOL),
        (418, b"", Fault.BANNED),
        (429, b'{"code":-1003,"msg":"Too much request weight used"}', Fault.BURST_LIMIT),
        (451, b'{"code":0,"msg":"Service unavailable from a restricted location"}', Fault.PLAN),
        (500, b"", Fault.NETWORK),
        (503, b'{"code":-1008,"msg":"Server is currently overloaded"}', Fault.NETWORK),
    ],
)
def test_refusals_mean_what_binance_says(status: int, body: bytes, fault: Fault) -> None:
    refusal = find_refusal(status, {}, body)
    assert refusal is not None
    assert (refusal.fault, refusal.retry_after_seconds) == (fault, None)
    assert str(status) in refusal.message


def test_success_is_no_refusal() -> None:
    assert find_refusal(200, {}, b'{"code":-1121}') is None


def test_how_long_to_wait() -> None:
    body = b'{"code":-1003,"msg":"Way too much request weight used; IP banned until 1700000060000. Please use ..."}'
    date = {"date": "Tue, 14 Nov 2023 22:13:20 GMT"}
    for headers, wait in (({"retry-after": "7"} | date, 7.0), (date, 60.0), ({}, None), ({"date": "x"}, None)):
        refusal = find_refusal(429, headers, body)
        assert refusal is not None
        assert (refusal.fault, refusal.retry_after_seconds) == (Fault.BANNED, wait)


def test_errors_over_the_socket() -> None:
    assert subscription_fault("{'code': 2, 'msg': 'Invalid request: unknown variant'}") is Fault.UNSUPPORTED
    assert subscription_fault("{'code': 2, 'msg': 'Invalid symbol'}") is Fault.UNKNOWN_SYMBOL

"""Finazon frames and answers become bars, and what is wrong with them becomes a reason or a fault."""

from types import MappingProxyType
from typing import Any

import orjson
import pytest

from marketstream.domain.errors import Fault
from marketstream.domain.interval import Interval
from marketstream.domain.market import Bar
from marketstream.domain.outcomes import Reason, Rejected
from marketstream.providers.finazon.parse import (
    Failure,
    RefusedTicker,
    Subscribed,
    parse_frame,
    parse_series,
    read_control,
)
from marketstream.providers.finazon.refusals import find_refusal
from marketstream.providers.symbology import Symbology

RECEIVED = 1_699_540_051_250_000
BAR = (
    b'{"d":"us_stocks_essential","p":"finazon","ch":"bars","f":"1s","aggr":"1m","s":"AAPL","t":1699540020,'
    b'"o":220.06,"h":220.13,"l":219.92,"c":219.96,"v":4572}'
)
GRANTED = b'{"status":"success","code":"SUCCESS_SUBSCRIPTION","data":[]}'
HEARTBEAT = b'{"event":"heartbeat","status":"success"}'
MINUTE = Interval.parse("1min")


def changed(**fields: Any) -> bytes:
    """The bar with some fields set; None removes one."""
    bar = orjson.loads(BAR) | fields
    return orjson.dumps({name: value for name, value in bar.items() if value is not None})


def only_bar(frame: bytes) -> Bar:
    (bar,) = parse_frame(frame, RECEIVED)
    assert isinstance(bar, Bar)
    return bar


def only_refusal(frame: bytes) -> Rejected:
    (refusal,) = parse_frame(frame, RECEIVED)
    assert isinstance(refusal, Rejected)
    assert (refusal.raw, refusal.provider, refusal.received_time_us) == (frame, "finazon", RECEIVED)
    return refusal


def test_a_bar_covers_what_has_come_so_far_and_is_revised_by_arrival() -> None:
    assert only_bar(BAR) == Bar(
        symbol="AAPL",
        interval="1min",
        start_us=1_699_540_020_000_000,
        end_us=1_699_540_080_000_000,
        open=220.06,
        high=220.13,
        low=219.92,
        close=219.96,
        volume=4_572.0,
        vwap=None,
        trade_count=0,
        last_event_time_us=RECEIVED,
        last_received_time_us=RECEIVED,
        final=False,
        revision=RECEIVED,
        provider="finazon",
    )
    assert parse_frame(BAR.decode(), RECEIVED) == parse_frame(BAR, RECEIVED)


def test_a_bar_that_comes_late_covers_its_span_and_no_more() -> None:
    (bar,) = parse_frame(BAR, RECEIVED + 3_600_000_000)
    assert isinstance(bar, Bar)
    assert bar.last_event_time_us == bar.end_us - 1
    assert not bar.final


@pytest.mark.parametrize(
    ("frequency", "aggregation", "interval", "final"),
    [
        ("1s", "1m", "1min", False),
        ("10s", "1m", "1min", False),
        ("1m", "1m", "1min", True),
        ("1s", "5m", "5min", False),
        ("1m", "5m", "5min", False),
    ],
)
def test_a_bar_sent_as_often_as_it_is_long_is_final(
    frequency: str, aggregation: str, interval: str, final: bool
) -> None:
    bar = only_bar(changed(f=frequency, aggr=aggregation, t=1_699_539_900))
    assert (bar.interval, bar.final) == (interval, final)


@pytest.mark.parametrize("frame", [GRANTED, HEARTBEAT, b'{"ch":"trades","s":"AAPL"}', b'{"status":"error"}'])
def test_answers_heartbeats_and_other_channels_hold_no_bar(frame: bytes) -> None:
    assert parse_frame(frame, RECEIVED) == []


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"o": 0}, Reason.NON_POSITIVE_PRICE),
        ({"l": -1.0}, Reason.NON_POSITIVE_PRICE),
        ({"v": -1}, Reason.NEGATIVE_SIZE),
        ({"h": 200.0}, Reason.INCONSISTENT_BAR),
        ({"l": 221.0, "h": 222.0}, Reason.INCONSISTENT_BAR),
        ({"c": "219.96"}, Reason.INVALID_FIELD),
        ({"c": True}, Reason.INVALID_FIELD),
        ({"c": None}, Reason.INVALID_FIELD),
        ({"h": 1e16}, Reason.INVALID_FIELD),
        ({"aggr": "7m"}, Reason.INVALID_FIELD),
        ({"aggr": None}, Reason.INVALID_FIELD),
        ({"ch": None, "f": None}, Reason.INVALID_FIELD),
        ({"t": 1_699_540_021}, Reason.INVALID_FIELD),
        ({"t": -60}, Reason.TIME_OUT_OF_RANGE),
        ({"t": 60}, Reason.TIME_OUT_OF_RANGE),
        ({"t": 1_699_540_020 + 2 * 86_400}, Reason.TIME_OUT_OF_RANGE),
        ({"t": 2**64}, Reason.TIME_OUT_OF_RANGE),
        ({"t": 1.5}, Reason.INVALID_FIELD),
    ],
)
def test_impossible_bars_are_refused(fields: dict[str, Any], reason: Reason) -> None:
    frame = BAR.replace(b"1699540020", b"1" + b"0" * 30) if fields == {"t": 2**64} else changed(**fields)
    refusal = only_refusal(frame)
    assert refusal.reason is reason, refusal.detail
    assert refusal.symbol == "AAPL"


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity"])
def test_numbers_that_are_none_are_refused(number: bytes) -> None:
    assert only_refusal(BAR.replace(b"220.13", number)).reason is Reason.NOT_FINITE


@pytest.mark.parametrize("frame", [b"", b"{", b"[]", b"[" + BAR + b"]", b"7", b'"bar"', b"\xff", b"{}", b'{"x":1}'])
def test_what_is_no_frame_of_theirs_is_malformed(frame: bytes) -> None:
    assert only_refusal(frame).reason is Reason.MALFORMED


def test_tickers_become_canonical_and_others_are_unknown() -> None:
    names = Symbology(MappingProxyType({"BTCUSDT": "BTC/USDT"}), MappingProxyType({"BTC/USDT": "BTCUSDT"}))
    (bar,) = parse_frame(changed(s="BTC/USDT"), RECEIVED, names)
    assert isinstance(bar, Bar)
    assert bar.symbol == "BTCUSDT"
    (refusal,) = parse_frame(BAR, RECEIVED, names)
    assert isinstance(refusal, Rejected)
    assert (refusal.reason, refusal.symbol) == (Reason.UNKNOWN_SYMBOL, "AAPL")


@pytest.mark.parametrize(
    ("frame", "control"),
    [
        (GRANTED, Subscribed()),
        (HEARTBEAT, None),
        (b'{"status":"error","message":"You are already subscribed to AAPL"}', None),
        (
            b'{"status":"error","message":"The ticker NOPE you have specified is not supported"}',
            RefusedTicker("NOPE", "The ticker NOPE you have specified is not supported"),
        ),
        (
            b'{"status":"error","code":"INVALID_API_KEY","message":"no"}',
            Failure(Fault.BAD_KEY, "no"),
        ),
        (b'{"status":"error","message":"Invalid API key"}', Failure(Fault.BAD_KEY, "Invalid API key")),
        (
            b'{"status":"error","message":"Please upgrade your plan"}',
            Failure(Fault.PLAN, "Please upgrade your plan"),
        ),
        (
            b'{"status":"error","message":"Too many connections"}',
            Failure(Fault.BURST_LIMIT, "Too many connections"),
        ),
        (b'{"status":"error","message":"whatever"}', Failure(Fault.PROTOCOL, "whatever")),
        (b"[1]", None),
        (b"{", None),
    ],
)
def test_answers_are_read(frame: bytes, control: object) -> None:
    assert read_control(frame) == control


def test_an_answers_bars_rise_and_each_stands_for_itself() -> None:
    numbers = {name: value for name, value in orjson.loads(BAR).items() if name in "tohlcv"}
    older = numbers | {"t": numbers["t"] - 60}
    body = orjson.dumps({"data": [numbers, {**numbers, "h": 1.0}, 7, older]})
    newer_bar, older_bar = (only_bar(BAR), only_bar(changed(t=numbers["t"] - 60)))
    outcomes = parse_series(body, RECEIVED, "AAPL", MINUTE)
    assert outcomes[:2] == [older_bar, newer_bar]
    assert [outcome.reason for outcome in outcomes[2:] if isinstance(outcome, Rejected)] == [
        Reason.INCONSISTENT_BAR,
        Reason.MALFORMED,
    ]


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"data":{}}', b'{"data":"x"}'])
def test_an_answer_of_another_shape_is_malformed(body: bytes) -> None:
    (refusal,) = parse_series(body, RECEIVED, "AAPL", MINUTE)
    assert isinstance(refusal, Rejected)
    assert refusal.reason is Reason.MALFORMED


@pytest.mark.parametrize(
    ("status", "code", "message", "fault"),
    [
        (401, "INVALID_API_KEY", "The provided API key is invalid or has expired.", Fault.BAD_KEY),
        (401, "UNAUTHORIZED_ACCESS", "You have insufficient permissions.", Fault.PLAN),
        (429, "API_RATE_LIMIT_EXCEEDED", "You have exceeded the allowed number of API calls.", Fault.BURST_LIMIT),
        (400, "INVALID_TICKER", "The provided ticker is invalid or unsupported.", Fault.UNKNOWN_SYMBOL),
        (400, "INVALID_PARAMETER", "The interval parameter is missing or invalid.", Fault.PROTOCOL),
        (404, "ENDPOINT_NOT_FOUND", "The requested endpoint does not exist.", Fault.UNSUPPORTED),
        (503, "DATA_UNAVAILABLE", "The requested data is temporarily unavailable.", Fault.NETWORK),
        (429, None, "You have used up your API calls per day", Fault.DAILY_QUOTA),
        (402, None, "The traffic is used up", Fault.BANDWIDTH),
        (200, "INVALID_TICKER", "The provided ticker is invalid or unsupported.", Fault.UNKNOWN_SYMBOL),
        (502, None, "", Fault.NETWORK),
    ],
)
def test_refusals_over_rest_are_typed(status: int, code: str | None, message: str, fault: Fault) -> None:
    body = orjson.dumps({"status": "error", "message": message} | ({"code": code} if code else {}))
    refusal = find_refusal(status, {}, body)
    assert refusal is not None
    assert refusal.fault is fault
    assert (refusal.retry_after_seconds is not None) == (fault is Fault.BURST_LIMIT)


def test_what_is_no_json_is_told_by_its_status_and_data_is_no_refusal() -> None:
    gateway = find_refusal(502, {}, b"<html>")
    assert gateway is not None
    assert gateway.fault is Fault.NETWORK
    limited = find_refusal(429, {"retry-after": "7"}, b"")
    assert limited is not None
    assert (limited.fault, limited.retry_after_seconds) == (Fault.BURST_LIMIT, 7.0)
    assert find_refusal(200, {}, b'{"data":[]}') is None

"""Polygon's REST records become what the stream's events are, and its refusals faults."""

from typing import Any

import orjson
import pytest

from marketstream.domain.errors import Fault
from marketstream.domain.interval import Interval
from marketstream.domain.market import Bar, Tick
from marketstream.domain.outcomes import Reason, Rejected
from marketstream.providers.polygon.config import PolygonConfig
from marketstream.providers.polygon.parse import parse_frame
from marketstream.providers.polygon.records import parse_bars, parse_last_trade, parse_trades
from marketstream.providers.polygon.refusals import find_refusal
from marketstream.settings import PolygonSettings, Settings

RECEIVED = 1_577_950_000_000_000
MINUTE = Interval.parse("1min")
STREAMED = (
    b'[{"ev":"T","sym":"MSFT","x":4,"i":"12345","z":3,"p":114.125,"s":100,"c":[0,12],"t":1536036818784,"q":3681328}]'
)
RECORD = {
    "conditions": [0, 12],
    "exchange": 4,
    "id": "12345",
    "participant_timestamp": 1_536_036_818_784_100_000,
    "price": 114.125,
    "sequence_number": 3_681_328,
    "sip_timestamp": 1_536_036_818_784_999_999,
    "size": 100,
    "tape": 3,
}
BARS = (
    b'{"adjusted":true,"next_url":"https://api.massive.com/v2/aggs/x?cursor=1","queryCount":2,"request_id":"6a7e466b",'
    b'"results":[{"c":75.0875,"h":75.15,"l":73.7975,"n":1,"o":74.06,"t":1577941200000,"v":135647456,"vw":74.6099}],'
    b'"resultsCount":2,"status":"OK","ticker":"AAPL"}'
)


def page(*records: Any, **further: Any) -> bytes:
    return orjson.dumps({"results": records, "status": "OK", **further})


def changed(**fields: Any) -> dict[str, Any]:
    """The record with some fields set; None removes one."""
    return {name: value for name, value in (RECORD | fields).items() if value is not None}


def test_a_past_trade_is_the_streamed_one() -> None:
    assert parse_trades(page(RECORD), RECEIVED, "MSFT").outcomes == parse_frame(STREAMED, RECEIVED)


def test_a_trade_of_a_reporting_facility_has_its_streamed_id() -> None:
    (past,) = parse_trades(page(changed(trf_id=201)), RECEIVED, "MSFT").outcomes
    (streamed,) = parse_frame(STREAMED.replace(b'"z":3', b'"z":3,"trfi":201'), RECEIVED)
    assert isinstance(past, Tick)
    assert isinstance(streamed, Tick)
    assert past.trade_id == streamed.trade_id == "4-201-12345"


def test_a_size_with_its_fraction_counts_more() -> None:
    (tick,) = parse_trades(page(changed(size=0, decimal_size="0.25")), RECEIVED, "MSFT").outcomes
    assert isinstance(tick, Tick)
    assert tick.size == 0.25


def test_records_about_trades_are_no_trades_and_corrected_trades_are() -> None:
    records = [changed(correction=code, id=str(code)) for code in (0, 1, 8, 10, 11, 12)]
    outcomes = parse_trades(page(*records), RECEIVED, "MSFT").outcomes
    assert [tick.trade_id for tick in outcomes if isinstance(tick, Tick)] == ["4-0", "4-1", "4-8"]
    assert len(outcomes) == 3


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (changed(price=-1), Reason.NON_POSITIVE_PRICE),
        (changed(size=-1), Reason.NEGATIVE_SIZE),
        (changed(size=None), Reason.INVALID_FIELD),
        (changed(size=None, decimal_size="1e999"), Reason.NOT_FINITE),
        (changed(sip_timestamp=-1), Reason.TIME_OUT_OF_RANGE),
        (changed(id=7), Reason.INVALID_FIELD),
        (changed(conditions=[0] * 33), Reason.INVALID_FIELD),
        ("text", Reason.MALFORMED),
    ],
)
def test_a_bad_record_spoils_no_other(record: Any, reason: Reason) -> None:
    tick, refusal = parse_trades(page(RECORD, record), RECEIVED, "MSFT").outcomes
    assert isinstance(tick, Tick)
    assert isinstance(refusal, Rejected)
    assert (refusal.reason, refusal.symbol, orjson.loads(refusal.raw)) == (reason, "MSFT", record)


@pytest.mark.parametrize("body", [b"", b"[]", b'{"results":5}', b"\xff"])
def test_what_is_no_page_is_refused_whole(body: bytes) -> None:
    parsed = parse_trades(body, RECEIVED, "MSFT")
    (refusal,) = parsed.outcomes
    assert isinstance(refusal, Rejected)
    assert (refusal.reason, refusal.raw, parsed.next_url) == (Reason.MALFORMED, body, None)


def test_an_empty_page_holds_nothing() -> None:
    assert parse_trades(b'{"status":"OK"}', RECEIVED, "MSFT").outcomes == []


def test_past_bars_have_their_average_price_and_count() -> None:
    parsed = parse_bars(BARS, RECEIVED, "AAPL", MINUTE)
    assert parsed.next_url == "https://api.massive.com/v2/aggs/x?cursor=1"
    (bar,) = parsed.outcomes
    assert isinstance(bar, Bar)
    assert (bar.start_us, bar.end_us) == (1_577_941_200_000_000, 1_577_941_260_000_000)
    assert (bar.open, bar.high, bar.low, bar.close, bar.volume) == (74.06, 75.15, 73.7975, 75.0875, 135_647_456.0)
    assert (bar.vwap, bar.trade_count, bar.provider, bar.final) == (74.6099, 1, "polygon", False)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b'"h":75.15', b'"h":7.15', Reason.INCONSISTENT_BAR),
        (b'"vw":74.6099', b'"vw":1e16', Reason.INVALID_FIELD),
    ],
)
def test_a_bar_that_is_none_has_a_reason(old: bytes, new: bytes, reason: Reason) -> None:
    assert old in BARS
    (refusal,) = parse_bars(BARS.replace(old, new), RECEIVED, "AAPL", MINUTE).outcomes
    assert isinstance(refusal, Rejected)
    assert refusal.reason is reason


def test_the_last_trades_time_is_in_whole_milliseconds() -> None:
    answer = {"request_id": "x", "results": {"T": "AAPL", "p": 129.8473, "t": 1_617_901_342_969_834_000}}
    assert parse_last_trade(orjson.dumps(answer)) == 1_617_901_342_969_000
    with pytest.raises(ValueError, match="results"):
        parse_last_trade(b"{}")


UPGRADE = "please wait or upgrade your subscription to continue"


@pytest.mark.parametrize(
    ("status", "body", "fault"),
    [
        (200, {"status": "OK", "results": []}, None),
        (200, {"status": "DELAYED"}, None),
        (200, {"status": "ERROR", "error": "Unknown API Key"}, Fault.BAD_KEY),
        (200, {"status": "NOT_AUTHORIZED", "message": "You are not entitled to this data."}, Fault.PLAN),
        (200, {"status": "ERROR", "error": "something"}, Fault.PROTOCOL),
        (401, {"status": "ERROR", "error": "Unknown API Key"}, Fault.BAD_KEY),
        (403, {"status": "NOT_AUTHORIZED", "message": "You are not entitled to this data."}, Fault.PLAN),
        (403, {"status": "ERROR", "error": "Unknown API Key"}, Fault.BAD_KEY),
        (404, {"status": "NOT_FOUND", "message": "Data not found."}, Fault.UNKNOWN_SYMBOL),
        (429, {"status": "ERROR", "error": f"You've exceeded the maximum requests per minute, {UPGRADE}."}, "burst"),
        (400, {"status": "ERROR", "error": "could not parse"}, Fault.PROTOCOL),
        *((status, "html", "burst") for status in (413, 429, 499)),
        *((status, "html", Fault.NETWORK) for status in (500, 502, 503, 504)),
        (501, "html", Fault.PROTOCOL),
    ],
)
def test_refusals_have_faults(status: int, body: Any, fault: Fault | str | None) -> None:
    refusal = find_refusal(status, {"retry-after": "7"}, orjson.dumps(body))
    expected = Fault.BURST_LIMIT if fault == "burst" else fault
    assert (refusal.fault if refusal else None) is expected
    if refusal is not None:
        waits = expected in (Fault.BURST_LIMIT, Fault.NETWORK)
        assert refusal.retry_after_seconds == (7.0 if waits else None)


def config(channels: list[str], intervals: list[str], symbols: int = 2) -> PolygonConfig:
    settings = Settings(
        symbols=[f"S{number}" for number in range(symbols)],
        ingest={"channels": channels},
        streaming={"intervals": intervals},
    )
    return PolygonConfig.of(PolygonSettings(websocket_url="ws://x", rest_url="http://x", api_key="k"), settings)


@pytest.mark.parametrize(
    ("channels", "intervals", "kinds"),
    [
        (["trades"], ["1s", "1min"], ("T",)),
        (["quotes", "trades"], ["1min"], ("T", "Q")),
        (["bars"], ["1min"], ("AM",)),
        (["bars", "trades"], ["1s", "1min"], ("T", "AM", "A")),
    ],
)
def test_channels_choose_the_events(channels: list[str], intervals: list[str], kinds: tuple[str, ...]) -> None:
    assert config(channels, intervals).kinds == kinds


def test_requests_name_so_many_channels_of_one_kind() -> None:
    requests = config(["trades", "quotes"], ["1min"], symbols=450).requests()
    assert [len(request) for request in requests] == [200, 200, 50] * 2
    assert (requests[0][0], requests[3][0]) == ("T.S0", "Q.S0")

"""Alpha Vantage's answers become bars, and its sentences become faults."""

from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from marketstream.domain.errors import Fault
from marketstream.domain.market import Bar
from marketstream.domain.outcomes import Reason, Rejected
from marketstream.providers.alpha_vantage.parse import parse_answer
from marketstream.providers.alpha_vantage.refusals import refusal_of

RECEIVED = 1_585_080_600_000_000  # 2020-03-24 16:10 in New York
VALUES = {
    "1. open": "148.1400",
    "2. high": "148.3400",
    "3. low": "147.7500",
    "4. close": "148.2500",
    "5. volume": "3813495",
}
META = {
    "1. Information": "Intraday (5min) open, high, low, close prices and volume",
    "2. Symbol": "MSFT",
    "3. Last Refreshed": "2020-03-24 16:00:00",
    "4. Interval": "5min",
    "5. Output Size": "Compact",
    "6. Time Zone": "US/Eastern",
}
QUOTE = (
    b'{"Global Quote":{"01. symbol":"IBM","02. open":"220.0000","03. high":"221.0000","04. low":"219.0000",'
    b'"05. price":"219.99","06. volume":"3766484","07. latest trading day":"2026-09-29",'
    b'"08. previous close":"220.6700","09. change":"-0.6800","10. change percent":"-0.3082%"}}'
)
START = 1_585_080_000_000_000
FIVE = 300_000_000


def answer(series: Mapping[str, Any], **meta: Any) -> bytes:
    return orjson.dumps({"Meta Data": META | meta, "Time Series (5min)": series})


def bars(body: bytes, received_us: int = RECEIVED) -> list[Bar]:
    outcomes = parse_answer(body, received_us)
    assert all(isinstance(outcome, Bar) for outcome in outcomes), outcomes
    return [outcome for outcome in outcomes if isinstance(outcome, Bar)]


def only_refusal(body: bytes) -> Rejected:
    (refusal,) = parse_answer(body, RECEIVED)
    assert isinstance(refusal, Rejected)
    assert (refusal.provider, refusal.received_time_us) == ("alpha_vantage", RECEIVED)
    return refusal


def test_a_bar_is_read_from_text_and_new_yorks_time() -> None:
    assert bars(answer({"2020-03-24 16:00:00": VALUES})) == [
        Bar(
            symbol="MSFT",
            interval="5min",
            start_us=START,
            end_us=START + FIVE,
            open=148.14,
            high=148.34,
            low=147.75,
            close=148.25,
            volume=3_813_495.0,
            vwap=None,
            trade_count=0,
            last_event_time_us=START + FIVE - 1,
            last_received_time_us=RECEIVED,
            final=False,
            revision=RECEIVED,
            provider="alpha_vantage",
        )
    ]


@pytest.mark.parametrize(
    ("text", "hours"),
    [("2020-03-06 16:00:00", 5), ("2020-03-09 16:00:00", 4), ("2020-10-30 16:00:00", 4), ("2020-11-02 16:00:00", 5)],
)
def test_daylight_saving_is_new_yorks(text: str, hours: int) -> None:
    (bar,) = bars(answer({text: VALUES}), 1_604_500_000_000_000)
    assert bar.start_us // 3_600_000_000 % 24 == 16 + hours


def test_bars_rise_and_the_newest_is_not_final_before_a_day_has_passed() -> None:
    body = answer({f"2020-03-24 {time}:00": VALUES for time in ("16:00", "15:55", "15:50")})
    made = bars(body)
    assert [bar.start_us for bar in made] == [START - 2 * FIVE, START - FIVE, START]
    assert [bar.final for bar in made] == [True, True, False]
    assert [bar.final for bar in bars(body, START + FIVE + 86_400_000_000)] == [True, True, True]


def test_an_hour_has_its_own_name() -> None:
    body = orjson.dumps(
        {"Meta Data": META | {"4. Interval": "60min"}, "Time Series (60min)": {"2020-03-24 15:00:00": VALUES}}
    )
    assert [bar.interval for bar in bars(body)] == ["1h"]


@pytest.mark.parametrize(
    ("time", "values", "reason"),
    [
        ("2020-03-24 15:50:00", {"1. open": "0.0000"}, Reason.NON_POSITIVE_PRICE),
        ("2020-03-24 15:50:00", {"3. low": "-1"}, Reason.NON_POSITIVE_PRICE),
        ("2020-03-24 15:50:00", {"5. volume": "-1"}, Reason.NEGATIVE_SIZE),
        ("2020-03-24 15:50:00", {"2. high": "NaN"}, Reason.NOT_FINITE),
        ("2020-03-24 15:50:00", {"2. high": "1.0"}, Reason.INCONSISTENT_BAR),
        ("2020-03-24 15:50:00", {"2. high": 148.34}, Reason.INVALID_FIELD),
        ("2020-03-24 15:50:00", {"2. high": "1_000"}, Reason.INVALID_FIELD),
        ("2020-03-24 15:51:00", {}, Reason.INVALID_FIELD),
        ("2020-03-24", {}, Reason.INVALID_FIELD),
        ("1585080000", {}, Reason.INVALID_FIELD),
        ("2020-02-30 15:50:00", {}, Reason.TIME_OUT_OF_RANGE),
        ("2020-03-27 15:50:00", {}, Reason.TIME_OUT_OF_RANGE),
        ("1969-03-27 15:50:00", {}, Reason.TIME_OUT_OF_RANGE),
    ],
)
def test_a_bad_bar_spoils_no_other(time: str, values: dict[str, Any], reason: Reason) -> None:
    good, bad = parse_answer(answer({"2020-03-24 15:45:00": VALUES, time: VALUES | values}), RECEIVED)
    assert isinstance(good, Bar)
    assert isinstance(bad, Rejected)
    assert (bad.reason, bad.symbol) == (reason, "MSFT"), bad.detail
    assert orjson.loads(bad.raw) == {time: VALUES | values}


@pytest.mark.parametrize("values", [None, 7, [], {}, {"1. open": "1"}])
def test_values_of_another_shape_are_refused(values: Any) -> None:
    assert only_refusal(answer({"2020-03-24 15:45:00": values})).symbol == "MSFT"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b"null",
        QUOTE,
        answer({}, **{"4. Interval": "7min"}),
        answer({}, **{"4. Interval": "1min"}),
        answer({}, **{"6. Time Zone": "Europe/London"}),
        answer({}, **{"2. Symbol": 7}),
        orjson.dumps({"Meta Data": META}),
        orjson.dumps({"Meta Data": META, "Time Series (5min)": []}),
    ],
)
def test_an_answer_of_another_shape_is_refused_as_a_whole(body: bytes) -> None:
    refusal = only_refusal(body)
    assert (refusal.reason, refusal.raw) == (Reason.MALFORMED, body)


def test_no_bars_are_no_fault() -> None:
    assert parse_answer(answer({}), RECEIVED) == []


BURST = (
    "Thank you for using Alpha Vantage! Please consider spreading out your free API requests more sparingly (1 request "
    "per second). You may subscribe to any of the premium plans to lift the free key rate limit (25 requests per day)"
)
DAILY = (
    "We have detected your API key as {} and our standard API rate limit is 25 requests per day. Please subscribe to "
    "any of the premium plans to instantly remove all daily rate limits."
)


@pytest.mark.parametrize(
    ("key", "sentence", "fault", "wait"),
    [
        ("Note", "Our standard API call frequency is 5 calls per minute and 500 per day.", Fault.BURST_LIMIT, 60.0),
        ("Information", BURST, Fault.BURST_LIMIT, 1.5),
        ("Information", "Burst pattern detected. Please consider spreading out…", Fault.BURST_LIMIT, 1.5),
        ("Information", DAILY.format("DEMO7"), Fault.DAILY_QUOTA, 3_600.0),
        ("Information", "Thank you! This is a premium endpoint. You may subscribe…", Fault.PLAN, None),
        ("Information", "The **demo** API key is for demo purposes only.", Fault.BAD_KEY, None),
        ("Error Message", "the parameter apikey is invalid or missing.", Fault.BAD_KEY, None),
        ("Error Message", "Invalid API call. Please retry or visit the documentation", Fault.UNKNOWN_SYMBOL, None),
        ("Information", "Something new", Fault.PROTOCOL, None),
    ],
)
def test_sentences_are_typed_by_their_words(key: str, sentence: str, fault: Fault, wait: float | None) -> None:
    refusal = refusal_of(200, orjson.dumps({key: sentence}), lambda: 3_600.0)
    assert refusal is not None
    assert (refusal.fault, refusal.retry_after_seconds) == (fault, wait)


@pytest.mark.parametrize("echo", ["SECRET7", "secret7", "SECR****"])
def test_an_echoed_key_is_cut_out_however_it_is_written(echo: str) -> None:
    refusal = refusal_of(200, orjson.dumps({"Information": DAILY.format(echo)}), lambda: 1.0)
    assert refusal is not None
    assert echo not in refusal.message
    assert "API key as [redacted] and our" in refusal.message


@pytest.mark.parametrize(
    "body", [answer({}), QUOTE, b"[]", b"<html>", b"{}", answer({f"Note {n}": {} for n in range(999)})]
)
def test_data_is_no_refusal(body: bytes) -> None:
    assert refusal_of(200, body, lambda: 1.0) is None

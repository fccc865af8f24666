"""Query parameters: every accepted form of a time means the same instant, and faults are explained."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketstream.domain.interval import Interval
from marketstream.serving.api.params import parse_range, parse_time, parse_window
from marketstream.serving.api.problems import Problem

INSTANT_US = 1_381_152_600_000_000  # 2013-10-07 13:30 UTC, by `date -u -d @1381152600`


@pytest.mark.parametrize(
    "text",
    [
        "2013-10-07T13:30:00Z",
        "2013-10-07T13:30:00+00:00",
        "2013-10-07T13:30:00 00:00",  # a "+" that was not escaped
        "2013-10-07T09:30:00-04:00",
        "2013-10-07T15:30:00+0200",
        "2013-10-07 13:30",
        "2013-10-07T13:30:00.000000",
        "1381152600",
        "1381152600.0",
        "1381152600000",
        "1381152600000000",
    ],
)
def test_every_form_is_the_same_instant(text: str) -> None:
    assert parse_time("start", text) == INSTANT_US


def test_fractions_are_exact() -> None:
    assert parse_time("start", "1381152600.123457") == INSTANT_US + 123_457
    assert parse_time("start", "2013-10-07T13:30:00.123457Z") == INSTANT_US + 123_457
    assert parse_time("start", "1381152600123.457") == INSTANT_US + 123_457


def test_nothing_stays_nothing() -> None:
    assert parse_time("start", None) is None
    assert parse_range(None, None) == (None, None)


@pytest.mark.parametrize("text", ["", "yesterday", "-5", "1e9", "nan", "2013-13-01", "1" * 18, "٣", "0001-01-01"])
def test_anything_else_is_refused_by_name(text: str) -> None:
    with pytest.raises(Problem) as refused:
        parse_time("end", text)
    assert refused.value.status == 422
    assert refused.value.detail.startswith("end: ")


def test_a_range_that_is_empty_is_refused() -> None:
    with pytest.raises(Problem, match="not before"):
        parse_range("2013-10-07", "2013-10-07")


def test_a_window_is_one_of_the_configured() -> None:
    intervals = (Interval.parse("1min"), Interval.parse("5min"))
    assert parse_window("5min", intervals) is intervals[1]
    with pytest.raises(Problem, match="use one of: 1min, 5min"):
        parse_window("15min", intervals)


@given(
    st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(2999, 1, 1)),
    st.integers(min_value=-14 * 60, max_value=14 * 60),
)
def test_iso_times_of_any_offset_round_trip(moment: datetime, offset_minutes: int) -> None:
    aware = moment.replace(tzinfo=UTC)
    local = aware.astimezone(timezone(timedelta(minutes=offset_minutes)))
    parsed = parse_time("start", local.isoformat())
    assert parsed is not None
    assert datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=parsed) == aware

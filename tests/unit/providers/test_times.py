"""Every way in which providers write times becomes the same microseconds."""

from datetime import UTC

import pytest

from marketstream.providers.times import TimeRangeError, eastern_text, sane_us, utc_us

# The times of the providers' documented examples.
EXAMPLES = [
    (1536036818784, 1_536_036_818_784_000),  # Polygon trade, ms
    (1536036818784123456, 1_536_036_818_784_123),  # Polygon last trade, ns
    (1672515782136, 1_672_515_782_136_000),  # Binance, ms
    (1646154954689, 1_646_154_954_689_000),  # Finage equity, ms
    (1646154954, 1_646_154_954_000_000),  # Finage REST, s
    ("2026-09-29", 1_790_654_400_000_000),  # Alpha Vantage's latest trading day
    ("2020-03-24 16:00:00", 1_585_080_000_000_000),  # Alpha Vantage intraday, summer time
    ("2020-01-24 16:00:00", 1_579_899_600_000_000),  # the same in winter
    (1762549202, 1_762_549_202_000_000),  # FMP quote, s
    (1699540020, 1_699_540_020_000_000),  # Finazon bar, s
    (1646154954689123, 1_646_154_954_689_123),  # µs
    (1646154954.689, 1_646_154_954_689_000),
    (1646154954689.0, 1_646_154_954_689_000),
    ("1646154954689", 1_646_154_954_689_000),
    ("1646154954.689", 1_646_154_954_689_000),
    (" 1646154954689123456 ", 1_646_154_954_689_123),
    ("2022-03-01T17:15:54.689Z", 1_646_154_954_689_000),
    ("2022-03-01T17:15:54.689123999Z", 1_646_154_954_689_123),
    ("2022-03-01T18:15:54+01:00", 1_646_154_954_000_000),
    ("2022-03-01 12:15:54.689", 1_646_154_954_689_000),
    ("2022-03-01 12:15", 1_646_154_900_000_000),
    (0, 0),
]


@pytest.mark.parametrize(("written", "time_us"), EXAMPLES)
def test_reads(written: float | str, time_us: int) -> None:
    assert utc_us(written) == time_us


def test_text_without_an_offset_may_be_of_another_zone() -> None:
    assert utc_us("2022-03-01 17:15:54", naive=UTC) == 1_646_154_954_000_000
    assert utc_us("2022-03-01 17:15:54Z", naive=UTC) == utc_us("2022-03-01 17:15:54Z")


def test_the_hour_that_clocks_repeat_is_the_first_of_the_two() -> None:
    assert utc_us("2025-11-02 01:30:00") == utc_us("2025-11-02T01:30:00-04:00")


def test_units_change_where_magnitudes_do() -> None:
    assert utc_us(10**11 - 1) == (10**11 - 1) * 1_000_000
    assert utc_us(10**11) == 10**11 * 1_000
    assert utc_us(10**14 - 1) == (10**14 - 1) * 1_000
    assert utc_us(10**14) == 10**14
    assert utc_us(10**17) == 10**14
    assert utc_us(2**63 - 1) == (2**63 - 1) // 1_000


NO_TIMES: list[float | str] = [
    *("", "now", "1e9", "-1", "²", "9" * 20, "9" * 4_000, "1646154954,689"),
    *("2022-13-01", "2022-02-30 10:00:00", "2022-03-01 25:00:00", "2022-03-01T17:15:54+99:00", "1969-01-01"),
    *(-1, 2**63, 2**200, -0.5, float("nan"), float("inf"), float("-inf"), 1e300),
]


@pytest.mark.parametrize("written", NO_TIMES)
def test_refuses(written: float | str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        utc_us(written)


def test_a_sane_time_lies_from_1990_to_a_day_ahead() -> None:
    earliest, now = 631_152_000_000_000, 1_646_154_954_000_000
    latest = now + 86_400_000_000
    assert [sane_us(time_us, now) for time_us in (earliest, now, latest)] == [earliest, now, latest]
    for time_us in (earliest - 1, latest + 1, 0, 2**63):
        with pytest.raises(TimeRangeError, match="before 1990 or more than a day ahead"):
            sane_us(time_us, now)


def test_writes_new_york_time() -> None:
    assert eastern_text(1_585_080_000_999_999) == "2020-03-24 16:00:00"
    assert eastern_text(1_579_899_600_000_000) == "2020-01-24 16:00:00"
    assert utc_us(eastern_text(1_646_154_954_000_000)) == 1_646_154_954_000_000

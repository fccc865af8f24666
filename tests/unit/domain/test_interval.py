"""Bar intervals: which names are read, and where a bar starts."""

from datetime import UTC, datetime

import pytest

from marketstream.domain.interval import INTERVAL_NAMES, Interval

DAY_US = 86_400 * 1_000_000


@pytest.mark.parametrize(
    ("text", "seconds", "name"),
    [
        ("1s", 1, "1s"),
        ("10s", 10, "10s"),
        ("1min", 60, "1min"),
        ("15min", 900, "15min"),
        ("1h", 3_600, "1h"),
        ("1d", 86_400, "1d"),
        ("60s", 60, "1min"),
        ("90s", 90, "90s"),
        ("120min", 7_200, "2h"),
        ("24h", 86_400, "1d"),
    ],
)
def test_reads_a_name_and_makes_it_canonical(text: str, seconds: int, name: str) -> None:
    assert Interval.parse(text) == Interval(seconds=seconds, name=name)


@pytest.mark.parametrize(
    "text", ["", "min", "0s", "-1min", "01min", "1 min", "1m", "1MIN", "7s", "2d", "100h", "\u0661min"]
)
def test_refuses_what_is_no_interval(text: str) -> None:
    with pytest.raises(ValueError, match=r"no bar interval|does not divide a day"):
        Interval.parse(text)


def test_a_longer_interval_sorts_after_a_shorter_one() -> None:
    names = ["1h", "5min", "10s", "1d", "1min"]
    assert [i.name for i in sorted(map(Interval.parse, names))] == ["10s", "1min", "5min", "1h", "1d"]


def test_a_bar_covers_its_start_and_not_its_end() -> None:
    interval = Interval.parse("5min")
    start = int(datetime(2024, 3, 10, 14, 35, tzinfo=UTC).timestamp()) * 1_000_000
    assert interval.start_of(start) == start
    assert interval.start_of(start + interval.us - 1) == start
    assert interval.start_of(start + interval.us) == start + interval.us
    assert interval.start_of(start - 1) == start - interval.us


def test_every_interval_starts_a_bar_at_midnight() -> None:
    midnight = int(datetime(2024, 2, 29, tzinfo=UTC).timestamp()) * 1_000_000
    assert midnight % DAY_US == 0
    for name in ("1s", "90s", "45min", "8h", "1d"):
        assert Interval.parse(name).start_of(midnight) == midnight


def test_every_divisor_of_a_day_has_its_name_in_the_list():
    lengths = [seconds for seconds in range(1, 86_401) if 86_400 % seconds == 0]
    assert [Interval.parse(name).seconds for name in INTERVAL_NAMES] == lengths
    assert [Interval.parse(name).name for name in INTERVAL_NAMES] == list(INTERVAL_NAMES)

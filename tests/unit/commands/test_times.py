"""Points in time as people type them."""

import pytest
import typer

from marketstream.commands.times import parse_time, time_text

NOW_US = 1_700_000_000_000_000


@pytest.mark.parametrize(
    ("text", "time_us"),
    [
        ("now", NOW_US),
        ("2h", NOW_US - 7_200_000_000),
        ("90s ago", NOW_US - 90_000_000),
        ("5min", NOW_US - 300_000_000),
        ("1700000000", NOW_US),
        ("1700000000.5", NOW_US + 500_000),
        ("1700000000123", NOW_US + 123_000),
        ("1700000000123456", NOW_US + 123_456),
        ("2023-11-14T22:13:20Z", NOW_US),
        ("2023-11-14 22:13:20", NOW_US),
        ("2023-11-14T23:13:20+01:00", NOW_US),
        ("2023-11-14", NOW_US - 80_000_000_000),
    ],
)
def test_a_time_is_read(text: str, time_us: int) -> None:
    assert parse_time(text, lambda: NOW_US) == time_us


@pytest.mark.parametrize("text", ["", "yesterday", "2h later", "-5", "1e9", "100000000000000000", "2023-13-01"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="is no time"):
        parse_time(text, lambda: NOW_US)


def test_a_time_is_shown_to_the_millisecond() -> None:
    assert time_text(NOW_US + 7_999) == "2023-11-14 22:13:20.007Z"
    assert time_text(2**63 - 1) == f"{2**63 - 1} µs"

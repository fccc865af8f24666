"""Query parameters: points in time and windows, read strictly and explained when wrong."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from marketstream.domain.interval import Interval
from marketstream.serving.api.problems import invalid_parameter

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NUMBER = re.compile(r"\d{1,17}(\.\d{1,9})?", re.ASCII)
# A "+" in a query string means a blank; this gives an unescaped offset back its sign.
_UNESCAPED_OFFSET = re.compile(r" (\d{2}:?\d{2})$")
_FIRST_US = -(70 * 365 + 17) * 86_400 * 1_000_000  # 1900; times before are typing errors, and some stores' limit
# Up to the year 5138 each, and no unit's present-day value is below the next smaller unit's bound.
_UNITS = ((Decimal(10) ** 11, 1_000_000), (Decimal(10) ** 14, 1_000), (Decimal(10) ** 17, 1))

TIME_HELP = (
    "ISO 8601, such as `2013-10-07T13:30:00Z`; without an offset it is taken as UTC. Or a Unix time in seconds, "
    "milliseconds or microseconds, told apart by magnitude (below 1e11, 1e14, 1e17)."
)


def parse_time(name: str, text: str | None) -> int | None:
    """Reads a point in time, in µs UTC; None stays None.

    Raises:
        Problem: The text is no time.
    """
    if text is None:
        return None
    if _NUMBER.fullmatch(text):
        return _from_epoch(name, Decimal(text))
    try:
        moment = datetime.fromisoformat(_UNESCAPED_OFFSET.sub(r"+\1", text.strip()))
    except ValueError:
        raise invalid_parameter(name, f"{text!r} is no time. {TIME_HELP}") from None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    time_us = (moment - _EPOCH) // timedelta(microseconds=1)
    if not _FIRST_US <= time_us < _UNITS[-1][0]:
        raise invalid_parameter(name, f"{text!r} is not between the years 1900 and 5138")
    return time_us


def parse_range(start: str | None, end: str | None) -> tuple[int | None, int | None]:
    """Reads `[start, end)` in µs UTC.

    Raises:
        Problem: One is no time, or start is not before end.
    """
    start_us, end_us = parse_time("start", start), parse_time("end", end)
    if start_us is not None and end_us is not None and start_us >= end_us:
        raise invalid_parameter("start", f"{start} is not before end={end}; the range is [start, end)")
    return start_us, end_us


def parse_window(name: str, intervals: Sequence[Interval]) -> Interval:
    """Finds an interval of which there are bars.

    Raises:
        Problem: It is none of them; the message lists them.
    """
    for interval in intervals:
        if interval.name == name:
            return interval
    known = ", ".join(interval.name for interval in intervals)
    raise invalid_parameter("window", f"{name!r} is no length that bars have here; use one of: {known}")


def _from_epoch(name: str, number: Decimal) -> int:
    for bound, microseconds in _UNITS:
        if number < bound:
            return int(number * microseconds)
    raise invalid_parameter(name, f"{number} is beyond microseconds; give s, ms or µs since 1970")

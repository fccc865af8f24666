"""Query parameters: points in time and windows, read strictly and explained when wrong."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated

from fastapi import Query

from marketstream.domain.interval import Interval
from marketstream.serving.api.problems import invalid_parameter, near, unknown_symbol

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

Symbols = Annotated[
    str | None,
    Query(
        max_length=16_000,
        pattern=r"^[A-Za-z0-9._:, -]*$",
        description="Symbols in any case, by commas; without it, all known ones",
        openapi_examples={"two": {"value": "BTCUSDT,ETHUSDT"}},
    ),
]


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
    known = [interval.name for interval in intervals]
    alike = near(name, known)
    hint = f"did you mean {' or '.join(alike)}? " if alike else ""
    fault = f"{name!r} is no length that bars have here; {hint}use one of: {', '.join(known)}"
    raise invalid_parameter("window", fault, suggestions=alike)


def parse_symbols(text: str | None, known: Sequence[str]) -> list[str]:
    """Reads symbols by commas, each once; all known ones where there is no text.

    Raises:
        Problem: It names none, or one that is unknown.
    """
    if text is None:
        return list(known)
    names = list(dict.fromkeys(name.strip().upper() for name in text.split(",") if name.strip()))
    if not names:
        raise invalid_parameter("symbol", "names no symbol")
    for name in names:
        if name not in known:
            raise unknown_symbol(name, known)
    return names


def _from_epoch(name: str, number: Decimal) -> int:
    for bound, microseconds in _UNITS:
        if number < bound:
            return int(number * microseconds)
    raise invalid_parameter(name, f"{number} is beyond microseconds; give s, ms or µs since 1970")

"""One reading of every way in which providers write times: integer microseconds UTC.

Seconds, milliseconds, microseconds and nanoseconds are told apart by their magnitude, which is unambiguous from 1973
(where 10^11 ms lie) to 5138 (where 10^11 s lie). ISO 8601 text without an offset is New York's time, as the US
exchanges' days are written.
"""

import re
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from zoneinfo import ZoneInfo

EASTERN = ZoneInfo("America/New_York")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_SECONDS = 86_400
_EARLIEST_US = 631_152_000_000_000  # 1990-01-01
# Below each limit, a number is in the unit whose microseconds the fraction (numerator, denominator) gives.
_UNITS = ((10**11, 1_000_000, 1), (10**14, 1_000, 1), (10**17, 1, 1), (2**63, 1, 1_000))
_NUMBER = re.compile(r"[0-9]{1,19}(\.[0-9]{1,9})?")
_ISO = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?(Z|[+-][0-9]{2}:?[0-9]{2})?)?"
)


class TimeRangeError(ValueError):
    """A time lies outside what the platform can hold."""


def utc_us(value: float | str, naive: tzinfo = EASTERN) -> int:
    """The time in µs UTC; what is finer than a microsecond is cut off.

    Args:
        value: A number of s, ms, µs or ns since the epoch, as such or as text; or ISO 8601 text, where `T` may be a
            blank and a date alone is its first moment.
        naive: The zone of text without an offset. An hour that the clocks repeat counts as the first of the two.

    Raises:
        TimeRangeError: It is one of these, but not within the years 1970 to 9999; a `ValueError` too.
        ValueError: It is none of these.
    """
    if isinstance(value, str):
        return _read_text(value.strip(), naive)
    if isinstance(value, int):
        return _scale(value)
    if value != value or value in (float("inf"), float("-inf")):
        raise ValueError("a time is not finite")
    # By its shortest text: the binary value of 1646154954.689 lies below its last millisecond.
    return _scale(Decimal(repr(value)))


def sane_us(time_us: int, received_time_us: int) -> int:
    """The same time, if it makes sense: what can't be in any market must not count as a symbol's newest.

    Args:
        time_us: A provider's time, µs UTC.
        received_time_us: When its frame left our socket.

    Raises:
        TimeRangeError: It lies before 1990 or more than a day ahead of its arrival.
    """
    if not _EARLIEST_US <= time_us <= received_time_us + _DAY_SECONDS * 1_000_000:
        raise TimeRangeError(f"{time_us} µs is before 1990 or more than a day ahead of now")
    return time_us


def eastern_text(time_us: int) -> str:
    """New York's `YYYY-MM-DD HH:MM:SS` of a time, as providers write it; fractions of a second are cut off."""
    return datetime.fromtimestamp(time_us // 1_000_000, EASTERN).strftime("%Y-%m-%d %H:%M:%S")


def _scale(value: int | Decimal) -> int:
    if value < 0:
        raise TimeRangeError("a time lies before 1970")
    for limit, numerator, denominator in _UNITS:
        if value < limit:
            return int(value * numerator // denominator)
    raise TimeRangeError("a time is beyond 64 bits of nanoseconds")


def _read_text(text: str, naive: tzinfo) -> int:
    if _NUMBER.fullmatch(text):
        return _scale(Decimal(text) if "." in text else int(text))
    if not _ISO.fullmatch(text):
        raise ValueError("a time is neither a number nor ISO 8601")
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=naive)
    since = moment - _EPOCH
    time_us = (since.days * _DAY_SECONDS + since.seconds) * 1_000_000 + since.microseconds
    if time_us < 0:
        raise TimeRangeError("a time lies before 1970")
    return time_us

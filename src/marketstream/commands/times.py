"""Points in time as people type them."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import typer

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NUMBER = re.compile(r"\d{1,17}(\.\d{1,9})?", re.ASCII)
_AGO = re.compile(r"(\d{1,6})(s|min|m|h|d)( ago)?", re.ASCII)
_AGO_SECONDS = {"s": 1, "min": 60, "m": 60, "h": 3_600, "d": 86_400}
# Up to the year 5138 each: seconds, milliseconds, microseconds.
_UNITS = ((Decimal(10) ** 11, 1_000_000), (Decimal(10) ** 14, 1_000), (Decimal(10) ** 17, 1))
TIME_HELP = "ISO 8601 (UTC unless it says otherwise), a Unix time in s, ms or µs, or how long ago, such as 2h."


def parse_time(text: str, now_us: Callable[[], int]) -> int:
    """Reads a point in time, in µs UTC.

    Args:
        text: What was typed.
        now_us: The time now, for what is said as so long ago.

    Raises:
        typer.BadParameter: It is no time.
    """
    text = text.strip()
    if text == "now":
        return now_us()
    if ago := _AGO.fullmatch(text):
        return now_us() - int(ago[1]) * _AGO_SECONDS[ago[2]] * 1_000_000
    if _NUMBER.fullmatch(text):
        number = Decimal(text)
        for bound, microseconds in _UNITS:
            if number < bound:
                return int(number * microseconds)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no time: {TIME_HELP}") from None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    return (moment - _EPOCH) // timedelta(microseconds=1)


def time_text(time_us: int) -> str:
    """A point in time for people, to the millisecond."""
    try:
        moment = _EPOCH + timedelta(microseconds=time_us)
    except OverflowError:
        return f"{time_us} µs"
    return moment.strftime("%Y-%m-%d %H:%M:%S.") + f"{moment.microsecond // 1_000:03}Z"

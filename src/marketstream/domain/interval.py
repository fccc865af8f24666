"""Bar intervals: `1s`, `10s`, `1min`, `5min`, `15min`, `1h`, `1d`."""

import re
from dataclasses import dataclass
from typing import Self

MICROSECONDS = 1_000_000
# Ascending: the last that divides a length names it.
_UNIT_SECONDS = {"s": 1, "min": 60, "h": 3_600, "d": 86_400}
_DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True, order=True)
class Interval:
    """A bar length that divides a UTC day, aligned to the epoch.

    Attributes:
        seconds: Length in seconds.
        name: Canonical name, as in topic names and the `window` parameter.
    """

    seconds: int
    name: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads a name such as `5min`; another spelling of a length, such as `300s`, gets the canonical name.

        Raises:
            ValueError: The text is no interval or doesn't divide a day.
        """
        match = re.fullmatch(r"([1-9][0-9]{0,4})(s|min|h|d)", text)
        if match is None:
            raise ValueError(f"{text!r} is no bar interval; examples: 1s, 10s, 1min, 5min, 15min, 1h, 1d")
        seconds = int(match[1]) * _UNIT_SECONDS[match[2]]
        if seconds > _DAY_SECONDS or _DAY_SECONDS % seconds:
            raise ValueError(f"{text!r} does not divide a day")
        unit = max(
            (unit for unit in _UNIT_SECONDS if seconds % _UNIT_SECONDS[unit] == 0), key=_UNIT_SECONDS.__getitem__
        )
        return cls(seconds=seconds, name=f"{seconds // _UNIT_SECONDS[unit]}{unit}")

    @property
    def us(self) -> int:
        """Length in microseconds."""
        return self.seconds * MICROSECONDS

    def start_of(self, time_us: int) -> int:
        """Start, in µs UTC, of the bar `[start, end)` that covers `time_us`."""
        return time_us - time_us % self.us


# The name of each that there can be: of every divisor of a day, which come in pairs.
_DIVISORS = {part for one in range(1, 294) if _DAY_SECONDS % one == 0 for part in (one, _DAY_SECONDS // one)}
INTERVAL_NAMES = tuple(Interval.parse(f"{seconds}s").name for seconds in sorted(_DIVISORS))

"""Where a row of the lake is: its folder by date and symbol, and its file by the time of day.

A partition's files cover spans of the day that never overlap. So each row has exactly one file where it can be, and
whoever puts it there sees whether it is there already.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Self

from marketstream.lake.datasets import DAY_MINUTES, Dataset

SUFFIX = ".parquet"
_FOLDER_BYTES = 255  # what a file system takes as a name
DAY_US = 86_400_000_000
MINUTE_US = 60_000_000
# Beyond the year 9999 there is no date to name a folder by.
LAST_US = int(datetime(9999, 12, 31, tzinfo=UTC).timestamp()) * 1_000_000 + DAY_US - 1
_UNSAFE = re.compile(r"[^A-Za-z0-9_.\-\x80-\U0010ffff]")
_ESCAPED = re.compile(r"%([0-9A-Fa-f]{2})")
_SPAN = re.compile(r"(\d{2})(\d{2})-(\d{2})(\d{2})\.parquet")


def escape(text: str) -> str:
    """A text as part of a folder's name: what is not harmless there as `%` and two digits, as Hive and Spark do it.

    What is beyond ASCII stays: readers don't agree on how many bytes it would be.
    """
    return _UNSAFE.sub(lambda found: f"%{ord(found[0]):02X}", text)


def unescape(text: str) -> str:
    """What `escape` made it from."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)


def date_of(time_us: int) -> date:
    """The UTC date of a time from 1970 to 9999."""
    return datetime.fromtimestamp(time_us // 1_000_000, UTC).date()


def day_start_us(day: date) -> int:
    """The first µs of a UTC date."""
    return (day - date(1970, 1, 1)).days * DAY_US


@dataclass(frozen=True, slots=True, order=True)
class Partition:
    """One folder with files.

    Attributes:
        dataset: The dataset's name.
        interval: The bars' interval; empty where the dataset has none.
        day: The rows' UTC date.
        symbol: Their symbol.
    """

    dataset: str
    interval: str
    day: date
    symbol: str

    @property
    def path(self) -> str:
        """The folder, from the lake's root."""
        interval = f"interval={escape(self.interval)}/" if self.interval else ""
        return f"{self.dataset}/{interval}date={self.day.isoformat()}/symbol={escape(self.symbol)}"

    @property
    def nameable(self) -> bool:
        """Whether a file system takes the symbol as a folder's name: escaped, and as bytes, it may be too long."""
        return len(self.path.rpartition("/")[2].encode()) <= _FOLDER_BYTES

    @classmethod
    def parse(cls, dataset: Dataset, path: str) -> Self | None:
        """Reads a folder's path from the lake's root; None for what is no partition of the dataset."""
        parts = path.split("/")
        levels = [part.partition("=") for part in parts[1:]]
        if parts[0] != dataset.name or tuple(level[0] for level in levels) != dataset.partitions:
            return None
        values = {name: unescape(value) for name, _, value in levels}
        try:
            return cls(dataset.name, values.get("interval", ""), date.fromisoformat(values["date"]), values["symbol"])
        except ValueError:
            return None


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """The minutes of a day `[start, end)` that one file covers."""

    start: int
    end: int

    @property
    def file_name(self) -> str:
        """Such as `1300-1400.parquet`."""
        return f"{self.start // 60:02}{self.start % 60:02}-{self.end // 60:02}{self.end % 60:02}{SUFFIX}"

    @classmethod
    def parse(cls, file_name: str) -> Self | None:
        """Reads a file's name; None where it is no file of the lake."""
        match = _SPAN.fullmatch(file_name)
        if match is None:
            return None
        hours, minutes, end_hours, end_minutes = map(int, match.groups())
        span = cls(hours * 60 + minutes, end_hours * 60 + end_minutes)
        return span if 0 <= span.start < span.end <= DAY_MINUTES else None

    def holds(self, minute: int) -> bool:
        """Whether the minute of the day is inside."""
        return self.start <= minute < self.end


def span_for(minute: int, existing: Sequence[Span], width: int) -> Span:
    """The span of the file where a row of that minute belongs: one that is there, else a new one beside them.

    Args:
        minute: Of the day.
        existing: The partition's spans, which don't overlap.
        width: Minutes a new file covers; it divides a day.
    """
    for span in existing:
        if span.holds(minute):
            return span
    start = minute - minute % width
    floor = max((span.end for span in existing if span.end <= minute), default=0)
    ceiling = min((span.start for span in existing if span.start > minute), default=DAY_MINUTES)
    return Span(max(start, floor), min(start + width, ceiling))

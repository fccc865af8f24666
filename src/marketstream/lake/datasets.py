"""What the lake holds: its datasets, and their columns, which are the fields of the messages' value types.

Times stay what they are in messages: integer µs UTC, with `_us` in the name.
"""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pyarrow as pa

from marketstream.contracts.topics import CANCELS, PROVIDER_BARS, TICKS, bars_topic
from marketstream.domain.interval import Interval
from marketstream.domain.market import Bar, Cancel, Tick

DAY_MINUTES = 1_440
_PLAIN = {str: pa.string(), float: pa.float64(), int: pa.int64(), bool: pa.bool_()}


@dataclass(frozen=True, slots=True)
class Dataset:
    """One folder of the lake.

    Attributes:
        name: The folder.
        message: The value type whose fields are the columns.
        time: The column by which a row belongs to a date.
        key: The columns that identify a row, which is in the lake once.
        order: By what a file's rows are sorted.
        topics: Whose messages are its rows.
        by_interval: Whether its rows are bars: the folder is divided by interval first, and every topic of bars counts.
    """

    name: str
    message: type
    time: str
    key: tuple[str, ...]
    order: tuple[str, ...]
    topics: tuple[str, ...]
    by_interval: bool = False

    @property
    def schema(self) -> pa.Schema:
        """The columns of its files."""
        hints = get_type_hints(self.message)
        return pa.schema([_column(each.name, hints[each.name]) for each in fields(self.message)])

    @property
    def required(self) -> tuple[str, ...]:
        """Columns that every message has; the others have defaults."""
        return tuple(
            each.name for each in fields(self.message) if each.default is MISSING and not self._nullable(each.name)
        )

    @property
    def defaults(self) -> Mapping[str, Any]:
        """What a column holds where a message, or an older file, lacks it; None is not named."""
        return {
            each.name: list(each.default) if isinstance(each.default, tuple) else each.default
            for each in fields(self.message)
            if each.default is not MISSING and each.default is not None
        }

    @property
    def partitions(self) -> tuple[str, ...]:
        """The levels of folders below it."""
        return ("interval", "date", "symbol") if self.by_interval else ("date", "symbol")

    def topics_for(self, intervals: tuple[Interval, ...]) -> tuple[str, ...]:
        """The topics that feed it where bars have these intervals."""
        return (*self.topics, *(map(bars_topic, intervals) if self.by_interval else ()))

    def _nullable(self, column: str) -> bool:
        return bool(self.schema.field(column).nullable)


def span_minutes(interval: str | None, wanted: int) -> int:
    """How much of a day one new file covers.

    Args:
        interval: The bars' interval; None for what is no bar.
        wanted: What the settings say. Bars of a minute and more are so few that a file takes a day of them.
    """
    if interval is not None and Interval.parse(interval).seconds >= 60:
        return DAY_MINUTES
    return wanted


def _column(name: str, hint: Any) -> pa.Field:
    choices = get_args(hint) if NoneType in get_args(hint) else (hint,)
    (plain,) = (choice for choice in choices if choice is not NoneType)
    if get_origin(plain) is tuple:
        kind: pa.DataType = pa.list_(pa.string())
    else:
        kind = _PLAIN[str if get_origin(plain) is Literal else plain]
    return pa.field(name, kind, nullable=len(choices) > 1)


TICK_ROWS = Dataset(
    "ticks",
    Tick,
    time="event_time_us",
    key=("symbol", "event_time_us", "provider", "trade_id"),
    order=("event_time_us", "sequence", "provider", "trade_id"),
    topics=(TICKS,),
)
CANCEL_ROWS = Dataset(
    "cancels",
    Cancel,
    time="event_time_us",
    key=("symbol", "event_time_us", "provider", "trade_id", "price", "size"),
    order=("event_time_us", "provider", "trade_id", "price", "size"),
    topics=(CANCELS,),
)
BAR_ROWS = Dataset(
    "bars",
    Bar,
    time="start_us",
    key=("symbol", "interval", "start_us"),
    order=("start_us",),
    topics=(PROVIDER_BARS,),
    by_interval=True,
)
DATASETS: Mapping[str, Dataset] = {each.name: each for each in (TICK_ROWS, BAR_ROWS, CANCEL_ROWS)}

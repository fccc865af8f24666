"""What the closer knows of each symbol: its open bars, how far its time has come, and the same as JSON."""

from collections import deque
from collections.abc import Iterable
from typing import Any, NamedTuple, Self

import orjson

from marketstream.domain.interval import Interval

BarKey = tuple[str, str, int]  # (symbol, interval, start_us)

NEVER_US = 2**63 - 1
_PRICED_KEPT = 8  # windows: trades in time fall into the newest two
_TOLD_KEPT = 32  # windows without an open bar; more while Spark is away leave the count of the oldest too low


class Seen(NamedTuple):
    """What tells a newer version of a bar from an older one.

    Attributes:
        trades: How many trades it knows of.
        cancelled: How many of these were taken out.
    """

    trades: int
    cancelled: int = 0

    @classmethod
    def of(cls, fields: dict[str, Any]) -> Self:
        """That of a bar's message. Bars that Spark makes don't mention cancels."""
        cancelled = fields.get("cancelled", 0)
        return cls(fields["trade_count"] + cancelled, cancelled)


class Closed(NamedTuple):
    """The newest final of a bar: which trades it knew of, and its revision."""

    seen: Seen
    revision: int


class OpenBar:
    """A bar that is not final, in its newest version.

    Attributes:
        value: The version's message.
        seen: Its number of trades, those that were taken out too, and how many these are: the newer version has more.
        end_us: First microsecond after the bar.
        revision: What its next final gets.
        late: Whether it was past already when its first change came, as with trades that were fetched.
        ready_at: When its final may go out (steady clock, in s); None while its time has not passed.
        told: How many trades of its window `tick_data` has, as far as they were read: never more than there are.
        short_since: Since when its final only waits for more of these (steady clock, in s); None where it doesn't.
    """

    __slots__ = ("end_us", "late", "ready_at", "revision", "seen", "short_since", "told", "value")

    def __init__(self, value: bytes, seen: Seen, end_us: int, revision: int) -> None:
        self.value = value
        self.seen = seen
        self.end_us = end_us
        self.revision = revision
        self.late = False
        self.ready_at: float | None = None
        self.told = 0
        self.short_since: float | None = None


class Series:
    """One symbol's bars of one interval.

    Attributes:
        newest_us: Event time of the newest trade in any of them.
        open: Those that are not final, by start.
        next_due_us: The event time at which the next of them is past; never later than that.
        told: Trades on `tick_data` by window, of the last windows without an open bar; of open ones the bars know it.
    """

    __slots__ = ("newest_us", "next_due_us", "open", "told")

    def __init__(self) -> None:
        self.newest_us = 0
        self.next_due_us = NEVER_US
        self.open: dict[int, OpenBar] = {}
        self.told: dict[int, int] = {}

    def count(self, start_us: int) -> None:
        """Takes one more trade of a window without an open bar."""
        self._keep(start_us, self.told.get(start_us, 0) + 1)

    def begin(self, start_us: int, bar: OpenBar) -> None:
        """Takes an open bar."""
        bar.told = self.told.pop(start_us, 0)
        self.open[start_us] = bar

    def end(self, start_us: int) -> OpenBar:
        """Gives an open bar out."""
        bar = self.open.pop(start_us)
        if bar.told:
            self._keep(start_us, bar.told)
        return bar

    def _keep(self, start_us: int, told: int) -> None:
        self.told[start_us] = told
        if len(self.told) > _TOLD_KEPT:
            del self.told[next(iter(self.told))]


class Symbol:
    """What is known of one symbol.

    Attributes:
        series: Its bars, by interval.
        arrived_at: When anything of it was last read (steady clock, in s).
        ticks_received_us: When the newest of its trades on `tick_data` that bars must show was received.
        bars_received_us: When the newest of the trades in its bars was received.
        newest_us: Event time of the newest trade in its bars.
        priced: Starts of the longest interval's windows in which a trade updates the last price, the latest read last.
        unpriced_us: Event time of the newest trade that doesn't, whether or not it is in a bar; 0 for none.
        traded_us: Event time of the newest trade on `tick_data`.
        delay_us: How much later than that it was received.
        changed: Whether any of this has changed since it was last saved.
        counted: Lengths of the intervals in which trades are counted, in µs, each with its bars.
    """

    __slots__ = (
        "arrived_at",
        "bars_received_us",
        "changed",
        "counted",
        "delay_us",
        "newest_us",
        "priced",
        "series",
        "ticks_received_us",
        "traded_us",
        "unpriced_us",
    )

    def __init__(self, arrived_at: float) -> None:
        self.series: dict[str, Series] = {}
        self.arrived_at = arrived_at
        self.ticks_received_us = 0
        self.bars_received_us = 0
        self.newest_us = 0
        self.priced: deque[int] = deque(maxlen=_PRICED_KEPT)
        self.unpriced_us = 0
        self.traded_us = 0
        self.delay_us = 0
        self.changed = False
        self.counted: list[tuple[int, Series]] = []

    @property
    def complete(self) -> bool:
        """Whether every trade on `tick_data` that a bar must show is in the bars."""
        return self.bars_received_us >= self.ticks_received_us

    def of(self, interval: str) -> Series:
        """Its bars of an interval."""
        series = self.series.get(interval)
        if series is None:
            series = self.series[interval] = Series()
        return series

    def count_in(self, intervals: Iterable[Interval]) -> None:
        """Says in which intervals trades are counted."""
        self.counted = [(interval.us, self.of(interval.name)) for interval in intervals]

    def count(self, event_us: int, received_us: int) -> None:
        """Takes the times of a trade on `tick_data`."""
        self.changed = True
        if event_us > self.traded_us:
            self.traded_us, self.delay_us = event_us, received_us - event_us
        for length_us, series in self.counted:
            start_us = event_us - event_us % length_us
            bar = series.open.get(start_us)
            if bar is not None:
                bar.told += 1
            else:
                series.count(start_us)

    def forget_ticks(self) -> None:
        """Forgets which trades `tick_data` had."""
        self.ticks_received_us = 0
        for series in self.series.values():
            series.told = {}
            for bar in series.open.values():
                bar.told = 0

    def dump(self) -> bytes:
        """As JSON, without what only this process's clock knows."""
        series = {
            interval: {
                "newest_us": each.newest_us,
                "told": [*each.told.items(), *((start_us, bar.told) for start_us, bar in each.open.items())],
                "open": [
                    [start_us, bar.value.decode(), bar.seen.trades, bar.end_us, bar.revision, bar.seen.cancelled]
                    for start_us, bar in each.open.items()
                ],
            }
            for interval, each in self.series.items()
        }
        return orjson.dumps(
            {
                "ticks_received_us": self.ticks_received_us,
                "bars_received_us": self.bars_received_us,
                "priced": list(self.priced),
                "unpriced_us": self.unpriced_us,
                "traded_us": self.traded_us,
                "delay_us": self.delay_us,
                "series": series,
            }
        )

    @classmethod
    def load(cls, dumped: bytes, now: float) -> "Symbol":
        """What `dump` wrote.

        Args:
            dumped: From `dump`.
            now: Counts as its last arrival (steady clock, in s).
        """
        fields: dict[str, Any] = orjson.loads(dumped)
        symbol = cls(now)
        symbol.ticks_received_us = fields["ticks_received_us"]
        symbol.bars_received_us = fields["bars_received_us"]
        symbol.priced.extend(fields.get("priced", ()))  # a file of an earlier version lacks these four
        symbol.unpriced_us = fields.get("unpriced_us", 0)
        symbol.traded_us, symbol.delay_us = fields.get("traded_us", 0), fields.get("delay_us", 0)
        for interval, dumped_series in fields["series"].items():
            series = symbol.series[interval] = Series()
            series.newest_us = dumped_series["newest_us"]
            symbol.newest_us = max(symbol.newest_us, series.newest_us)
            series.next_due_us = 0  # looked at once, which finds the true one
            series.told = dict(dumped_series.get("told", ()))  # a file of an earlier version lacks it
            for start_us, value, trades, end_us, revision, *cancelled in dumped_series["open"]:
                series.begin(start_us, OpenBar(value.encode(), Seen(trades, *cancelled), end_us, revision))
        return symbol

"""Bars that changed after they had closed for good, and what a store must have before all after them is counted anew.

A store is written from the same topic, in the topic's order, by a process that may be behind. Where it has the newest
bar that is closed here it has all that was published before that one's final, and nothing is known of what came later:
revisions. So those are kept here until they are needed no more.
"""

from collections.abc import Callable, Iterable, Mapping
from heapq import nsmallest

from marketstream.analytics.indicator_state import Version
from marketstream.analytics.past import Past, is_stored
from marketstream.domain.market import Bar

# Revised bars that are kept until history is at hand; of more, the earliest. Of the others the version is remembered.
# A share's day of minutes, which a repair puts out at once, is within it.
REVISED_MAX = 512
# Of still more, the first, from which on to tell, and the latest: a repair publishes in the order of time.
OWED_MAX = 2_048
# Bars that count and may not be stored yet. Where there would be more, the store has to catch up first.
COUNTED_MAX = 2 * REVISED_MAX


class LateBars:
    """Late finals of one symbol and interval.

    Attributes:
        revised: See `LiveState`; by start.
        counted: See `LiveState`; by start.
        owed: See `LiveState`; by start.
        cold_since_us: See `LiveState`.
    """

    __slots__ = ("cold_since_us", "counted", "owed", "revised")

    def __init__(self) -> None:
        self.revised: dict[int, Bar] = {}
        self.counted: dict[int, tuple[int, Bar]] = {}
        self.owed: dict[int, Version] = {}
        self.cold_since_us: int | None = None

    @property
    def due(self) -> bool:
        """Whether something has to be counted anew."""
        return bool(self.revised or self.owed) or self.cold_since_us is not None

    @property
    def since_us(self) -> int:
        """From which bar on; only where something is due."""
        starts = [*self.revised, *self.owed]
        return min(starts if self.cold_since_us is None else [*starts, self.cold_since_us])

    def add(self, bar: Bar) -> None:
        """Keeps a final, if it is the newest version of its bar."""
        start_us = bar.start_us
        if start_us in self.owed:
            self.owed[start_us] = max(self.owed[start_us], bar.version)
            return
        if start_us in self.revised and bar.version <= self.revised[start_us].version:
            return
        self.revised[start_us] = bar
        if len(self.revised) > REVISED_MAX:
            latest = self.revised.pop(max(self.revised))
            self.owed[latest.start_us] = latest.version
        if len(self.owed) > OWED_MAX:
            del self.owed[nsmallest(2, self.owed)[1]]

    def begin_cold(self, bars: Iterable[Bar]) -> None:
        """Remembers that these, the first ones, are told without their past; some may be late, and not stored yet."""
        bars = list(bars)
        newest_us = max(bar.start_us for bar in bars)
        self.cold_since_us = min(bar.start_us for bar in bars)
        for bar in sorted((bar for bar in bars if bar.final), key=lambda bar: bar.version)[:REVISED_MAX]:
            self.count(bar, newest_us)

    def count(self, bar: Bar, newest_us: int) -> None:
        """Remembers that a bar counts, which may come later in the topic than others that are closed."""
        self.counted[bar.start_us] = (newest_us, bar)
        if len(self.counted) > COUNTED_MAX:
            del self.counted[min(self.counted)]

    def forget_stored(self, closed_us: int) -> None:
        """Forgets what is stored wherever the bar from `closed_us` is, the newest that is closed for good."""
        if self.counted:
            self.counted = {at: kept for at, kept in self.counted.items() if kept[0] >= closed_us}

    def leave_out(self, past: Past, reaches: Callable[[int], bool], history_bars: int) -> int:
        """Gives up what is too old for `past`; how many bars that are."""
        if self.cold_since_us is not None:
            self.cold_since_us = max(self.cold_since_us, past.first_with(history_bars))
        unreached = [start_us for start_us in (*self.revised, *self.owed) if not reaches(start_us)]
        for start_us in unreached:
            self.revised.pop(start_us, None)
            self.owed.pop(start_us, None)
        return len(unreached)

    def give_up(self) -> int:
        """Gives everything up, since there is no history; how many bars that are."""
        count = len(self.revised) + len(self.owed)
        self.revised, self.counted, self.owed, self.cold_since_us = {}, {}, {}, None
        return count

    def fits(self, stored: Mapping[int, Version]) -> bool:
        """Whether a store, which has all that is closed, and what is kept here have every version between them."""
        counted = self.counted.items()
        self.counted = {at: kept for at, kept in counted if not is_stored(kept[1].version, stored)}
        return len(self.counted) + len(self.revised) <= COUNTED_MAX and all(
            is_stored(version, stored) for version in self.owed.values()
        )

    def laid_over(self, bars: Iterable[Bar], end_us: int) -> list[Bar]:
        """Stored bars before `end_us` with those kept here in their places, void ones left out; the oldest first."""
        row = {bar.start_us: bar for bar in bars if bar.start_us < end_us}
        for bar in (*(bar for _, bar in self.counted.values()), *self.revised.values()):
            known = row.get(bar.start_us)
            if bar.start_us < end_us and (known is None or bar.version > known.version):
                row[bar.start_us] = bar
        return [row[start_us] for start_us in sorted(row) if not row[start_us].void]

    def done(self, newest_us: int) -> None:
        """Everything due is told."""
        for bar in self.revised.values():
            self.count(bar, newest_us)
        self.revised, self.owed, self.cold_since_us = {}, {}, None

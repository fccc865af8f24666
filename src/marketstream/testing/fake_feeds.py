"""An in-memory `FeedReader`, filled with the events themselves; keeps the port's promises by plain recomputation."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from fractions import Fraction

from marketstream.contracts.feed_state import EventPlace, FeedState, GapCounts, GapPlace, MinuteRecord
from marketstream.contracts.messages import FeedEvent, FeedEventKind, FeedGap, GapState, encode
from marketstream.domain.interval import MICROSECONDS
from marketstream.domain.market import Tick
from marketstream.ports import FeedReader
from marketstream.testing.fakes import Switchable

_MINUTE_US = 60 * MICROSECONDS


class InMemoryFeedReader(Switchable, FeedReader):
    """A reader over feed events and ticks held in memory.

    Attributes:
        available: Set it to False to make every read raise `StoreUnavailableError`.
    """

    def __init__(self, items: Iterable[FeedEvent | Tick] = ()) -> None:
        super().__init__()
        self._feeds: dict[str, FeedState] = {}
        self._events: list[FeedEvent] = []
        self._gaps: dict[str, FeedGap] = {}
        self._ticks: dict[tuple[str, str, str, int], Tick] = {}
        self.add(*items)

    def add(self, *items: FeedEvent | Tick) -> None:
        """Stores events and ticks, in the order in which they were published."""
        for item in items:
            if isinstance(item, Tick):
                self._ticks.setdefault((item.symbol, item.provider, item.trade_id, item.event_time_us), item)
                continue
            if item.kind != "status" and item not in self._events:
                self._events.append(item)
            if item.kind != "gap":
                self._take_state(item)
            if item.gap is not None:
                known = self._gaps.get(item.gap.gap_id)
                if known is None or item.gap.updated_us >= known.updated_us:
                    self._gaps[item.gap.gap_id] = item.gap

    def feeds(self) -> list[FeedState]:
        """Every provider that was ever heard of, by name."""
        self.ping()
        counts: dict[str, Counter[GapState]] = {}
        for gap in self._gaps.values():
            counts.setdefault(gap.provider, Counter())[gap.state] += 1
        known = {name: FeedState(provider=name) for name in counts} | self._feeds
        return [replace(known[name], gaps=_counted(counts.get(name, Counter()))) for name in sorted(known)]

    def events(
        self, *, provider: str | None, kind: FeedEventKind | None, before: EventPlace | None = None, limit: int
    ) -> list[tuple[EventPlace, FeedEvent]]:
        """The newest `limit` events that stand before a place, oldest first."""
        self.ping()
        kept = [((event.time_us, event.provider, encode(event).hex()), event) for event in self._events]
        found = [
            (place, event)
            for place, event in sorted(kept, key=lambda entry: entry[0])
            if provider in (None, event.provider) and kind in (None, event.kind) and (before is None or place < before)
        ]
        return found[-limit:] if limit > 0 else []

    def gaps(
        self,
        *,
        symbol: str | None,
        provider: str | None,
        state: GapState | None,
        between_us: tuple[int | None, int | None],
        before: GapPlace | None = None,
        limit: int,
    ) -> list[FeedGap]:
        """The newest `limit` gaps, by their start, that touch the range and stand before a place, oldest first."""
        self.ping()
        start_us, end_us = between_us
        found = [
            gap
            for gap in sorted(self._gaps.values(), key=lambda gap: (gap.start_us, gap.gap_id))
            if symbol in (None, gap.symbol)
            and provider in (None, gap.provider)
            and state in (None, gap.state)
            and (start_us is None or gap.end_us >= start_us)
            and (end_us is None or gap.start_us < end_us)
            and (before is None or (gap.start_us, gap.gap_id) < before)
        ]
        return found[-limit:] if limit > 0 else []

    def completeness(self, symbols: Sequence[str], start_us: int, end_us: int) -> list[MinuteRecord]:
        """What is known of every minute in the range, by symbol and time."""
        self.ping()
        return [
            self._minute(symbol, minute_us)
            for symbol in sorted(set(symbols))
            for minute_us in range(start_us, end_us, _MINUTE_US)
        ]

    def _take_state(self, event: FeedEvent) -> None:
        known = self._feeds.get(event.provider, FeedState(provider=event.provider))
        if known.time_us is not None and event.time_us < known.time_us:
            return
        newest = replace(
            known,
            role=event.role or known.role,
            fault=event.fault,
            attempt=event.attempt,
            lag_ms=event.lag_ms,
            time_us=event.time_us,
        )
        if event.kind != "status":
            newest = replace(newest, kind=event.kind, detail=event.detail, event_time_us=event.time_us)
        self._feeds[event.provider] = newest

    def _minute(self, symbol: str, minute_us: int) -> MinuteRecord:
        end_us = minute_us + _MINUTE_US
        stored = sum(
            tick.symbol == symbol and minute_us <= tick.event_time_us < end_us for tick in self._ticks.values()
        )
        missing = Fraction(0)
        uncovered: list[tuple[int, int]] = []
        touching: list[str] = []
        for gap in self._gaps.values():
            part = _part_inside(gap, minute_us, end_us)
            if gap.symbol != symbol or gap.state == "closed" or part is None:
                continue
            touching.append(gap.gap_id)
            if gap.missing is None:
                uncovered.append(part)
            else:
                span = abs(gap.end_us - gap.start_us)
                missing += gap.missing * (Fraction(part[1] - part[0], span) if span else 1)
        return MinuteRecord(
            symbol=symbol,
            minute_us=minute_us,
            ticks=stored,
            missing=float(missing),
            uncovered_seconds=_length_us(uncovered) / MICROSECONDS,
            gap_ids=tuple(sorted(touching)),
        )


def _counted(states: Counter[GapState]) -> GapCounts:
    return GapCounts(open=states["open"], closed=states["closed"], unfillable=states["unfillable"])


def _part_inside(gap: FeedGap, start_us: int, end_us: int) -> tuple[int, int] | None:
    first, last = sorted((gap.start_us, gap.end_us))
    if first >= end_us or (last <= start_us and first < start_us):
        return None
    return max(first, start_us), min(last, end_us)


def _length_us(parts: Iterable[tuple[int, int]]) -> int:
    """How long the parts are together, what overlaps counted once."""
    length, reached = 0, 0
    for start_us, end_us in sorted(parts):
        length += max(0, end_us - max(start_us, reached))
        reached = max(reached, end_us)
    return length

"""Tells of every trade whether it goes on with its symbol's stream, fills a hole or came before; finds the holes.

Pure: no clock, no network. Two kinds of proof: a provider that numbers its trades without holes leaves nothing out
unnoticed; of any other, the time between two sessions is all that can be doubted. Where one provider takes over from
another, numbers mean nothing: what the new one says of the time before is passed over, and of the same millisecond only
what the old one had not said.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from enum import Enum, auto

from marketstream.domain.market import Tick

_LAST_SEQUENCE = 2**63
# A lower number with a time so much newer than all before is no old trade: the provider has begun to count anew.
_RENUMBERED_US = 1_000_000
Order = tuple[int, int]  # (event time in µs, sequence)
Print = tuple[float, float]  # what two providers' reports of one trade have in common: price and size


class Place(Enum):
    """Where a trade stands in its symbol's stream."""

    NEXT = auto()  # nothing speaks against it
    MISSING = auto()  # it was known to be missing, and now is not
    SEEN = auto()  # it has come before


@dataclass(slots=True, eq=False)
class Hole:
    """A stretch of one symbol's trades that did not come by the stream.

    Attributes:
        provider: Whose trades are missing.
        symbol: Canonical symbol.
        before: Order of the last trade before the hole.
        after: Order of the first trade after it.
        ranges: The missing numbers as closed ranges, rising; None where nothing numbers them.
        prints: What was told of the milliseconds at the borders, by millisecond.
        by_content: Whether another provider told it, so that only what trades are like says which are the same.
        hole_id: The same for the same hole found again.
        found_ids: Trades without numbers that have been found.
        filled: How many have been found.
    """

    provider: str
    symbol: str
    before: Order
    after: Order
    ranges: list[tuple[int, int]] | None
    prints: dict[int, list[Print]] = field(default_factory=dict)
    by_content: bool = False
    hole_id: str = ""
    found_ids: set[str] = field(default_factory=set)
    filled: int = 0

    def __post_init__(self) -> None:
        start = self.ranges[0][0] if self.ranges else f"t{self.before[0]}"
        self.hole_id = self.hole_id or f"{self.provider}:{self.symbol}:{start}"

    @property
    def missing(self) -> int | None:
        """How many trades are still missing; None where nothing proves a number."""
        return None if self.ranges is None else sum(last - first + 1 for first, last in self.ranges)

    def take(self, tick: Tick) -> bool:
        """Whether the trade is one of the missing; then it no longer is."""
        if tick.provider != self.provider:
            return False
        if self.ranges is not None:
            return self._take_number(tick.sequence)
        if not self.before < tick.order < self.after or tick.trade_id in self.found_ids:
            return False
        self.found_ids.add(tick.trade_id)
        told = self.prints.get(tick.event_time_us // 1_000, []) if self.by_content else []
        if (tick.price, tick.size) in told:
            told.remove((tick.price, tick.size))
            return False
        self.filled += 1
        return True

    def note(self, tick: Tick) -> None:
        """Notes a trade that came by the stream, in case another provider is asked about its millisecond."""
        time_ms = tick.event_time_us // 1_000
        if self.ranges is None and time_ms == self.after[0] // 1_000:
            self.prints.setdefault(time_ms, []).append((tick.price, tick.size))

    def ask(self, provider: str) -> None:
        """Turns to another provider: of the milliseconds at the borders, what is not known by content is missing."""
        self.provider = provider
        self.by_content = True
        self.before = (self.before[0] // 1_000 * 1_000, -_LAST_SEQUENCE)
        self.after = ((self.after[0] // 1_000 + 1) * 1_000, -_LAST_SEQUENCE)

    def _take_number(self, number: int) -> bool:
        for index, (first, last) in enumerate(self.ranges or ()):
            if first <= number <= last and self.ranges is not None:
                pieces = [(first, number - 1), (number + 1, last)]
                self.ranges[index : index + 1] = [piece for piece in pieces if piece[0] <= piece[1]]
                self.filled += 1
                return True
        return False


class _Stream:
    """One symbol's stream.

    Attributes:
        provider: Whose trades it is made of at present.
        floor: The first number of this stretch; of smaller ones nothing is known.
        last: The highest number so far.
        newest: Order of the newest trade.
        prints: The trades of the newest one's millisecond.
        doubtful: A new session began, and no trade of it has come yet.
        successor: Another provider that has begun to report, but nothing newer yet.
        overlaps: Whether the successor has reported something that is not newer, so that nothing is between them.
        holes: What is missing.
    """

    __slots__ = ("doubtful", "floor", "holes", "last", "newest", "overlaps", "prints", "provider", "successor")

    def __init__(self, tick: Tick) -> None:
        self.provider = tick.provider
        self.floor = self.last = tick.sequence
        self.newest = tick.order
        self.prints: list[Print] = [(tick.price, tick.size)]
        self.doubtful = False
        self.successor = ""
        self.overlaps = False
        self.holes: list[Hole] = []


class Continuity:
    """Follows every symbol's stream.

    Args:
        numbered: The providers that number their trades without holes.
    """

    def __init__(self, numbered: Collection[str] = ()) -> None:
        self._numbered = frozenset(numbered)
        self._streams: dict[str, _Stream] = {}
        self._new_holes: list[Hole] = []

    def place(self, tick: Tick) -> Place:
        """Where the next trade that arrived stands. Ask only of trades with a known symbol and a sane time."""
        stream = self._streams.get(tick.symbol)
        if stream is None:
            self._streams[tick.symbol] = _Stream(tick)
            return Place.NEXT
        if tick.provider != stream.provider:
            return self._place_of_other(stream, tick)
        if tick.provider in self._numbered:
            number = tick.sequence
            if number != stream.last + 1:
                return self._place_out_of_turn(stream, tick)
            stream.last = number
        elif stream.doubtful or stream.holes:
            place = self._place_in_time(stream, tick)
            if place is not Place.NEXT:
                return place
        _advance(stream, tick)
        for hole in stream.holes:
            hole.note(tick)
        return Place.NEXT

    def session_started(self, provider: str) -> None:
        """A connection of the provider's begins: what happened since its last trades is unknown."""
        for stream in self._streams.values():
            stream.doubtful = stream.doubtful or stream.provider == provider

    def new_holes(self) -> list[Hole]:
        """The holes found since last asked."""
        holes, self._new_holes = self._new_holes, []
        return holes

    def add_hole(self, hole: Hole) -> None:
        """Takes a hole known from before; trades of it that come by the stream count as found."""
        if (stream := self._streams.get(hole.symbol)) is not None:
            stream.holes.append(hole)

    def settle(self, provider: str, symbol: str, first: int, last: int) -> None:
        """Takes numbers that will never come, as was found out before; no new hole holds them."""
        for hole in self._new_holes:
            if hole.provider == provider and hole.symbol == symbol and hole.ranges is not None:
                hole.ranges = [piece for span in hole.ranges for piece in _outside(span, first, last)]
        self._new_holes = [hole for hole in self._new_holes if hole.missing != 0]

    def forget(self, hole: Hole) -> None:
        """The hole is filled, or never will be."""
        stream = self._streams.get(hole.symbol)
        if stream is not None and hole in stream.holes:
            stream.holes.remove(hole)

    def restore(self, live: Iterable[Tick], fetched: Iterable[Tick]) -> None:
        """Takes what was published before: by the stream, in its order, and fetched to fill holes.

        What a crash left missing between them is among `new_holes` then.
        """
        for tick in live:
            self.place(tick)
        for tick in fetched:
            stream = self._streams.get(tick.symbol)
            for hole in stream.holes if stream else ():
                if hole.take(tick):
                    break
        for stream in self._streams.values():
            stream.doubtful = True
            stream.holes = [hole for hole in stream.holes if hole.missing]
        # A provider that took over while the doubt was young was dealt with by the process that died.
        self._new_holes = [hole for hole in self._new_holes if hole.missing]

    def newest_us(self, symbol: str) -> int | None:
        """Event time of the symbol's newest trade, µs UTC."""
        stream = self._streams.get(symbol)
        return stream.newest[0] if stream else None

    def _place_out_of_turn(self, stream: _Stream, tick: Tick) -> Place:
        number = tick.sequence
        if number > stream.last:
            self._open(stream, tick, [(stream.last + 1, number - 1)])
            stream.last = number
            _advance(stream, tick)
            return Place.NEXT
        if any(hole.take(tick) for hole in stream.holes):
            return Place.MISSING
        if tick.event_time_us > stream.newest[0] + _RENUMBERED_US:
            self._open(stream, tick, None)
            stream.floor = stream.last = number
            _advance(stream, tick)
            return Place.NEXT
        return Place.NEXT if number < stream.floor else Place.SEEN

    def _place_in_time(self, stream: _Stream, tick: Tick) -> Place:
        if stream.doubtful:
            stream.doubtful = False
            if tick.order > stream.newest:
                self._open(stream, tick, None)
        elif any(hole.take(tick) for hole in stream.holes):
            return Place.MISSING
        return Place.NEXT

    def _place_of_other(self, stream: _Stream, tick: Tick) -> Place:
        if stream.successor != tick.provider:
            stream.successor, stream.overlaps = tick.provider, False
        time_ms, cut_ms = tick.event_time_us // 1_000, stream.newest[0] // 1_000
        if time_ms <= cut_ms:
            stream.overlaps = True
            if time_ms < cut_ms:
                return Place.SEEN
            if (tick.price, tick.size) in stream.prints:
                stream.prints.remove((tick.price, tick.size))
                return Place.SEEN
            return Place.NEXT
        if not stream.overlaps:
            self._open_seam(stream, tick, cut_ms)
        stream.provider, stream.successor, stream.doubtful = tick.provider, "", False
        stream.floor = stream.last = tick.sequence
        _advance(stream, tick)
        return Place.NEXT

    def _open(self, stream: _Stream, tick: Tick, ranges: list[tuple[int, int]] | None) -> None:
        prints = {} if ranges else {stream.newest[0] // 1_000: list(stream.prints)}
        hole = Hole(tick.provider, tick.symbol, stream.newest, tick.order, ranges, prints)
        stream.holes.append(hole)
        self._new_holes.append(hole)

    def _open_seam(self, stream: _Stream, tick: Tick, cut_ms: int) -> None:
        before = (cut_ms * 1_000, -_LAST_SEQUENCE)  # its own numbers begin anew, so the whole millisecond is looked at
        hole = Hole(
            tick.provider, tick.symbol, before, tick.order, None, {cut_ms: list(stream.prints)}, by_content=True
        )
        hole.note(tick)
        stream.holes.append(hole)
        self._new_holes.append(hole)


def _outside(span: tuple[int, int], first: int, last: int) -> list[tuple[int, int]]:
    """What a closed range leaves of another."""
    pieces = [(span[0], min(span[1], first - 1)), (max(span[0], last + 1), span[1])]
    return [piece for piece in pieces if piece[0] <= piece[1]] if first <= span[1] and last >= span[0] else [span]


def _advance(stream: _Stream, tick: Tick) -> None:
    time_us = tick.event_time_us
    newest_us = stream.newest[0]
    if time_us // 1_000 > newest_us // 1_000:
        stream.newest = (time_us, tick.sequence)
        stream.prints = [(tick.price, tick.size)]
    elif time_us // 1_000 == newest_us // 1_000:
        stream.prints.append((tick.price, tick.size))
        stream.newest = max(stream.newest, (time_us, tick.sequence))

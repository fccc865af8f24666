"""Decides which parsed ticks go on: known symbol, sane time, in time, not seen before. Pure; the time is passed in.

Lateness is decided here and nowhere else, against the symbol's own newest event time, so that what is on `tick_data` is
exactly what bars contain. A trade that was proven to be missing is never late.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from marketstream.domain.market import Tick
from marketstream.domain.outcomes import Reason
from marketstream.producers.continuity import Continuity, Place

_EARLIEST_US = 631_152_000_000_000  # 1990-01-01
_DAY_US = 86_400_000_000


class Verdict(Enum):
    """What becomes of a tick that is not refused."""

    ACCEPTED = auto()
    DUPLICATE = auto()


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a tick is refused."""

    reason: Reason
    detail: str


class _Recent:
    """One symbol's newest event time, and the identities of its ticks by span of one lateness.

    A tick in time lies in the newest span or the one before, so older spans go: memory is bounded by what a symbol
    trades in two spans.
    """

    __slots__ = ("newest_us", "spans")

    def __init__(self) -> None:
        self.newest_us = 0
        self.spans: dict[int, set[tuple[str, str]]] = {}


class TickValidator:
    """Judges ticks in their order of arrival and remembers what it accepted.

    Args:
        symbols: Canonical symbols that are known.
        allowed_lateness_seconds: A tick further behind its symbol's newest event time is late.
        continuity: Follows the symbols' streams; one of its own unless given.
    """

    def __init__(
        self, symbols: Iterable[str], allowed_lateness_seconds: float, continuity: Continuity | None = None
    ) -> None:
        self.continuity = continuity or Continuity()
        self._lateness_us = round(allowed_lateness_seconds * 1_000_000)
        self._span_us = max(self._lateness_us, 1_000_000)
        self._recent = {symbol: _Recent() for symbol in symbols}

    def judge(self, tick: Tick, now_us: int) -> Verdict | Refusal:
        """The verdict on the next tick. Equal times with distinct ids are distinct trades.

        Args:
            tick: A parsed tick.
            now_us: The current time, µs UTC.
        """
        recent = self._recent.get(tick.symbol)
        if recent is None:
            return _unknown(tick.symbol)
        time_us = tick.event_time_us
        if not _EARLIEST_US <= time_us <= now_us + _DAY_US:
            return _senseless(time_us)
        place = self.continuity.place(tick)
        if place is Place.SEEN:
            return Verdict.DUPLICATE
        behind_us = recent.newest_us - time_us
        if behind_us > self._lateness_us and place is Place.NEXT:
            return self._late(behind_us)
        return self._remember(recent, tick, behind_us)

    def judge_fetched(self, tick: Tick, now_us: int) -> Verdict | Refusal:
        """The verdict on a tick that was missing and has been fetched: it can't be late.

        Args:
            tick: A parsed tick that is known not to have been published.
            now_us: The current time, µs UTC.
        """
        recent = self._recent.get(tick.symbol)
        if recent is None:
            return _unknown(tick.symbol)
        if not _EARLIEST_US <= tick.event_time_us <= now_us + _DAY_US:
            return _senseless(tick.event_time_us)
        return self._remember(recent, tick, recent.newest_us - tick.event_time_us)

    def restore(self, live: Sequence[Tick], fetched: Sequence[Tick] = ()) -> None:
        """Takes ticks that were published before, so that none of them is accepted again.

        Args:
            live: Those that came by the stream, each symbol's in the order of publication.
            fetched: Those that were fetched to fill holes, in any order.
        """
        known = [tick for tick in live if tick.symbol in self._recent]
        self.continuity.restore(known, fetched)
        for tick in (*known, *fetched):
            recent = self._recent.get(tick.symbol)
            if recent is not None:
                self._remember(recent, tick, recent.newest_us - tick.event_time_us)
        for recent in self._recent.values():
            self._forget(recent, before_us=recent.newest_us - self._lateness_us)

    def newest_us(self, symbol: str) -> int | None:
        """The symbol's newest accepted event time, µs UTC."""
        recent = self._recent.get(symbol)
        return recent.newest_us or None if recent else None

    def remembered(self) -> int:
        """How many identities are held."""
        return sum(len(span) for recent in self._recent.values() for span in recent.spans.values())

    def _remember(self, recent: _Recent, tick: Tick, behind_us: int) -> Verdict:
        time_us = tick.event_time_us
        if behind_us > 2 * self._span_us:
            return Verdict.ACCEPTED  # nothing so old is remembered; that it is missing was proven elsewhere
        index = time_us // self._span_us
        span = recent.spans.get(index)
        if span is None:
            # Old identities go before the comparison: providers use ids again, from one day to the next for instance.
            self._forget(recent, before_us=max(time_us, recent.newest_us) - self._lateness_us)
            span = recent.spans[index] = set()
        identity = (tick.provider, tick.trade_id)
        for known in recent.spans.values():
            if identity in known:
                return Verdict.DUPLICATE
        span.add(identity)
        if behind_us < 0:
            recent.newest_us = time_us
        return Verdict.ACCEPTED

    def _forget(self, recent: _Recent, *, before_us: int) -> None:
        oldest = before_us // self._span_us
        recent.spans = {index: span for index, span in recent.spans.items() if index >= oldest}

    def _late(self, behind_us: int) -> Refusal:
        allowed = self._lateness_us / 1_000_000
        return Refusal(
            Reason.LATE, f"{behind_us / 1_000_000:g} s behind its symbol's newest; {allowed:g} s are allowed"
        )


def _unknown(symbol: str) -> Refusal:
    return Refusal(Reason.UNKNOWN_SYMBOL, f"{symbol} is none of the configured symbols")


def _senseless(time_us: int) -> Refusal:
    return Refusal(Reason.TIME_OUT_OF_RANGE, f"{time_us} µs is before 1990 or more than a day ahead of now")

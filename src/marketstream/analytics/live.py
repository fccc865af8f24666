"""The indicators of one symbol and interval as versions of its bars arrive: open bars, final ones, and revised ones.

Bars stand in a row by their time. Those at its front that nothing can change any more are closed for good; those after
them wait, each in its newest version. What is told of a bar is told as if all before it had closed as they stand. A bar
of which everything was cancelled, a void one, waits in its place too, and counts for nothing. One that is closed for
good and revised in spite of it (by trades that were fetched) is kept aside until history is at hand, from which all
after it is counted anew.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter

from marketstream.analytics.counting import closing, count, newest_and_finals, numbers, told_on
from marketstream.analytics.indicator_state import Version
from marketstream.analytics.indicators import IndicatorCalculator
from marketstream.analytics.late import LateBars
from marketstream.analytics.live_state import LiveState
from marketstream.analytics.parameters import IndicatorParameters
from marketstream.analytics.past import Past
from marketstream.analytics.sessions import Sessions
from marketstream.domain.indicators import Indicators
from marketstream.domain.market import Bar

# Bars that wait for their final; beyond, the oldest closes as it stands. A minute of bars of a second.
WAITING_MAX = 64
# A bar received so long ago that the stores must have its first version: it is read again, or a writer is behind.
_READ_AGAIN_US = 60_000_000
_NEVER_US = 2**63


class LiveIndicators:
    """Indicators that follow the bars' versions.

    Args:
        parameters: The indicators' periods.
        sessions: The symbol's trading sessions.
        lateness_us: A final bar can be revised until a trade that much after its end has been seen.

    Attributes:
        stale: How many bars were left out because they are older than what is closed for good: provisional ones, which
            their final follows, and finals for which no history was at hand, or none that reaches back so far.
    """

    __slots__ = ("_base", "_closed", "_late", "_lateness_us", "_parameters", "_sessions", "_waiting", "stale")

    def __init__(self, parameters: IndicatorParameters, sessions: Sessions, lateness_us: int) -> None:
        self._parameters, self._sessions, self._lateness_us = parameters, sessions, lateness_us
        self._base: IndicatorCalculator | None = None  # as `_closed` says, until it goes on to the bars that wait
        self._closed: bytes | None = None
        self._waiting: dict[int, Bar] = {}
        self._late = LateBars()
        self.stale = 0

    @property
    def waiting(self) -> Sequence[Bar]:
        """The newest version of each bar after those that are closed for good, void ones too; the oldest first."""
        return [self._waiting[start_us] for start_us in sorted(self._waiting)]

    @property
    def revised(self) -> Sequence[Bar]:
        """Finals of bars before those closed last, which `recall` has yet to put in their places; the oldest first."""
        return [self._late.revised[start_us] for start_us in sorted(self._late.revised)]

    @property
    def recalls(self) -> tuple[int, int] | None:
        """What `recall` needs: back from which bar on there must be a past, and its end, in µs; None if nothing."""
        if not self._late.due:
            return None
        closed = self._newest_closed()
        end_us = max(self._waiting, default=0) if closed is None else min(self._waiting, default=closed[0])
        return self._late.since_us, end_us + 1

    def state(self) -> LiveState:
        """Everything to go on from."""
        late = self._late
        counted = tuple(late.counted[start_us] for start_us in sorted(late.counted))
        owed = tuple(sorted(late.owed.values()))
        return LiveState(self._closed, tuple(self.waiting), tuple(self.revised), counted, owed, late.cold_since_us)

    def restore(self, state: LiveState) -> None:
        """Goes on from there, in place of all that was seen.

        Raises:
            IndicatorStateError: The state is not of these parameters.
        """
        self._base = self._calculator(state.closed)
        self._closed = state.closed
        self._waiting = {bar.start_us: bar for bar in state.waiting}
        self._late = late = LateBars()
        late.revised = {bar.start_us: bar for bar in state.revised}
        late.counted = {kept[1].start_us: kept for kept in state.counted}
        late.owed = {version[0]: version for version in state.owed}
        late.cold_since_us = state.cold_since_us

    def warm(self, past: Past, arriving: Sequence[Bar], now_us: int) -> bool:
        """Puts past bars before the very first ones, each as it stands.

        Args:
            past: Past bars. Those between bars that arrive will wait among them.
            arriving: What `take` is given next, of which there is something. What `past` does not reach back for will
                be late.
            now_us: The time, µs UTC.

        Returns:
            Whether it did: not where `past` may lack bars, since it lacks the first one, which was received long ago.
        """
        known = sorted({bar.start_us for bar in arriving})
        reached_us = past.first_with(self._parameters.history_bars)
        first_us = next((start_us for start_us in known if start_us >= reached_us), known[-1])
        in_turn = [bar for bar in arriving if bar.start_us >= first_us and (bar.provider or not bar.revision)]
        first = min(
            in_turn, key=attrgetter("start_us"), default=arriving[-1]
        )  # a revision may be late, and tells nothing
        if first.last_received_time_us < now_us - _READ_AGAIN_US and not past.reaches_to(first.start_us):
            return False
        warmed = self._calculator(None)
        warmed.warm(closing(bar) for bar in past.bars if bar.start_us < first_us)
        if warmed.count:
            self._base, self._closed = warmed, warmed.state()
        between = (bar for bar in past.bars if bar.start_us > first_us and bar.start_us not in known)
        self._waiting = {bar.start_us: bar for bar in between}
        return True

    def begin_cold(self, arriving: Iterable[Bar]) -> None:
        """Goes on without a past until `recall` is given one: what needs all of it is not told before.

        Args:
            arriving: What `take` is given next, of which there is something.
        """
        self._late.begin_cold(arriving)

    def recall(self, past: Past) -> list[Indicators]:
        """Counts anew from past bars, with the revised ones in their places; those that wait come after them.

        Args:
            past: As `recalls` says.

        Returns:
            What the earliest revised bar, or the first one told without its past, and all after it say now; nothing,
            and nothing has changed, where something is closed or revised here that `past` doesn't know yet and must.
            What `past` doesn't reach back for is left out as stale.
        """
        late = self._late
        self.stale += late.leave_out(past, self._reach(past), self._parameters.history_bars)
        if not late.due or not self._fits(past):
            return []
        since_us, first_us = late.since_us, min(self._waiting, default=_NEVER_US)
        bars = late.laid_over(past.bars, first_us)
        calculator = self._calculator(None)
        calculator.warm(closing(bar) for bar in bars if bar.start_us < since_us)
        told = list(told_on(calculator, (bar for bar in bars if bar.start_us >= since_us)))
        self._base, self._closed = None, calculator.state() if calculator.count else None
        late.done(max(self._waiting, default=since_us))
        return told + list(told_on(calculator, self.waiting))

    def give_up(self) -> None:
        """Leaves the revised bars out: there is no history to put them in."""
        self.stale += self._late.give_up()

    def take(self, bars: Iterable[Bar]) -> list[Indicators]:
        """What versions of bars, in any order, say.

        Of each bar all final versions and the newest one are told, if they are not older than what is known; and the
        bars that wait after one whose prices or volume changed are told again, for their indicators change with it.
        """
        base = self._base or self._calculator(self._closed)
        arrived, changed_us = self._merge(bars, base)
        waiting = self.waiting
        telling = {bar.start_us: [bar] for bar in waiting if bar.start_us > changed_us and not bar.void} | arrived
        if not telling and len(waiting) <= 2 * WAITING_MAX:
            self._base = base
            return []
        return self._walk(base, waiting, telling)

    def _calculator(self, closed: bytes | None) -> IndicatorCalculator:
        calculator = IndicatorCalculator(self._parameters, self._sessions)
        if closed is not None:
            calculator.restore(closed)
        return calculator

    def _merge(self, bars: Iterable[Bar], base: IndicatorCalculator) -> tuple[dict[int, list[Bar]], int]:
        """Puts new versions into the row: which are to be told, by start, and from which start on numbers changed."""
        arrived: dict[int, list[Bar]] = {}
        changed_us, closed = _NEVER_US, base.newest
        for bar in sorted(newest_and_finals(bars), key=attrgetter("version")):
            start_us = bar.start_us
            known = self._waiting.get(start_us)
            newest = closed if known is None else known.version
            if newest is not None and bar.version < newest:
                if start_us < newest[0]:
                    self._keep_aside(bar)
                continue
            closed_anew = known is None and newest is not None and start_us == newest[0]
            if closed_anew or numbers(known) != numbers(bar):
                changed_us = min(changed_us, start_us)
            self._waiting[start_us] = bar
            if bar.void:  # all it had was cancelled
                arrived.pop(start_us, None)
                continue
            versions = arrived.setdefault(start_us, [])
            if versions and not versions[-1].final:
                versions.pop()
            versions.append(bar)
        return arrived, changed_us

    def _newest_closed(self) -> Version | None:
        return (self._base or self._calculator(self._closed)).newest

    def _keep_aside(self, bar: Bar) -> None:
        """Keeps a final for `recall`, in its newest version."""
        if bar.final:
            self._late.add(bar)
        else:
            self.stale += 1

    def _fits(self, past: Past) -> bool:
        """Whether past bars and what is kept here are all there is: what `past` may lack is known."""
        closed, stored = self._newest_closed(), past.versions()
        if closed is None:
            return past.reaches_to(max(self._waiting, default=_NEVER_US)) and self._late.fits(stored)
        there = stored.get(closed[0])  # it is absent, too, where it was voided: then the next to close decides
        return there is not None and there >= closed and self._late.fits(stored)

    def _reach(self, past: Past) -> Callable[[int], bool]:
        """Whether everything is in `past` that the indicators of a bar with some start depend on."""
        starts = [bar.start_us for bar in past.bars]

        def reaches(start_us: int) -> bool:
            if past.complete:
                return True
            session = self._sessions.session_of(start_us)
            enough = bisect_left(starts, start_us) >= self._parameters.history_bars
            return enough and (session is None or starts[0] <= session.open_us)

        return reaches

    def _walk(
        self, calculator: IndicatorCalculator, waiting: Sequence[Bar], telling: Mapping[int, Sequence[Bar]]
    ) -> list[Indicators]:
        """Closes bar after bar, as if all were final, as far as there is something to tell; keeps what is for good."""
        told: list[Indicators] = []
        settled, last_us = self._settled(waiting), max(telling, default=-_NEVER_US)
        for number, bar in enumerate(waiting, start=1):
            versions = telling.get(bar.start_us, ())
            told += [Indicators.of(version, self._preview(calculator, version)) for version in versions]
            if bar.start_us >= last_us and number > settled:
                break
            count(calculator, bar)
            if number <= settled:
                self._settle(bar, waiting[-1].start_us)
            if number == settled and calculator.newest is not None:
                self._closed = calculator.state()
        self._base = None
        return told

    def _preview(self, calculator: IndicatorCalculator, bar: Bar) -> Mapping[str, float]:
        """The values, without those that a past that is not there yet would change."""
        values = calculator.preview(bar)
        if self._late.cold_since_us is None or calculator.count >= self._parameters.history_bars:
            return values
        return {name: value for name, value in values.items() if name not in self._parameters.seeded}

    def _settle(self, bar: Bar, newest_us: int) -> None:
        """A bar waits no more. A version that is not its first final may come later than finals of bars after it."""
        del self._waiting[bar.start_us]
        if bar.revision or bar.void:
            self._late.count(bar, newest_us)
        if not bar.void:
            self._late.forget_stored(bar.start_us)

    def _settled(self, waiting: Sequence[Bar]) -> int:
        """How many bars at the row's front no trade in time can change; the newest is never among them.

        A void bar is not the last of them, unless there are too many: until a later one closes it keeps its own older
        versions out.
        """
        newest_us = max(bar.last_event_time_us for bar in waiting) - self._lateness_us
        settled = max(0, len(waiting) - WAITING_MAX)
        while settled < len(waiting) - 1 and waiting[settled].final and waiting[settled].end_us <= newest_us:
            settled += 1
        while settled > max(0, len(waiting) - 2 * WAITING_MAX) and waiting[settled - 1].void:
            settled -= 1
        return settled

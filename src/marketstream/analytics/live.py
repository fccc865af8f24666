"""The indicators of one symbol and interval as versions of its bars arrive: open bars, final ones, and revised ones.

Bars stand in a row by their time. Those at its front that nothing can change any more are closed for good; those after
them wait, each in its newest version. What is told of a bar is told as if all before it had closed as they stand. One
that is closed for good and revised in spite of it (by trades that were fetched) is kept aside until history is at hand,
from which all after it is counted anew.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from marketstream.analytics.indicator_state import Version
from marketstream.analytics.indicators import IndicatorCalculator
from marketstream.analytics.parameters import IndicatorParameters
from marketstream.analytics.sessions import Sessions
from marketstream.domain.indicators import Indicators
from marketstream.domain.market import Bar

# Bars that wait for their final; beyond, the oldest closes as it stands. A minute of bars of a second.
WAITING_MAX = 64
# Revised bars that are kept until history is at hand; beyond, the latest go, which the history has by then.
REVISED_MAX = 64
_NEVER_US = 2**63


@dataclass(frozen=True, slots=True)
class Past:
    """Past bars of one symbol and interval.

    Attributes:
        bars: The oldest first, without a hole.
        complete: There is none before them.
    """

    bars: Sequence[Bar]
    complete: bool


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

    __slots__ = ("_base", "_closed", "_lateness_us", "_parameters", "_revised", "_sessions", "_waiting", "stale")

    def __init__(self, parameters: IndicatorParameters, sessions: Sessions, lateness_us: int) -> None:
        self._parameters, self._sessions, self._lateness_us = parameters, sessions, lateness_us
        self._base: IndicatorCalculator | None = None  # as `_closed` says, until it goes on to the bars that wait
        self._closed: bytes | None = None
        self._waiting: dict[int, Bar] = {}
        self._revised: dict[int, Bar] = {}
        self.stale = 0

    @property
    def closed(self) -> bytes | None:
        """The calculator's state after the bars that are closed for good; None before the first."""
        return self._closed

    @property
    def waiting(self) -> Sequence[Bar]:
        """The newest version of each bar after those, the oldest bar first."""
        return [self._waiting[start_us] for start_us in sorted(self._waiting)]

    @property
    def revised(self) -> Sequence[Bar]:
        """Finals of bars before those closed last, which `recall` has yet to put in their places; the oldest first."""
        return [self._revised[start_us] for start_us in sorted(self._revised)]

    def restore(self, closed: bytes | None, kept: Iterable[Bar]) -> None:
        """Goes on from what `closed`, `waiting` and `revised` were, in place of all that was seen.

        Args:
            closed: As it was.
            kept: Both `waiting` and `revised`.

        Raises:
            IndicatorStateError: The state is not of these parameters.
        """
        self._base = self._calculator(closed)
        self._closed = closed
        newest = self._base.newest
        self._waiting, self._revised = {}, {}
        for bar in kept:
            before = newest is not None and bar.start_us < newest[0]
            (self._revised if before else self._waiting)[bar.start_us] = bar

    def warm(self, history: Iterable[Bar], arriving: Iterable[Bar] = ()) -> bool:
        """Puts past bars, the oldest first, in place of what has closed, each as it stands.

        Args:
            history: Past bars. Those between bars that wait or arrive will wait among them.
            arriving: What `take` is given next.

        Returns:
            Whether it did: not where a bar has closed here that the history doesn't know yet.
        """
        known = {*self._waiting, *(bar.start_us for bar in arriving)}
        first_us = min(known, default=_NEVER_US)
        past = list(history)
        warmed = self._calculator(None)
        warmed.warm(map(_closing, (bar for bar in past if bar.start_us < first_us)))
        closed = self._newest_closed()
        if closed is not None and (warmed.newest is None or warmed.newest < closed):
            return False
        if warmed.count:
            self._base, self._closed = warmed, warmed.state()
        self._waiting |= {bar.start_us: bar for bar in past if bar.start_us > first_us and bar.start_us not in known}
        return True

    def recall(self, past: Past) -> list[Indicators]:
        """Counts anew from past bars, with the revised ones in their places; those that wait come after them.

        Returns:
            What the earliest revised bar and all after it say now; nothing, and nothing has changed, where a bar has
            closed here that `past` doesn't know yet. What `past` doesn't reach back for is left out as stale.
        """
        if not self._drop_unreached(past):
            return []
        first_us, since_us = min(self._waiting, default=_NEVER_US), min(self._revised)
        row = {bar.start_us: bar for bar in past.bars if bar.start_us < first_us}
        for start_us, bar in self._revised.items():
            row[start_us] = max(bar, row.get(start_us, bar), key=_version)
        closed = self._newest_closed()
        if closed is not None and (not row or row[max(row)].version < closed):
            return []
        bars = [row[start_us] for start_us in sorted(row) if not row[start_us].void]
        calculator = self._calculator(None)
        calculator.warm(_closing(bar) for bar in bars if bar.start_us < since_us)
        told = list(_told_on(calculator, (bar for bar in bars if bar.start_us >= since_us)))
        self._base, self._closed, self._revised = None, calculator.state(), {}
        return told + list(_told_on(calculator, self.waiting))

    def give_up(self) -> None:
        """Leaves the revised bars out: there is no history to put them in."""
        self.stale += len(self._revised)
        self._revised = {}

    def take(self, bars: Iterable[Bar]) -> list[Indicators]:
        """What versions of bars, in any order, say.

        Of each bar all final versions and the newest one are told, if they are not older than what is known; and the
        bars that wait after one whose prices or volume changed are told again, for their indicators change with it.
        """
        base = self._base or self._calculator(self._closed)
        arrived, changed_us = self._merge(bars, base)
        waiting = self.waiting
        telling = {bar.start_us: [bar] for bar in waiting if bar.start_us > changed_us} | arrived
        if not telling:
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
        for bar in sorted(_telling(bars), key=_version):
            start_us = bar.start_us
            known = self._waiting.get(start_us)
            newest = closed if known is None else known.version
            if newest is not None and bar.version < newest:
                if start_us < newest[0]:
                    self._keep_aside(bar)
                continue
            if bar.void:  # all it had was cancelled
                arrived.pop(start_us, None)
                if self._waiting.pop(start_us, None) is not None:
                    changed_us = min(changed_us, start_us)
                continue
            if start_us < changed_us and (known is None or _numbers(known) != _numbers(bar)):
                changed_us = start_us
            versions = arrived.setdefault(start_us, [])
            if versions and not versions[-1].final:
                versions.pop()
            versions.append(bar)
            self._waiting[start_us] = bar
        return arrived, changed_us

    def _newest_closed(self) -> Version | None:
        return (self._base or self._calculator(self._closed)).newest

    def _keep_aside(self, bar: Bar) -> None:
        """Keeps a final for `recall`, in its newest version."""
        if not bar.final:
            self.stale += 1
        elif bar.start_us not in self._revised or bar.version > self._revised[bar.start_us].version:
            self._revised[bar.start_us] = bar
            if len(self._revised) > REVISED_MAX:
                del self._revised[max(self._revised)]

    def _drop_unreached(self, past: Past) -> bool:
        """Leaves out the revised bars that are too old for `past`; whether there are others."""
        reached = {start_us: bar for start_us, bar in self._revised.items() if self._reaches(past, start_us)}
        self.stale += len(self._revised) - len(reached)
        self._revised = reached
        return bool(reached)

    def _reaches(self, past: Past, start_us: int) -> bool:
        """Whether everything is in `past` that a bar's indicators depend on."""
        if past.complete:
            return True
        before = sum(bar.start_us < start_us for bar in past.bars)
        session = self._sessions.session_of(start_us)
        return before >= self._parameters.history_bars and (session is None or past.bars[0].start_us <= session.open_us)

    def _walk(
        self, calculator: IndicatorCalculator, waiting: Sequence[Bar], telling: Mapping[int, Sequence[Bar]]
    ) -> list[Indicators]:
        """Closes bar after bar, as if all were final, as far as there is something to tell; keeps what is for good."""
        told: list[Indicators] = []
        settled, last_us = self._settled(waiting), max(telling)
        for number, bar in enumerate(waiting, start=1):
            versions = telling.get(bar.start_us, ())
            told += [Indicators.of(version, calculator.preview(version)) for version in versions]
            if bar.start_us >= last_us and number > settled:
                break
            calculator.close(_closing(bar))
            if number <= settled:
                del self._waiting[bar.start_us]
            if number == settled:
                self._closed = calculator.state()
        self._base = None
        return told

    def _settled(self, waiting: Sequence[Bar]) -> int:
        """How many bars at the row's front no trade in time can change; the newest is never among them."""
        newest_us = max(bar.last_event_time_us for bar in waiting) - self._lateness_us
        count = max(0, len(waiting) - WAITING_MAX)
        while count < len(waiting) - 1 and waiting[count].final and waiting[count].end_us <= newest_us:
            count += 1
        return count


def _telling(bars: Iterable[Bar]) -> Iterable[Bar]:
    """All final versions, and of the others the newest of each bar: there is one for each of its trades."""
    finals = []
    newest: dict[int, Bar] = {}
    for bar in bars:
        if bar.final:
            finals.append(bar)
            continue
        known = newest.get(bar.start_us)
        if known is None or bar.version > known.version:
            newest[bar.start_us] = bar
    return (*newest.values(), *finals)


def _told_on(calculator: IndicatorCalculator, bars: Iterable[Bar]) -> Iterator[Indicators]:
    """Closes bar after bar, as if all were final."""
    for bar in bars:
        yield Indicators.of(bar, calculator.preview(bar))
        calculator.close(_closing(bar))


def _closing(bar: Bar) -> Bar:
    """The bar as if it were final as it stands."""
    return bar if bar.final else replace(bar, final=True)


def _version(bar: Bar) -> tuple[int, bool, int, int, bool, int]:
    return bar.version


def _numbers(bar: Bar) -> tuple[float | None, ...]:
    """What indicators look at."""
    return bar.high, bar.low, bar.close, bar.volume, bar.vwap

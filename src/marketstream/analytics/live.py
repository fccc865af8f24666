"""The indicators of one symbol and interval as versions of its bars arrive: open bars, final ones, and revised ones.

Bars stand in a row by their time. Those at its front that nothing can change any more are closed for good; those after
them wait, each in its newest version. What is told of a bar is told as if all before it had closed as they stand.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from marketstream.analytics.indicators import IndicatorCalculator
from marketstream.analytics.parameters import IndicatorParameters
from marketstream.analytics.sessions import Sessions
from marketstream.domain.indicators import Indicators
from marketstream.domain.market import Bar

# Bars that wait for their final; beyond, the oldest closes as it stands. A minute of bars of a second.
WAITING_MAX = 64
_NEVER_US = 2**63


class LiveIndicators:
    """Indicators that follow the bars' versions.

    Args:
        parameters: The indicators' periods.
        sessions: The symbol's trading sessions.
        lateness_us: A final bar can be revised until a trade that much after its end has been seen.

    Attributes:
        stale: How many bars were left out because they are older than what is closed for good.
    """

    __slots__ = ("_base", "_closed", "_lateness_us", "_parameters", "_sessions", "_waiting", "stale")

    def __init__(self, parameters: IndicatorParameters, sessions: Sessions, lateness_us: int) -> None:
        self._parameters, self._sessions, self._lateness_us = parameters, sessions, lateness_us
        self._base: IndicatorCalculator | None = None  # as `_closed` says, until it goes on to the bars that wait
        self._closed: bytes | None = None
        self._waiting: dict[int, Bar] = {}
        self.stale = 0

    @property
    def closed(self) -> bytes | None:
        """The calculator's state after the bars that are closed for good; None before the first."""
        return self._closed

    @property
    def waiting(self) -> Sequence[Bar]:
        """The newest version of each bar after those, the oldest bar first."""
        return [self._waiting[start_us] for start_us in sorted(self._waiting)]

    def restore(self, closed: bytes | None, waiting: Iterable[Bar]) -> None:
        """Goes on from what `closed` and `waiting` were, in place of all that was seen.

        Raises:
            IndicatorStateError: The state is not of these parameters.
        """
        self._base = self._calculator(closed)
        self._closed = closed
        self._waiting = {bar.start_us: bar for bar in waiting}

    def warm(self, history: Iterable[Bar]) -> bool:
        """Puts past bars, the oldest first, in place of what has closed; provisional ones are left out.

        Args:
            history: Bars older than all that wait; later ones are left out.

        Returns:
            Whether it did: not where a bar has closed here that the history doesn't know yet.
        """
        first_us = min(self._waiting, default=_NEVER_US)
        warmed, base = self._calculator(None), self._base or self._calculator(self._closed)
        warmed.warm(bar for bar in history if bar.start_us < first_us)
        if base.newest is not None and (warmed.newest is None or warmed.newest < base.newest):
            return False
        if warmed.count:
            self._base, self._closed = warmed, warmed.state()
        return True

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
                self.stale += start_us < newest[0]
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
            calculator.close(bar if bar.final else replace(bar, final=True))
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


def _version(bar: Bar) -> tuple[int, bool, int, int, bool, int]:
    return bar.version


def _numbers(bar: Bar) -> tuple[float | None, ...]:
    """What indicators look at."""
    return bar.high, bar.low, bar.close, bar.volume, bar.vwap

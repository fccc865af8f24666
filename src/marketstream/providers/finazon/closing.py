"""Decides when a bar that grows by revisions is over, which Finazon doesn't tell.

A bar of a symbol is final as soon as the symbol's next bar begins; or when nothing has come for the symbol for a while
and the bar's end has passed by wall clock, so that a day replayed later ends the same. What still comes of a bar that
was final is final again, with a higher revision.
"""

from collections.abc import Iterable
from dataclasses import replace

from marketstream.domain.market import Bar
from marketstream.domain.outcomes import Parsed
from marketstream.providers.bars import closed

_IDLE_US = 30_000_000
_CHECK_US = 1_000_000


class BarCloser:
    """Follows one connection's bars.

    Args:
        idle_us: How long nothing must have come for a symbol, and its bar have ended, before it is taken to be over.
    """

    def __init__(self, idle_us: int = _IDLE_US) -> None:
        self._idle_us = idle_us
        self._newest: dict[str, Bar] = {}
        self._checked_us = 0

    def follow(self, outcomes: Iterable[Parsed], received_time_us: int) -> list[Parsed]:
        """The outcomes of one frame, with the bars that are over at its time; ask it of frames without a bar too."""
        followed: list[Parsed] = []
        for outcome in outcomes:
            followed += self._after(outcome) if isinstance(outcome, Bar) else [outcome]
        if received_time_us - self._checked_us >= _CHECK_US:
            self._checked_us = received_time_us
            followed += self._idle(received_time_us)
        return followed

    def _after(self, bar: Bar) -> list[Parsed]:
        known = self._newest.get(bar.symbol)
        if known is None or bar.start_us > known.start_us:
            self._newest[bar.symbol] = bar
            return [bar] if known is None or known.final else [_now_closed(known, bar.revision), bar]
        if bar.start_us < known.start_us or known.final:
            bar = closed(bar)
        if bar.start_us == known.start_us:
            self._newest[bar.symbol] = bar
        return [bar]

    def _idle(self, now_us: int) -> list[Parsed]:
        over = [
            bar
            for bar in self._newest.values()
            if not bar.final and max(bar.end_us, bar.last_received_time_us) + self._idle_us <= now_us
        ]
        finals = [_now_closed(bar, now_us) for bar in over]
        self._newest |= {bar.symbol: bar for bar in finals}
        return list(finals)


def _now_closed(bar: Bar, now_us: int) -> Bar:
    return replace(closed(bar), revision=now_us)

"""The newest bars of what people look at, kept between looks: a look asks the stores only for what may have changed.

Reads: through `MarketData`, the cache (Redis) and the database. Everything is read anew once a minute, so that
corrections of older bars are seen too.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from marketstream.domain.indicators import Indicators
from marketstream.domain.market import Bar
from marketstream.serving.dashboard.market.selection import Selection
from marketstream.serving.market_data import Answer, MarketData

# Bars that may still change behind the newest: enough for the allowed lateness even at one-second bars.
TAIL = 16
_WHOLE_SECONDS = 60.0
_MOST_KEPT = 32  # charts of up to 1,440 bars, about a megabyte each

T = TypeVar("T", Bar, Indicators)


@dataclass(frozen=True, slots=True)
class Row:
    """One bar and the values of its indicators, where they are known."""

    bar: Bar
    indicators: Indicators | None = None

    @property
    def values(self) -> Mapping[str, float]:
        """The indicators' values by name."""
        return {} if self.indicators is None else self.indicators.values

    @property
    def version(self) -> tuple[object, ...]:
        """Differs between any two versions of the bar or of its indicators; begins with the bar's start."""
        return (*self.bar.version, *(() if self.indicators is None else self.indicators.version[1:]))


@dataclass(frozen=True, slots=True)
class Recent:
    """The newest bars, oldest first.

    Attributes:
        rows: The bars with their indicators.
        answer: Where the bars came from, and how fresh they are.
        generation: Rises when bars changed that are older than the tail.
    """

    rows: Sequence[Row]
    answer: Answer[list[Bar]]
    generation: int


@dataclass(slots=True)
class _Kept:
    lock: threading.Lock = field(default_factory=threading.Lock)
    bars: list[Bar] = field(default_factory=list)
    indicators: list[Indicators] = field(default_factory=list)
    whole_at: float = float("-inf")
    generation: int = 0


class RecentBars:
    """Reads a selection's newest bars. Thread-safe; who asks for the same at the same time waits for one reading.

    Args:
        market_data: The stores.
        monotonic: Seconds that never go back.
    """

    def __init__(self, market_data: MarketData, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._market_data = market_data
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    def read(self, selection: Selection) -> Recent:
        """The bars that fit the selection, with indicators where it shows any.

        Raises:
            StoreUnavailableError: No store can answer.
        """
        kept = self._of(f"{selection.market}|{selection.needs_indicators}")
        with kept.lock:
            answer = self._update(kept, selection)
            by_start = {each.start_us: each for each in kept.indicators}
            rows = [Row(bar, by_start.get(bar.start_us)) for bar in kept.bars]
            return Recent(rows, answer, kept.generation)

    def _of(self, key: str) -> _Kept:
        with self._lock:
            kept = self._kept.setdefault(key, _Kept())
            self._kept.move_to_end(key)
            while len(self._kept) > _MOST_KEPT:
                self._kept.popitem(last=False)
            return kept

    def _update(self, kept: _Kept, selection: Selection) -> Answer[list[Bar]]:
        market_data, most = self._market_data, selection.max_bars
        now = self._monotonic()
        whole = now - kept.whole_at >= _WHOLE_SECONDS or len(kept.bars) <= TAIL
        since_us = None if whole else kept.bars[-TAIL].start_us
        answer = market_data.bars(selection.symbol, selection.interval, start_us=since_us, limit=most)
        bars = _joined(kept.bars, answer.data, since_us, most)
        if whole and _rewritten(kept.bars, bars):
            kept.generation += 1
        if selection.needs_indicators:
            said = market_data.indicators(selection.symbol, selection.interval, start_us=since_us, limit=most)
            kept.indicators = _joined(kept.indicators, said.data, since_us, most)
        kept.bars = bars
        # Bars without the database are but the newest one: that is shown, and read whole as soon as it is back.
        kept.whole_at = float("-inf") if answer.degraded else now if whole else kept.whole_at
        return replace(answer, data=list(bars))


def _joined(kept: Sequence[T], found: Sequence[T], since_us: int | None, most: int) -> list[T]:
    """What was kept before a time, and what was found from then on."""
    if since_us is None:
        return list(found)
    joined: list[T] = [each for each in kept if each.start_us < since_us]
    joined += found
    return joined[-most:]


def _rewritten(before: Sequence[Bar], now: Sequence[Bar]) -> bool:
    """Whether bars older than the tail differ, over the stretch that both cover."""
    if not before or not now:
        return False
    first, last = max(before[0].start_us, now[0].start_us), before[-TAIL:][0].start_us
    older = [[bar.version for bar in bars if first <= bar.start_us < last] for bars in (before, now)]
    return older[0] != older[1]

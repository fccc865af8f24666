"""How every symbol does: last price, change over the hour, and its course as a few points.

Reads: through `MarketData`, prices from the cache (Redis), courses from the database, those seldom.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from marketstream.domain.errors import StoreUnavailableError
from marketstream.domain.interval import Interval
from marketstream.domain.market import Tick
from marketstream.serving.dashboard import numbers
from marketstream.serving.market_data import Answer, MarketData

MOST_WATCHED = 40
POINTS = 30
HOUR_US = 3_600_000_000
_COURSE_SECONDS = 30.0
_STORED_PRICE_SECONDS = 10.0  # of a symbol that the cache knows nothing of
_KEPT_SECONDS = 0.9


@dataclass(frozen=True, slots=True)
class _Course:
    """The closes of an hour's bars, and what the hour began with."""

    closes: Sequence[float]
    open: float | None


class Watchlist:
    """Reads the list, at most about once a second for all viewers together. Thread-safe.

    Args:
        market_data: The stores.
        interval: Of the bars that courses are made of.
        monotonic: Seconds that never go back.
    """

    def __init__(
        self, market_data: MarketData, interval: Interval, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._market_data = market_data
        self._interval = interval
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._until = float("-inf")
        self._rows: list[dict[str, Any]] = []
        self._courses: dict[str, tuple[float, _Course]] = {}
        self._prices: dict[str, tuple[float, Answer[Tick | None]]] = {}

    def read(self) -> list[dict[str, Any]]:
        """A row for each of the first symbols.

        Raises:
            StoreUnavailableError: No store can answer.
        """
        with self._lock:
            if self._monotonic() >= self._until:
                self._rows = [self._row(symbol) for symbol in self._market_data.symbols()[:MOST_WATCHED]]
                self._until = self._monotonic() + _KEPT_SECONDS
            return self._rows

    def _row(self, symbol: str) -> dict[str, Any]:
        course, latest = self._course(symbol), self._latest(symbol)
        tick = None if latest is None else latest.data
        closes = [*course.closes, *([] if tick is None else [tick.price])]
        if not closes:
            return {"symbol": symbol, "price": numbers.price(None, 0), "change": "", "moved": "flat", "points": []}
        change = (closes[-1] / course.open - 1) * 100 if course.open else 0.0
        return {
            "symbol": symbol,
            "price": numbers.price(closes[-1], numbers.price_decimals(closes[-3:])),
            "change": numbers.signed(change, 2, " %"),
            "moved": "up" if change >= 0.005 else "down" if change <= -0.005 else "flat",
            "points": _points(closes),
            "stale": latest is None or latest.stale,
        }

    def _latest(self, symbol: str) -> Answer[Tick | None] | None:
        until, known = self._prices.get(symbol, (float("-inf"), None))
        if known is not None and self._monotonic() < until:
            return known
        try:
            found = self._market_data.latest(symbol)
        except StoreUnavailableError:  # the cache answers, and knows no trade that makes the price
            return None
        if found.source == "database":
            self._prices[symbol] = (self._monotonic() + _STORED_PRICE_SECONDS, found)
        return found

    def _course(self, symbol: str) -> _Course:
        until, known = self._courses.get(symbol, (float("-inf"), None))
        if known is not None and self._monotonic() < until:
            return known
        bars = self._market_data.bars(symbol, self._interval, limit=max(1, HOUR_US // self._interval.us)).data
        recent = [bar for bar in bars if bar.start_us >= bars[-1].end_us - HOUR_US]
        course = _Course([bar.close for bar in recent], recent[0].open if recent else None)
        self._courses[symbol] = (self._monotonic() + _COURSE_SECONDS, course)
        return course


def _points(closes: Sequence[float]) -> list[int]:
    """At most `POINTS` heights between 0 and 100, the last one always the newest."""
    step = max(1, -(-len(closes) // POINTS))
    some = list(closes[::-step][::-1])
    low, high = min(some), max(some)
    return [round((value - low) / (high - low) * 100) if high > low else 50 for value in some]

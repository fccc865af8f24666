"""Past bars for indicators that begin: read from a store, in Spark's Python worker, when a symbol is first seen.

Reads: final bars (`aggregated_data`), through a reader that the caller picks.
"""

import time
from collections.abc import Callable, Hashable
from functools import cache
from typing import Protocol

from marketstream.analytics.past import Past
from marketstream.analytics.sessions import Sessions
from marketstream.domain.errors import StoreError
from marketstream.domain.interval import Interval
from marketstream.observability.logs import get_logger
from marketstream.ports import MarketReader

_LOG = get_logger("streaming")
# A session's VWAP needs all bars of its session: more than a day of 10 s ones, not of 1 s ones.
_BARS_MAX = 10_000
_WAITING_BARS = 64  # newest bars that may not be final yet
_PAUSE_SECONDS = 15.0
_SPENT_SECONDS = 2.0  # of each period of as long again, so that a cold start never stops the stream


class HistorySource(Hashable, Protocol):
    """Opens a reader of past bars; sent to Spark's workers, each of which opens one of its own.

    Equal ones share a worker's reader.
    """

    def __call__(self) -> MarketReader:
        """A reader that has not connected yet and answers, or gives up, within seconds."""


class BarHistory:
    """Past bars, as far as a store that may be away or slow has them.

    Args:
        reader: The store.
        wanted: How many bars indicators look back at.
        clock: Seconds, monotonic.
    """

    def __init__(self, reader: MarketReader, wanted: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._reader, self._wanted, self._clock = reader, wanted, clock
        self._paused_until = self._period_ends = -1.0
        self._left_seconds = 0.0

    def before(
        self, symbol: str, interval: Interval, start_us: int, sessions: Sessions, since_us: int | None = None
    ) -> Past | None:
        """Bars older than `start_us`.

        Args:
            symbol: Whose.
            interval: Of which length.
            start_us: See above, in µs.
            sessions: The symbol's.
            since_us: Back from here (by default, from `start_us`) there is all that indicators look at, and the session
                from its open; if it is not too much.

        Returns:
            None where the store can't tell now; ask again later.
        """
        began = self._clock()
        if began < self._paused_until or not self._has_time(began):
            return None
        since_us = start_us if since_us is None else since_us
        session = sessions.session_of(since_us)
        # One more than the session has, to see that it is there from its beginning.
        session_bars = (since_us - session.open_us) // interval.us + 1 if session else 0
        later = (start_us - since_us) // interval.us
        limit = min(later + max(self._wanted, session_bars) + _WAITING_BARS, _BARS_MAX)
        try:
            bars = self._reader.bars(symbol, interval, start_us=None, end_us=start_us, limit=limit)
        except StoreError as error:
            self._paused_until = self._clock() + _PAUSE_SECONDS
            _LOG.warning("no history for indicators", error=str(error), again_seconds=_PAUSE_SECONDS)
            return None
        finally:
            self.spend(self._clock() - began)
        return Past(bars, complete=len(bars) < limit)

    def spend(self, seconds: float) -> None:
        """Counts time that went into past bars: of every four seconds they are given two."""
        self._left_seconds -= seconds

    def _has_time(self, now: float) -> bool:
        if now >= self._period_ends:
            self._period_ends, self._left_seconds = now + 2 * _SPENT_SECONDS, _SPENT_SECONDS
        return self._left_seconds > 0


@cache
def worker_history(source: HistorySource, wanted: int) -> BarHistory:
    """This process's history from that source: its connection and its pauses outlive a batch."""
    return BarHistory(source(), wanted)

"""Tells whether the database still knows which trades of a day were published. Reads: its trades and bars, by a port.

Trades are kept for days, bars for a year, and the bars' query remembers what it counted for months. So of a day that
has bars but no trades, nothing can tell any more which trades they were made of.
"""

from marketstream.domain.interval import Interval
from marketstream.ports import Clock, MarketReader

_DAY_US = 86_400_000_000
_NEWEST = 100


class TradeMemory:
    """Answers by UTC day, which is how trades are dropped; remembers its answers.

    Args:
        reader: The database.
        interval: Of bars that are made here.
        clock: Says which days are too young to have been dropped.
    """

    def __init__(self, reader: MarketReader, interval: Interval, clock: Clock) -> None:
        self._reader = reader
        self._interval = interval
        self._clock = clock
        self._forgotten: dict[tuple[str, int], bool] = {}

    def forgets(self, symbol: str, time_us: int) -> bool:
        """Whether trades of this symbol's day were counted in bars and are no longer kept.

        Raises:
            StoreUnavailableError: The database is away.
        """
        day = time_us // _DAY_US
        if day >= self._clock.now_us() // _DAY_US - 1:
            return False
        if (symbol, day) not in self._forgotten:
            self._forgotten[symbol, day] = self._look(symbol, day * _DAY_US)
        return self._forgotten[symbol, day]

    def _look(self, symbol: str, start_us: int) -> bool:
        end_us = start_us + _DAY_US
        bars = self._reader.bars(symbol, self._interval, start_us=start_us, end_us=end_us, limit=_NEWEST)
        if all(bar.provider is not None for bar in bars):
            return False
        return not self._reader.ticks(symbol, start_us=start_us, end_us=end_us, limit=1)

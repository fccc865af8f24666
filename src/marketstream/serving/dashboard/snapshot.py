"""One look at the market for one selection: what the figure, the summary and the tape are made of."""

from dataclasses import dataclass

from marketstream.domain.errors import StoreUnavailableError
from marketstream.domain.market import Bar, Tick
from marketstream.serving.dashboard import numbers
from marketstream.serving.dashboard.selection import Selection
from marketstream.serving.market_data import Answer, MarketData

TAPE_LENGTH = 40


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was read.

    Attributes:
        selection: For what.
        bars: The bars in the span, oldest first.
        ticks: The newest trades, oldest first.
        decimals: Decimals that show the prices in full.
        latest: The newest trade that makes the price; None where no store knows one.
    """

    selection: Selection
    bars: Answer[list[Bar]]
    ticks: Answer[list[Tick]]
    decimals: int
    latest: Tick | None = None

    @property
    def last_price(self) -> float | None:
        """Of the newest trade that makes the price; of the newest bar where none is known."""
        if self.latest is not None:
            return self.latest.price
        return self.bars.data[-1].close if self.bars.data else None

    @property
    def newest_trade(self) -> str | None:
        """Identifies the newest trade."""
        return trade_key(self.ticks.data[-1]) if self.ticks.data else None

    @property
    def change(self) -> tuple[float, float] | None:
        """Last price against the first bar's open: absolute, and in percent."""
        if self.last_price is None or not self.bars.data:
            return None
        first = self.bars.data[0].open
        return self.last_price - first, (self.last_price / first - 1) * 100


def trade_key(tick: Tick) -> str:
    """Tells a symbol's trades apart."""
    return f"{tick.provider}-{tick.trade_id}"


def read(market_data: MarketData, selection: Selection) -> Snapshot:
    """Reads the span's bars and the newest trades. The span ends with the newest bar, so that old days show as well.

    Raises:
        StoreUnavailableError: No store can answer.
    """
    bars = market_data.bars(selection.symbol, selection.interval, limit=selection.max_bars)
    ticks = market_data.ticks(selection.symbol, limit=TAPE_LENGTH)
    if bars.data and selection.span_us is not None:
        start_us = bars.data[-1].end_us - selection.span_us
        bars.data[:] = [bar for bar in bars.data if bar.start_us >= start_us]
    latest = _latest(market_data, selection.symbol)
    trades = [*ticks.data, latest] if latest else ticks.data
    shown = [tick.price for tick in trades] + [bar.close for bar in bars.data[-TAPE_LENGTH:]]
    return Snapshot(selection, bars, ticks, numbers.price_decimals(shown), latest)


def _latest(market_data: MarketData, symbol: str) -> Tick | None:
    try:
        return market_data.latest(symbol).data
    except StoreUnavailableError:  # the cache answers, and knows no trade that makes the price
        return None

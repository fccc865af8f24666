"""One look at the market for one selection: what the figure, the summary and the tape are made of."""

from collections.abc import Sequence
from dataclasses import dataclass

from marketstream.domain.errors import StoreUnavailableError
from marketstream.domain.market import Bar, Tick
from marketstream.serving.dashboard import numbers
from marketstream.serving.dashboard.market.recent import RecentBars, Row
from marketstream.serving.dashboard.market.selection import Selection
from marketstream.serving.market_data import Answer, MarketData

TAPE_LENGTH = 40


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was read.

    Attributes:
        selection: For what.
        rows: The bars in the span with their indicators, oldest first.
        bars: The same bars, and where they came from.
        ticks: The newest trades, oldest first.
        decimals: Decimals that show the prices in full.
        latest: The newest trade that makes the price; None where no store knows one.
        cancelled: Keys of those of the trades that were taken back.
        generation: Of the bars.
    """

    selection: Selection
    rows: Sequence[Row]
    bars: Answer[list[Bar]]
    ticks: Answer[list[Tick]]
    decimals: int
    latest: Tick | None = None
    cancelled: frozenset[str] = frozenset()
    generation: int = 0

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

    def value(self, name: str) -> float | None:
        """An indicator's newest value; None where none is known."""
        return next((row.values[name] for row in reversed(self.rows[-3:]) if name in row.values), None)


def trade_key(tick: Tick) -> str:
    """Tells a symbol's trades apart."""
    return f"{tick.provider}-{tick.trade_id}"


def read(market_data: MarketData, recent: RecentBars, selection: Selection) -> Snapshot:
    """Reads the span's bars and the newest trades. The span ends with the newest bar, so that old days show as well.

    Raises:
        StoreUnavailableError: No store can answer.
    """
    found = recent.read(selection)
    ticks = market_data.ticks(selection.symbol, limit=TAPE_LENGTH)
    rows, bars = list(found.rows), found.answer
    if rows and selection.span_us is not None:
        start_us = rows[-1].bar.end_us - selection.span_us
        rows = [row for row in rows if row.bar.start_us >= start_us]
        bars.data[:] = [row.bar for row in rows]
    latest = _latest(market_data, selection.symbol)
    trades = [*ticks.data, latest] if latest else ticks.data
    shown = [tick.price for tick in trades] + [bar.close for bar in bars.data[-TAPE_LENGTH:]]
    return Snapshot(
        selection=selection,
        rows=rows,
        bars=bars,
        ticks=ticks,
        decimals=numbers.price_decimals(shown),
        latest=latest,
        cancelled=frozenset(map(trade_key, market_data.cancelled(ticks.data) or ())),
        generation=found.generation,
    )


def _latest(market_data: MarketData, symbol: str) -> Tick | None:
    try:
        return market_data.latest(symbol).data
    except StoreUnavailableError:  # the cache answers, and knows no trade that makes the price
        return None

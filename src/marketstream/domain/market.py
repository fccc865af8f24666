"""Ticks and bars. Times are integer microseconds UTC; prices in the quote currency, sizes in units of the symbol."""

from dataclasses import dataclass
from math import isfinite
from typing import Literal

AssetClass = Literal["equity", "crypto", "forex", "commodity"]
Side = Literal["buy", "sell"]
_LARGEST = 1e15  # no market comes near, and the sums over a bar stay finite
_INT64 = 2**63


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """One trade as a provider reported it.

    Attributes:
        symbol: Canonical symbol, upper case.
        price: Trade price, finite and above zero.
        size: Traded amount, finite and not below zero; fractional where the venue allows it.
        event_time_us: When the trade happened, by the provider's clock.
        received_time_us: When its frame left our socket.
        provider: Name of the adapter that received it.
        trade_id: Unique within (symbol, provider); the natural key's last part.
        sequence: Order among the symbol's trades with the same event time.
        asset_class: Kind of instrument.
        exchange: Venue, as the provider names it.
        side: The taker's side, where known.
        conditions: Sale conditions, as the provider names them.

    Raises:
        ValueError: A number is not finite or out of its range, an identifier is empty, or a text holds a NUL character.
    """

    symbol: str
    price: float
    size: float
    event_time_us: int
    received_time_us: int
    provider: str
    trade_id: str
    sequence: int = 0
    asset_class: AssetClass = "equity"
    exchange: str | None = None
    side: Side | None = None
    conditions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not isfinite(self.price):
            raise ValueError("price is not finite")
        if self.price <= 0:
            raise ValueError("price is not positive")
        if not isfinite(self.size):
            raise ValueError("size is not finite")
        if self.size < 0:
            raise ValueError("size is negative")
        if self.price > _LARGEST or self.size > _LARGEST:
            raise ValueError(f"price or size is beyond {_LARGEST:g}")
        if not self.symbol or not self.provider or not self.trade_id:
            raise ValueError("symbol, provider and trade_id must not be empty")
        # What no store can hold is refused here, where it costs one tick and not a writer's whole batch.
        if not (
            -_INT64 <= self.sequence < _INT64
            and -_INT64 <= self.event_time_us < _INT64
            and -_INT64 <= self.received_time_us < _INT64
        ):
            raise ValueError("an integer is beyond 64 bits")
        if "\0" in self.trade_id or "\0" in (self.exchange or "") or "\0" in "".join(self.conditions):
            raise ValueError("a text holds a NUL character")

    @property
    def order(self) -> tuple[int, int]:
        """Position among the symbol's trades: (event time, sequence)."""
        return (self.event_time_us, self.sequence)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """Open, high, low, close and volume of one symbol over `[start_us, end_us)` by event time.

    Attributes:
        symbol: Canonical symbol.
        interval: Interval name, such as `1min`.
        start_us: First covered microsecond.
        end_us: First microsecond after the bar.
        open: Price of the first trade by (event time, sequence).
        high: Highest price.
        low: Lowest price.
        close: Price of the last trade by (event time, sequence).
        volume: Sum of sizes.
        vwap: Volume-weighted average price; the plain average where the volume is zero.
        trade_count: Number of trades; of two versions of a bar the one with more trades is the newer.
        last_event_time_us: Event time of the newest trade inside.
        last_received_time_us: When the most recently received trade inside left our socket.
        final: No trade in time can change it any more, unless a higher `revision` follows.
        revision: 0 for the first final, then counting up.

    Raises:
        ValueError: A number is not finite, or low ≤ open, close ≤ high does not hold.
    """

    symbol: str
    interval: str
    start_us: int
    end_us: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    vwap: float
    trade_count: int
    last_event_time_us: int
    last_received_time_us: int
    final: bool = False
    revision: int = 0

    def __post_init__(self) -> None:
        numbers = (self.open, self.high, self.low, self.close, self.volume, self.vwap)
        if not all(map(isfinite, numbers)):
            raise ValueError("a bar's number is not finite")
        if not self.low <= min(self.open, self.close) <= max(self.open, self.close) <= self.high:
            raise ValueError("low <= open, close <= high does not hold")
        if self.start_us >= self.end_us or self.trade_count < 1 or self.volume < 0:
            raise ValueError("a bar needs start < end, a trade and a volume not below zero")
        integers = (self.start_us, self.end_us, self.trade_count, self.last_event_time_us, self.last_received_time_us)
        if not -_INT64 <= min(integers) <= max(*integers, self.revision) < _INT64:
            raise ValueError("an integer is beyond 64 bits")

    @property
    def version(self) -> tuple[int, int, bool, int]:
        """Sorts the versions of one bar, and one symbol's bars: a writer refuses to go below what it has."""
        return (self.start_us, self.trade_count, self.final, self.revision)

"""Ticks, quotes, cancels and bars. Times are µs UTC; prices in the quote currency, sizes in units of the symbol."""

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite
from typing import Literal

AssetClass = Literal["equity", "crypto", "forex", "commodity"]
Side = Literal["buy", "sell"]
TickPlace = tuple[int, int, str, str]  # (event_time_us, sequence, provider, trade_id)
_LARGEST = 1e15  # no market comes near, and the sums over a bar stay finite
_INT64 = 2**63


@dataclass(frozen=True, slots=True, kw_only=True, init=False)
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

    # By hand, since the constructor of a frozen dataclass costs as much as parsing the trade: the slots are written
    # through their own setters, and one condition passes what is in order.
    def __init__(
        self,
        *,
        symbol: str,
        price: float,
        size: float,
        event_time_us: int,
        received_time_us: int,
        provider: str,
        trade_id: str,
        sequence: int = 0,
        asset_class: AssetClass = "equity",
        exchange: str | None = None,
        side: Side | None = None,
        conditions: tuple[str, ...] = (),
    ) -> None:
        _set_symbol(self, symbol)
        _set_price(self, price)
        _set_size(self, size)
        _set_event_time_us(self, event_time_us)
        _set_received_time_us(self, received_time_us)
        _set_provider(self, provider)
        _set_trade_id(self, trade_id)
        _set_sequence(self, sequence)
        _set_asset_class(self, asset_class)
        _set_exchange(self, exchange)
        _set_side(self, side)
        _set_conditions(self, conditions)
        numbers = 0 < price <= _LARGEST and 0 <= size <= _LARGEST
        integers = 0 <= event_time_us < _INT64 and 0 <= received_time_us < _INT64 and 0 <= sequence < _INT64
        texts = symbol and provider and trade_id and "\0" not in trade_id
        if not (numbers and integers and texts) or (exchange and "\0" in exchange) or "\0" in "".join(conditions):
            self.__post_init__()

    def __post_init__(self) -> None:
        """Finds what is wrong, if anything is; also called by whoever fills the fields without the constructor."""
        for name, number in (("price", self.price), ("size", self.size)):
            if not isfinite(number):
                raise ValueError(f"{name} is not finite")
        if self.price <= 0:
            raise ValueError("price is not positive")
        if self.size < 0:
            raise ValueError("size is negative")
        if self.price > _LARGEST or self.size > _LARGEST:
            raise ValueError(f"price or size is beyond {_LARGEST:g}")
        if not self.symbol or not self.provider or not self.trade_id:
            raise ValueError("symbol, provider and trade_id must not be empty")
        # What no store can hold is refused here, where it costs one tick and not a writer's whole batch.
        _check_integers(self.sequence, self.event_time_us, self.received_time_us)
        if "\0" in self.trade_id or "\0" in (self.exchange or "") or "\0" in "".join(self.conditions):
            raise ValueError("a text holds a NUL character")

    @property
    def order(self) -> tuple[int, int]:
        """Position among the symbol's trades: (event time, sequence)."""
        return (self.event_time_us, self.sequence)

    @property
    def place(self) -> TickPlace:
        """Position among the symbol's trades that no other has: stores order by it, and pages of trades end at one."""
        return (self.event_time_us, self.sequence, self.provider, self.trade_id)


def _setter(field: str) -> Callable[[Tick, object], None]:
    """Writes one slot of a new tick; frozen ones refuse the ordinary way."""
    write: Callable[[Tick, object], None] = vars(Tick)[field].__set__
    return write


(
    _set_symbol,
    _set_price,
    _set_size,
    _set_event_time_us,
    _set_received_time_us,
    _set_provider,
    _set_trade_id,
    _set_sequence,
    _set_asset_class,
    _set_exchange,
    _set_side,
    _set_conditions,
) = map(_setter, Tick.__slots__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """The best bid and ask as a provider reported them.

    Attributes:
        symbol: Canonical symbol.
        bid_price: Highest price somebody would buy at, finite and above zero.
        bid_size: How much of it, in units of the symbol; 0 where the provider doesn't say.
        ask_price: Lowest price somebody would sell at. Below the bid in a crossed market, which does happen.
        ask_size: How much of it.
        event_time_us: When the quote was made, by the provider's clock.
        received_time_us: When its frame left our socket.
        provider: Name of the adapter that received it.
        sequence: Order among the symbol's quotes with the same event time.
        asset_class: Kind of instrument.
        exchange: Venue, as the provider names it.

    Raises:
        ValueError: A number is not finite or out of its range, or an identifier is empty.
    """

    symbol: str
    bid_price: float
    bid_size: float
    ask_price: float
    ask_size: float
    event_time_us: int
    received_time_us: int
    provider: str
    sequence: int = 0
    asset_class: AssetClass = "equity"
    exchange: str | None = None

    def __post_init__(self) -> None:
        _check_prices(self.bid_price, self.ask_price)
        _check_sizes(self.bid_size, self.ask_size)
        _check_integers(self.sequence, self.event_time_us, self.received_time_us)
        _check_texts(self.symbol, self.provider, self.exchange)

    @property
    def order(self) -> tuple[int, int]:
        """Position among the symbol's quotes: (event time, sequence)."""
        return (self.event_time_us, self.sequence)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel:
    """A provider's word that a trade it reported does not count (a break).

    Attributes:
        symbol: Canonical symbol.
        price: The cancelled trade's price.
        size: The cancelled trade's size.
        event_time_us: The cancelled trade's time, as the provider repeats it.
        received_time_us: When the cancel's frame left our socket.
        provider: Name of the adapter that received it.
        trade_id: The `Tick.trade_id` the cancelled trade has, where the provider tells enough to know it.
        asset_class: Kind of instrument.

    Raises:
        ValueError: A number is not finite or out of its range, or an identifier is empty.
    """

    symbol: str
    price: float
    size: float
    event_time_us: int
    received_time_us: int
    provider: str
    trade_id: str | None = None
    asset_class: AssetClass = "equity"

    def __post_init__(self) -> None:
        _check_prices(self.price)
        _check_sizes(self.size)
        _check_integers(self.event_time_us, self.received_time_us)
        _check_texts(self.symbol, self.provider, self.trade_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """Open, high, low, close and volume of one symbol over `[start_us, end_us)` by event time.

    Either made here from trades, or made by a provider (`provider` is set). One made from trades always wins over a
    provider's of the same span; of two of a provider's, the one received later wins.

    Attributes:
        symbol: Canonical symbol.
        interval: Interval name, such as `1min`.
        start_us: First covered microsecond.
        end_us: First microsecond after the bar.
        open: Price of the first trade by (event time, sequence) that updates the last price, by its sale conditions.
        high: Highest price of the trades that update it.
        low: Lowest price of the same.
        close: Price of the last trade by (event time, sequence) that updates the last price.
        volume: Sum of the sizes of the trades that update it.
        vwap: Volume-weighted average price; the plain average where the volume is zero; None where a provider's bar
            doesn't tell.
        trade_count: Number of trades, whatever they update; of two versions of a bar the one with more trades is the
            newer. 0 where a provider's bar doesn't tell.
        last_event_time_us: Event time of the newest trade inside; of a provider's bar, the last microsecond covered so
            far as can be known.
        last_received_time_us: When the most recently received trade inside left our socket, or a provider's bar did.
        final: No trade in time can change it any more, unless a higher `revision` follows.
        revision: 0 for the first final, then counting up; of a provider's bar, when it was received, in µs.
        provider: Who made it; None for a bar made here from trades.
        cancelled: How many trades were taken out of a bar made here because they were cancelled; they are not in
            `trade_count`, and outrank a version that has them.

    Raises:
        ValueError: A number is not finite, low ≤ open, close ≤ high does not hold, or a bar made here lacks its trades.
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
    vwap: float | None
    trade_count: int
    last_event_time_us: int
    last_received_time_us: int
    final: bool = False
    revision: int = 0
    provider: str | None = None
    cancelled: int = 0

    def __post_init__(self) -> None:
        numbers = (self.open, self.high, self.low, self.close, self.volume, self.vwap or 0.0)
        if not all(map(isfinite, numbers)):
            raise ValueError("a bar's number is not finite")
        if self.provider is None and (self.vwap is None or self.trade_count + self.cancelled < 1):
            raise ValueError("a bar made from trades needs a trade and a vwap")
        if self.cancelled < 0 or (self.cancelled and self.provider is not None):
            raise ValueError("a bar's cancelled trades are none, or known because it was made here")
        if not self.low <= min(self.open, self.close) <= max(self.open, self.close) <= self.high:
            raise ValueError("low <= open, close <= high does not hold")
        if self.start_us >= self.end_us or self.trade_count < 0 or self.volume < 0:
            raise ValueError("a bar needs start < end, and a volume and a number of trades not below zero")
        integers = (self.start_us, self.end_us, self.last_event_time_us, self.last_received_time_us)
        if not -_INT64 <= min(integers) <= max(*integers, self.trade_count + self.cancelled, self.revision) < _INT64:
            raise ValueError("an integer is beyond 64 bits")

    @property
    def version(self) -> tuple[int, bool, int, int, bool, int]:
        """Sorts the versions of one bar, and one symbol's bars: a writer refuses to go below what it has.

        First by the trades that were seen, cancelled ones too; then by how many of them were taken out. A provider may
        correct a bar to fewer trades, so of its bars that are alike final the later received counts.
        """
        made_here = self.provider is None
        seen = self.trade_count + self.cancelled if made_here else 0
        return (self.start_us, made_here, seen, self.cancelled, self.final, self.revision)

    @property
    def void(self) -> bool:
        """Whether the trades that were not cancelled make no price: there is no bar, and readers leave it out.

        Its prices are those it had before; all of its trades count as taken out.
        """
        return self.provider is None and self.trade_count == 0


def _check_prices(*prices: float) -> None:
    for price in prices:
        if not isfinite(price):
            raise ValueError("price is not finite")
        if not 0 < price <= _LARGEST:
            raise ValueError(f"price is not within (0, {_LARGEST:g}]")


def _check_sizes(*sizes: float) -> None:
    for size in sizes:
        if not isfinite(size):
            raise ValueError("size is not finite")
        if not 0 <= size <= _LARGEST:
            raise ValueError(f"size is not within [0, {_LARGEST:g}]")


def _check_integers(*integers: int) -> None:
    if not -_INT64 <= min(integers) <= max(integers) < _INT64:
        raise ValueError("an integer is beyond 64 bits")


def _check_texts(symbol: str, provider: str, other: str | None) -> None:
    if not symbol or not provider:
        raise ValueError("symbol and provider must not be empty")
    if "\0" in symbol or "\0" in (other or ""):
        raise ValueError("a text holds a NUL character")

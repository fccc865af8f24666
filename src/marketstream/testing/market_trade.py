"""One trade of a generated or recorded market, as a venue would print it."""

from typing import NamedTuple

from marketstream.domain.market import Side


class MarketTrade(NamedTuple):
    """A trade before any provider's protocol has dressed it.

    A named tuple and no dataclass: tens of thousands a second are made, and it is as immutable at a third of the cost.

    Attributes:
        symbol: Canonical symbol.
        price: Trade price.
        size: Traded amount, whole shares for equities.
        event_time_us: When it happened, µs UTC.
        exchange: Venue code, where known.
        side: The taker's side, where known.
        trade_id: Unique within the symbol.
        sequence: Rises within the symbol; orders trades of equal time.
        conditions: Numeric sale conditions, by Massive's (Polygon's) numbers.
    """

    symbol: str
    price: float
    size: float
    event_time_us: int
    exchange: str | None
    side: Side | None
    trade_id: str
    sequence: int
    conditions: tuple[int, ...] = ()

"""Ticks, quotes, bars and indicators in the schema: every field of the messages' own value types."""

from typing import Any

import strawberry

from marketstream.domain.indicators import Indicators as IndicatorsValue
from marketstream.serving.graphql.context import Info
from marketstream.serving.graphql.scalars import Long, Numbers


@strawberry.type(description="One trade as a provider reported it.")
class Tick:
    """A `Tick` of the domain."""

    symbol: str
    price: float
    size: float
    event_time_us: Long = strawberry.field(description="When it happened, by the provider's clock")
    received_time_us: Long = strawberry.field(description="When its frame left our socket")
    provider: str
    trade_id: str
    sequence: Long = strawberry.field(description="Order among the symbol's trades with the same event time")
    asset_class: str
    exchange: str | None
    side: str | None = strawberry.field(description="The taker's side: buy, sell or null")
    conditions: list[str] = strawberry.field(description="Sale conditions, as the provider names them")


@strawberry.type(description="The best bid and ask as a provider reported them.")
class Quote:
    """A `Quote` of the domain."""

    symbol: str
    bid_price: float
    bid_size: float
    ask_price: float
    ask_size: float
    event_time_us: Long
    received_time_us: Long
    provider: str
    sequence: Long
    asset_class: str
    exchange: str | None


@strawberry.type(description="A bar; the newest one may still change (`final` false).")
class Bar:
    """A `Bar` of the domain, or a window that was filled."""

    symbol: str
    interval: str
    start_us: Long
    end_us: Long
    open: float
    high: float
    low: float
    close: float
    volume: float
    vwap: float | None = strawberry.field(description="Null of a provider's bar without one, and of a filled window")
    trade_count: Long
    last_event_time_us: Long
    last_received_time_us: Long
    final: bool
    revision: Long
    provider: str | None = strawberry.field(description="Who made it; null for one made here from trades")
    cancelled: Long = strawberry.field(description="How many cancelled trades were taken out of it")

    @strawberry.field(description="Whether it stands for a window without a bar: only with `fill: PREVIOUS`")
    def filled(self) -> bool:
        """`self` is what the readers return."""
        return bool(getattr(self, "filled", False))


@strawberry.type(description="What the technical indicators say with this bar as the newest.")
class Indicators:
    """An `Indicators` of the domain."""

    symbol: str
    interval: str
    start_us: Long
    end_us: Long
    final: bool
    revision: Long
    trade_count: Long
    close: float
    last_event_time_us: Long
    last_received_time_us: Long
    provider: str | None
    cancelled: Long

    @strawberry.field(
        description="By name, such as `sma_20`; a name is absent until it has enough bars, or where it is undefined",
        graphql_type=Numbers,
    )
    def values(self: IndicatorsValue, names: list[str] | None = None) -> dict[str, float]:
        """Those of these names, or all."""
        if names is None:
            return dict(self.values)
        return {name: self.values[name] for name in names if name in self.values}


@strawberry.type(description="Names one of an answer's trades.")
class TradeKey:
    """A trade's natural key within its symbol."""

    provider: str
    trade_id: str


@strawberry.type(description="Whether there are older ones, and where they end.")
class PageInfo:
    """Of a page of what is read from the newest back."""

    has_previous_page: bool = strawberry.field(description="Whether there may be older ones")
    start_cursor: str | None = strawberry.field(description="Pass it as `before` to get the page of older ones")


@strawberry.type(description="Where an answer came from and how fresh it is.")
class Origin:
    """As REST's answers have it."""

    source: str = strawberry.field(description="The store or stores that contributed: cache, database or both")
    stale: bool = strawberry.field(
        description="The newest datum is older than `serving.stale_after_seconds`, or none is there"
    )
    degraded: bool = strawberry.field(
        description="A store that belonged in the answer was away, so it may lack something"
    )
    received_us: Long | None = strawberry.field(description="When the newest datum was received")


@strawberry.type(description="The newest tick of a symbol.")
class LatestTick(Origin):
    """With where it came from."""

    tick: Tick


@strawberry.type(description="The newest quote of a symbol.")
class LatestQuote(Origin):
    """With where it came from."""

    quote: Quote


@strawberry.type(description="Ticks of a symbol, oldest first.")
class TickConnection(Origin):
    """A page."""

    nodes: list[Tick]
    page_info: PageInfo

    @strawberry.field(
        description="Those of the ticks that were taken back, and are in no bar; null while the database is away",
        graphql_type=list[TradeKey] | None,
    )
    async def cancelled(self: Any, info: Info) -> Any:  # what a page of ticks is, see `symbol.TickPage`
        """Asked when it is selected."""
        return await self.taken_back(info)


@strawberry.type(description="Bars of a symbol and window, oldest first.")
class BarConnection(Origin):
    """A page."""

    window: str
    nodes: list[Bar]
    page_info: PageInfo


@strawberry.type(description="Indicators of a symbol and window, by bar, oldest first.")
class IndicatorConnection(Origin):
    """A page."""

    window: str
    nodes: list[Indicators]
    page_info: PageInfo

"""What can be subscribed to: what the WebSocket sends, for named symbols."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Annotated, Any

import strawberry

from marketstream.domain.interval import Interval
from marketstream.serving.api.problems import invalid_parameter
from marketstream.serving.graphql import market_types as market
from marketstream.serving.graphql.context import Info
from marketstream.serving.graphql.live import Listening
from marketstream.serving.graphql.rows import Rows
from marketstream.serving.websocket.session import Wish
from marketstream.serving.websocket.updates import Channel

_LONGEST_CONFLATION_MS = 60_000
_MOST_WINDOWS = 50

Symbols = Annotated[list[str], strawberry.argument(description="In any case; an unknown one refuses them all")]
Windows = Annotated[list[str] | None, strawberry.argument(description="Bar lengths; without it, all there are")]
Conflate = Annotated[
    int,
    strawberry.argument(
        description=f"At most the newest of each every so many ms, up to {_LONGEST_CONFLATION_MS}; 0: every update"
    ),
]
Snapshot = Annotated[
    bool, strawberry.argument(description="Whether the newest state comes first, as an event of its own")
]


@strawberry.type(description="What came at once, up to 100 updates; a snapshot may hold more.")
class UpdateEvent:
    """An `Event`."""

    snapshot: bool = strawberry.field(description="This is the newest state as the subscription began, and no change")
    dropped: int = strawberry.field(description="Updates left out since the last event because you read too slowly")
    conflated: int = strawberry.field(
        description="Updates left out since the last event because newer ones had overtaken them"
    )


@strawberry.type(description="Ticks, in the order in which they came.")
class TickEvent(UpdateEvent):
    """An `Event` of ticks."""

    ticks: list[market.Tick]


@strawberry.type(description="Bars, provisional, final or corrected, in the order in which they came.")
class BarEvent(UpdateEvent):
    """An `Event` of bars."""

    bars: list[market.Bar]


@strawberry.type(description="Indicators of bars, in the order in which they came.")
class IndicatorEvent(UpdateEvent):
    """An `Event` of indicators."""

    indicators: list[market.Indicators]


@strawberry.type(description="Whatever comes by itself, over the WebSocket protocol `graphql-transport-ws`.")
class Subscription:
    """The root."""

    @strawberry.subscription(description="Every trade", graphql_type=TickEvent)
    async def ticks(
        self, info: Info, symbols: Symbols, conflate_ms: Conflate = 0, snapshot: Snapshot = True
    ) -> AsyncGenerator[Any, None]:
        """As the WebSocket's `ticks`."""
        wish = _wish(conflate_ms, None)
        async with aclosing(_events(info, Channel.TICKS, symbols, wish, snapshot=snapshot)) as events:
            async for event in events:
                yield event

    @strawberry.subscription(description="Every change of a bar, and every final bar", graphql_type=BarEvent)
    async def bars(
        self,
        info: Info,
        symbols: Symbols,
        windows: Windows = None,
        conflate_ms: Conflate = 0,
        snapshot: Snapshot = True,
    ) -> AsyncGenerator[Any, None]:
        """As the WebSocket's `bars`."""
        wish = _wish(conflate_ms, windows)
        async with aclosing(_events(info, Channel.BARS, symbols, wish, snapshot=snapshot)) as events:
            async for event in events:
                yield event

    @strawberry.subscription(description="The indicators of every bar that changes", graphql_type=IndicatorEvent)
    async def indicators(
        self,
        info: Info,
        symbols: Symbols,
        windows: Windows = None,
        conflate_ms: Conflate = 0,
        snapshot: Snapshot = True,
    ) -> AsyncGenerator[Any, None]:
        """As the WebSocket's `indicators`."""
        wish = _wish(conflate_ms, windows)
        async with aclosing(_events(info, Channel.INDICATORS, symbols, wish, snapshot=snapshot)) as events:
            async for event in events:
                yield event


async def _events(
    info: Info, channel: Channel, symbols: Sequence[str], wish: Wish, *, snapshot: bool
) -> AsyncGenerator[dict[str, Any], None]:
    principal = info.context.principal
    wanted = Listening(
        channel=channel,
        symbols=list(dict.fromkeys(symbol.strip().upper() for symbol in symbols)),
        wish=wish,
        snapshot=snapshot,
        principal="open" if principal is None else principal.name,
    )
    async with aclosing(info.context.services.updates().listen(wanted)) as events:
        async for event in events:
            counts = {"snapshot": event.snapshot, "dropped": event.dropped, "conflated": event.conflated}
            yield {**counts, channel.value: Rows(event.items)}


def _wish(conflate_ms: int, windows: Sequence[str] | None) -> Wish:
    if not 0 <= conflate_ms <= _LONGEST_CONFLATION_MS:
        raise invalid_parameter("conflateMs", f"{conflate_ms} is not within 0 and {_LONGEST_CONFLATION_MS:,}")
    if windows is None:
        return Wish(conflate_ms)
    if not 0 < len(windows) <= _MOST_WINDOWS:
        raise invalid_parameter("windows", f"{len(windows)} windows, where 1 to {_MOST_WINDOWS} may be")
    try:
        names = frozenset(Interval.parse(name[:16]).name for name in windows)
    except ValueError as error:
        raise invalid_parameter("windows", str(error)) from None
    return Wish(conflate_ms, names)

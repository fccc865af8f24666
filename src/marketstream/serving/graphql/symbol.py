"""A symbol and what is known of it."""

from collections.abc import Mapping
from enum import Enum
from typing import Annotated, Any

import orjson
import strawberry

from marketstream.domain.interval import Interval
from marketstream.serving.api.answers import origin
from marketstream.serving.api.paging import Place, pack_cursor, unpack_cursor
from marketstream.serving.api.params import TIME_HELP, parse_range, parse_window
from marketstream.serving.api.problems import invalid_parameter
from marketstream.serving.api.routes import MAX_LIMIT
from marketstream.serving.graphql import market_types as market
from marketstream.serving.graphql.context import Info
from marketstream.serving.graphql.loaders import CancelledKey, Kind, ListKey
from marketstream.serving.graphql.rows import Rows
from marketstream.serving.market_data import Answer
from marketstream.serving.merging import Range

_LONGEST_TIME = 64

Start = Annotated[
    str | None, strawberry.argument(description=f"First point in time, by event time or the bar's start. {TIME_HELP}")
]
End = Annotated[str | None, strawberry.argument(description=f"First point in time no longer wanted. {TIME_HELP}")]
Limit = Annotated[
    int, strawberry.argument(description=f"The newest so many, or before the cursor, up to {MAX_LIMIT}; oldest first")
]
Before = Annotated[
    str | None,
    strawberry.argument(description="A `startCursor`, with the same other arguments: the page of older ones"),
]
Window = Annotated[str, strawberry.argument(description="Bar length; the query { windows } lists them")]


@strawberry.enum(
    description="What stands for a window without a bar: nothing, or a bar at the close before it, with volume 0."
)
class Fill(Enum):
    """As REST's `fill`."""

    NONE = "none"
    PREVIOUS = "previous"


@strawberry.type(name="Symbol", description="A symbol and what is known of it.")
class SymbolNode:
    """Fields are read when they are selected, those of many symbols together."""

    name: str

    @strawberry.field(
        description="The newest trade; null where none was ever stored", graphql_type=market.LatestTick | None
    )
    async def latest(self, info: Info) -> Any:
        """As REST's."""
        answer = await info.context.loaders.latest(self.name)
        return None if answer.data is None else {**origin(answer), "tick": answer.data}

    @strawberry.field(
        description="The newest quote; null where none came within 60 s", graphql_type=market.LatestQuote | None
    )
    async def quote(self, info: Info) -> Any:
        """As REST's."""
        answer = await info.context.loaders.quote(self.name)
        return None if answer.data is None else {**origin(answer), "quote": answer.data}

    @strawberry.field(
        description="The newest trades in `[start, end)`; without a range, the newest ever",
        graphql_type=market.TickConnection | None,
    )
    async def ticks(
        self, info: Info, start: Start = None, end: End = None, limit: Limit = 100, before: Before = None
    ) -> Any:
        """As REST's."""
        check_limit(limit)
        between, query = read_range(start, end), said("ticks", self.name, start, end)
        if before is None:
            answer = await info.context.loaders.rows(ListKey("ticks", self.name, None, between, limit))
        else:
            place: Any = unpack_cursor(before, query, (int, int, str, str))
            readers = info.context.services.readers

            def read() -> Answer[list[Any]]:
                first, last = between
                return readers.market_data.ticks(self.name, start_us=first, end_us=last, before=place, limit=limit)

            answer = await readers.run(read)
        first = answer.data[0].place if len(answer.data) >= limit else None
        return TickPage(answer, first, query)

    @strawberry.field(
        description="The newest bars that start in `[start, end)`: history from the database, the live one from the "
        "cache",
        graphql_type=market.BarConnection | None,
    )
    async def bars(
        self,
        info: Info,
        window: Window = "1min",
        start: Start = None,
        end: End = None,
        limit: Limit = 100,
        before: Before = None,
        fill: Fill = Fill.NONE,
    ) -> Any:
        """As REST's."""
        check_limit(limit)
        interval = await _interval(info, window)
        query = said("bars", self.name, window, start, end, fill.value)
        between = _before(read_range(start, end), before, query)
        kind: Kind = "filled" if fill is Fill.PREVIOUS else "bars"
        answer = await info.context.loaders.rows(ListKey(kind, self.name, interval, between, limit))
        return _page_of_bars(answer, interval, limit, query)

    @strawberry.field(
        description="The indicators of the newest bars that start in `[start, end)`",
        graphql_type=market.IndicatorConnection | None,
    )
    async def indicators(
        self,
        info: Info,
        window: Window = "1min",
        start: Start = None,
        end: End = None,
        limit: Limit = 100,
        before: Before = None,
    ) -> Any:
        """As REST's."""
        check_limit(limit)
        interval = await _interval(info, window)
        query = said("indicators", self.name, window, start, end)
        between = _before(read_range(start, end), before, query)
        answer = await info.context.loaders.rows(ListKey("indicators", self.name, interval, between, limit))
        return _page_of_bars(answer, interval, limit, query)


class TickPage:
    """A `TickConnection`; which ones were taken back is asked when that is selected."""

    def __init__(self, answer: Answer[list[Any]], place: Place | None, query: bytes) -> None:
        self._ticks = answer.data
        self.__dict__.update(origin(answer))
        self.nodes = Rows(answer.data)
        self.page_info = page_info(None if place is None else pack_cursor(place, query))

    async def taken_back(self, info: Info) -> list[Mapping[str, str]] | None:
        """As REST's."""
        ticks = self._ticks
        if not ticks:
            return []
        times_us = [tick.event_time_us for tick in ticks]
        key = CancelledKey(ticks[0].symbol, (min(times_us), max(times_us) + 1))
        known = await info.context.loaders.cancelled(key)
        if known is None:
            return None
        keys = [(tick.provider, tick.trade_id) for tick in ticks if (tick.provider, tick.trade_id) in known]
        return [{"provider": provider, "trade_id": trade_id} for provider, trade_id in keys]


def check_limit(limit: int, most: int = MAX_LIMIT) -> None:
    """Refuses a number of rows that is none.

    Raises:
        Problem: It is below 1, or too high.
    """
    if not 1 <= limit <= most:
        raise invalid_parameter("limit", f"{limit} is not within 1 and {most:,}")


def said(*words: str | None) -> bytes:
    """What a query was, for its cursors."""
    return orjson.dumps(["graphql", *words])


def page_info(cursor: str | None) -> dict[str, Any]:
    """A `PageInfo`."""
    return {"has_previous_page": cursor is not None, "start_cursor": cursor}


def _page_of_bars(answer: Answer[list[Any]], interval: Interval, limit: int, query: bytes) -> dict[str, Any]:
    starts = [row.start_us for row in answer.data[:1]]
    cursor = pack_cursor((starts[0],), query) if len(answer.data) >= limit else None
    rows = Rows(answer.data)
    return {**origin(answer), "window": interval.name, "nodes": rows, "page_info": page_info(cursor)}


async def _interval(info: Info, window: str) -> Interval:
    return parse_window(window[:16], await info.context.loaders.intervals())


def read_range(start: str | None, end: str | None) -> Range:
    """Reads `[start, end)` in µs UTC.

    Raises:
        Problem: One is no time, or start is not before end.
    """
    for name, text in (("start", start), ("end", end)):
        if text is not None and len(text) > _LONGEST_TIME:
            raise invalid_parameter(name, f"is longer than {_LONGEST_TIME} characters")
    return parse_range(start, end)


def _before(between: Range, cursor: str | None, query: bytes) -> Range:
    """The part of a range of bars that comes before a cursor's place."""
    if cursor is None:
        return between
    (place,) = unpack_cursor(cursor, query, (int,))
    start_us, end_us = between
    return start_us, int(place) if end_us is None else min(end_us, int(place))

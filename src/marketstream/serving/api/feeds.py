"""The feeds under `/api/v1/feeds`: how they are, what happened to them, and what of their trades is missing."""

from collections.abc import Mapping, Sequence
from typing import Annotated, cast

from fastapi import APIRouter, Query, Request, Response

from marketstream.contracts.feed_state import EventPlace, GapPlace, MinuteRecord
from marketstream.contracts.messages import FeedEventKind, GapState
from marketstream.domain.interval import MICROSECONDS
from marketstream.serving.api.answers import answered
from marketstream.serving.api.documented import answers
from marketstream.serving.api.feed_schemas import (
    CompletenessAnswer,
    FeedEventsAnswer,
    FeedGapsAnswer,
    FeedsAnswer,
    MinuteBody,
)
from marketstream.serving.api.paging import Cursor, Place, next_link, read_cursor
from marketstream.serving.api.params import TIME_HELP, Symbols, parse_range, parse_symbols
from marketstream.serving.api.problems import invalid_parameter
from marketstream.serving.api.strict import StrictRoute
from marketstream.serving.feed_data import FeedData
from marketstream.serving.market_data import MarketData

MINUTE_US = 60 * MICROSECONDS
_HOUR_US = 60 * MINUTE_US
_LONGEST_US = 24 * _HOUR_US
MAX_MINUTES = 30_000  # of all symbols together: 500 for an hour, 20 for a day

Provider = Annotated[
    str | None, Query(max_length=64, description="Of this provider", openapi_examples={"one": {"value": "binance"}})
]
Kind = Annotated[FeedEventKind | None, Query(description="Of this kind; of `status` none are kept")]
State = Annotated[GapState | None, Query(description="In this state")]
SymbolFilter = Annotated[
    str | None,
    Query(max_length=64, description="Of this symbol, in any case", openapi_examples={"one": {"value": "BTCUSDT"}}),
]
Start = Annotated[str | None, Query(max_length=64, description=f"First point in time, by event time. {TIME_HELP}")]
End = Annotated[str | None, Query(max_length=64, description=f"First point in time no longer wanted. {TIME_HELP}")]
Limit = Annotated[int, Query(ge=1, le=10_000, description="The newest so many, or before the cursor; oldest first")]
MinuteLimit = Annotated[int, Query(ge=1, le=MAX_MINUTES, description="So many at once")]


def feed_router(feed_data: FeedData, market_data: MarketData) -> APIRouter:
    """The endpoints over one `FeedData`; `market_data` knows the symbols."""
    router = APIRouter(prefix="/api/v1/feeds", tags=["feeds"], route_class=StrictRoute)

    @router.get("", summary="How every provider's feed is", responses=answers(FeedsAnswer, 422, 503))
    def feeds(request: Request) -> Response:
        """Role, fault, lag, last event and gaps of every provider."""
        return answered(request, FeedsAnswer.of(feed_data.feeds(), feed_data.now_us()).model_dump())

    @router.get("/events", summary="What happened to the feeds", responses=answers(FeedEventsAnswer, 422, 503))
    def events(
        request: Request, provider: Provider = None, kind: Kind = None, limit: Limit = 100, cursor: Cursor = None
    ) -> Response:
        """The newest events of the last 30 days: connects, failovers, gaps and the like. `next` leads to older ones."""
        place = cast("EventPlace | None", read_cursor(request, cursor, int, str, str))
        found = feed_data.events(provider=provider, kind=kind, before=place, limit=limit)
        first = found[0][0] if len(found) >= limit else None
        return _page(request, "events", [event for _, event in found], first)

    @router.get("/gaps", summary="Stretches of trades that did not come", responses=answers(FeedGapsAnswer, 422, 503))
    def gaps(
        request: Request,
        symbol: SymbolFilter = None,
        provider: Provider = None,
        state: State = None,
        start: Start = None,
        end: End = None,
        limit: Limit = 100,
        cursor: Cursor = None,
    ) -> Response:
        """The newest gaps that touch `[start, end)`, and what became of each. `next` leads to older ones."""
        found = feed_data.gaps(
            symbol=symbol and symbol.upper(),
            provider=provider,
            state=state,
            between_us=parse_range(start, end),
            before=cast("GapPlace | None", read_cursor(request, cursor, int, str)),
            limit=limit,
        )
        return _page(request, "gaps", found, (found[0].start_us, found[0].gap_id) if len(found) >= limit else None)

    @router.get(
        "/completeness",
        summary="How complete the trades of each minute are",
        responses=answers(CompletenessAnswer, 404, 422, 503),
    )
    def completeness(
        request: Request,
        symbol: Symbols = None,
        start: Start = None,
        end: End = None,
        limit: MinuteLimit = MAX_MINUTES,
        cursor: Cursor = None,
    ) -> Response:
        """A score for every symbol and minute that `[start, end)` touches; without a range, for the last hour.

        By symbol, then by time; `next` goes on after the last, over the same minutes.
        """
        place = read_cursor(request, cursor, str, int, int, int)
        names = parse_symbols(symbol, market_data.symbols())
        if place is None:
            between = whole_minutes(*parse_range(start, end), feed_data.now_us())
        else:
            between = _asked_before(int(place[2]), int(place[3]))
        check_size(len(names), between[1] - between[0])
        found, more = _some_minutes(feed_data, names, between, place, limit)
        last = (found[-1].symbol, found[-1].minute_us, *between) if more else None
        span = {"start_us": between[0], "end_us": between[1]}
        return _page(request, "minutes", [MinuteBody.of(record).model_dump() for record in found], last, span)

    return router


def _page(
    request: Request, name: str, rows: Sequence[object], place: Place | None, head: Mapping[str, object] | None = None
) -> Response:
    link = next_link(request, place)
    body = {**(head or {}), "count": len(rows), "next": link, name: rows}
    return answered(request, body, headers={"Link": f'<{link}>; rel="next"'} if link else None)


def _asked_before(start_us: int, end_us: int) -> tuple[int, int]:
    if not 0 <= start_us < end_us or start_us % MINUTE_US or end_us % MINUTE_US:
        raise invalid_parameter("cursor", "holds no minutes")
    return start_us, end_us


def _some_minutes(
    feed_data: FeedData, names: Sequence[str], between: tuple[int, int], place: Place | None, limit: int
) -> tuple[list[MinuteRecord], bool]:
    """The first `limit` minutes after a place, and whether there are more; asks only for the symbols they need."""
    each = (between[1] - between[0]) // MINUTE_US
    left = sorted(name for name in names if place is None or name >= str(place[0]))
    records = feed_data.completeness(left[: limit // each + 2], *between)
    found = [each for each in records if place is None or (each.symbol, each.minute_us) > (place[0], place[1])]
    return found[:limit], len(found) > limit


def whole_minutes(start_us: int | None, end_us: int | None, now_us: int) -> tuple[int, int]:
    """The whole minutes that a range touches; without an end up to now, without a start an hour of them.

    Raises:
        Problem: The range is empty.
    """
    if end_us is None:
        end_us = now_us
    if start_us is None:
        start_us = end_us - _HOUR_US
    if start_us >= end_us:
        raise invalid_parameter("start", "is not before the present, at which the range ends without `end`")
    return start_us - start_us % MINUTE_US, end_us + -end_us % MINUTE_US


def check_size(symbols: int, length_us: int) -> None:
    """Refuses more minutes than can be told at once.

    Raises:
        Problem: There are more.
    """
    if length_us > _LONGEST_US:
        raise invalid_parameter("start", "the range is longer than a day; ask for one day after the other")
    minutes = symbols * length_us // MINUTE_US
    if minutes > MAX_MINUTES:
        raise invalid_parameter(
            "symbol", f"{symbols} symbols over this range are {minutes:,} minutes; at most {MAX_MINUTES:,} at once"
        )

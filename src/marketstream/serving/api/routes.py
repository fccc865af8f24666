"""The endpoints under `/api/v1`.

Plain functions, which FastAPI runs in its thread pool, since the readers block; but for the newest tick, which the
cache tells an event loop directly.
"""

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from marketstream.serving.api.answers import FORMS, FormatQuery, answered, chosen_format, list_answer, origin
from marketstream.serving.api.documented import answers, tables
from marketstream.serving.api.listings import Listings
from marketstream.serving.api.paging import Cursor, Place, next_link, read_cursor
from marketstream.serving.api.params import TIME_HELP, parse_range, parse_window
from marketstream.serving.api.problems import Problem
from marketstream.serving.api.schemas import (
    BarsAnswer,
    IndicatorsAnswer,
    LatestAnswer,
    QuoteAnswer,
    SymbolsAnswer,
    TicksAnswer,
)
from marketstream.serving.api.strict import StrictRoute
from marketstream.serving.market_data import MarketData
from marketstream.serving.merging import Range

MAX_LIMIT = 10_000

Symbol = Annotated[
    str,
    Path(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,31}$",
        description="In any case; GET /api/v1/symbols lists them",
        openapi_examples={"crypto": {"value": "BTCUSDT"}, "equity": {"value": "IBM"}},
    ),
]
Start = Annotated[
    str | None,
    Query(
        max_length=64,
        description=f"First point in time, by event time (bars and indicators: by the bar's start). {TIME_HELP}",
        openapi_examples={
            "ISO 8601": {"value": "2013-10-07T13:30:00Z"},
            "seconds": {"value": "1381152600"},
        },
    ),
]
End = Annotated[
    str | None,
    Query(
        max_length=64,
        description=f"First point in time no longer wanted. {TIME_HELP}",
        openapi_examples={"milliseconds": {"value": "4102444800000"}},
    ),
]
Limit = Annotated[
    int, Query(ge=1, le=MAX_LIMIT, description="The newest so many in the range, or before the cursor; oldest first")
]
Window = Annotated[
    str, Query(max_length=16, description="Bar length", openapi_examples={"1 minute": {"value": "1min"}})
]
Fill = Annotated[
    Literal["none", "previous"],
    Query(
        description="`previous` gives every window without a bar the close before it, volume 0 and `filled` true, "
        "through nights and weekends too; it begins with the first bar and ends with the newest, or before `end`"
    ),
]


def market_router(market_data: MarketData, asked: Listings) -> APIRouter:
    """The endpoints over one `MarketData`; `asked` reads its lists."""
    router = APIRouter(prefix="/api/v1", tags=["market"], route_class=StrictRoute)

    @router.get("/latest/{symbol}", summary="Newest tick", responses=answers(LatestAnswer, 404, 422, 503))
    async def latest(request: Request, symbol: Symbol) -> Response:
        """The newest trade of a symbol, from the cache while it keeps one (60 s), else from the database."""
        symbol = symbol.upper()
        answer = await market_data.latest_at_once(symbol)
        if answer is None:
            answer = await run_in_threadpool(asked.latest, symbol)
        return answered(request, {**origin(answer), "symbol": symbol, "tick": answer.data})

    @router.get("/quotes/{symbol}", summary="Newest quote", responses=answers(QuoteAnswer, 404, 422, 503))
    def quotes(request: Request, symbol: Symbol) -> Response:
        """The best bid and ask as they came last; kept for 60 s in the cache, and nowhere else."""
        symbol = symbol.upper()
        answer = market_data.quote(symbol)
        if answer.data is None:
            asked.check_known(symbol)
            raise Problem(404, "no-data", "No data yet", f"{symbol} is known, but no quote of it came within 60 s.")
        return answered(request, {**origin(answer), "symbol": symbol, "quote": answer.data})

    @router.get("/ticks/{symbol}", summary="Ticks", responses=tables(TicksAnswer, 404, 422, 503))
    def ticks(
        request: Request,
        symbol: Symbol,
        start: Start = None,
        end: End = None,
        limit: Limit = 100,
        cursor: Cursor = None,
        format: FormatQuery = None,  # noqa: A002  # the parameter's public name
    ) -> Response:
        """The newest trades in `[start, end)`; without a range, the newest ever. `cancelled` names those taken back.

        `next` leads to the page of older ones: none is repeated or left out while newer ones arrive.
        """
        form = chosen_format(request, format, FORMS)
        place = read_cursor(request, cursor, int, int, str, str)
        listing = asked.ticks(symbol.upper(), parse_range(start, end), place, limit)
        if form == "json":
            return list_answer(request, listing, form)
        return list_answer(request, asked.marked(listing), form, asked.shape("ticks"))

    @router.get("/aggregated/{symbol}", summary="Bars", responses=tables(BarsAnswer, 404, 422, 503))
    def aggregated(
        request: Request,
        symbol: Symbol,
        window: Window = "1min",
        start: Start = None,
        end: End = None,
        limit: Limit = 100,
        cursor: Cursor = None,
        fill: Fill = "none",
        format: FormatQuery = None,  # noqa: A002  # the parameter's public name
    ) -> Response:
        """The newest bars that start in `[start, end)`: history from the database, the live one from the cache.

        `next` leads to the page of older ones.
        """
        form = chosen_format(request, format, FORMS)
        interval = parse_window(window, market_data.intervals())
        between = _before(parse_range(start, end), read_cursor(request, cursor, int))
        listing = asked.bars(symbol.upper(), interval, between, limit, fill)
        shape = None if form == "json" else asked.shape("filled" if fill == "previous" else "bars")
        return list_answer(request, listing, form, shape)

    @router.get(
        "/indicators/{symbol}", summary="Technical indicators", responses=tables(IndicatorsAnswer, 404, 422, 503)
    )
    def indicators(
        request: Request,
        symbol: Symbol,
        window: Window = "1min",
        start: Start = None,
        end: End = None,
        limit: Limit = 100,
        cursor: Cursor = None,
        format: FormatQuery = None,  # noqa: A002  # the parameter's public name
    ) -> Response:
        """The indicators of the newest bars that start in `[start, end)`, from the stores that bars come from.

        `next` leads to the page of older ones. In tables each configured indicator has a column; `other_values` holds
        what others there are, as JSON.
        """
        form = chosen_format(request, format, FORMS)
        interval = parse_window(window, market_data.intervals())
        between = _before(parse_range(start, end), read_cursor(request, cursor, int))
        listing = asked.indicators(symbol.upper(), interval, between, limit)
        return list_answer(request, listing, form, None if form == "json" else asked.shape("indicators"))

    @router.get("/symbols", summary="Symbols and windows", responses=answers(SymbolsAnswer, 422, 503))
    def symbols(request: Request, limit: Limit = MAX_LIMIT, cursor: Cursor = None) -> Response:
        """Configured symbols and windows, and those the stores have seen; symbols by name, `limit` at once."""
        place = read_cursor(request, cursor, str)
        known = [symbol for symbol in market_data.symbols() if place is None or symbol > str(place[0])]
        page = known[:limit]
        link = next_link(request, (page[-1],) if len(known) > limit else None)
        windows = [interval.name for interval in market_data.intervals()]
        body = {"count": len(page), "next": link, "symbols": page, "windows": windows}
        return answered(request, body, headers={"Link": f'<{link}>; rel="next"'} if link else None)

    return router


def _before(between: Range, place: Place | None) -> Range:
    """The part of a range of bars that comes before a cursor's place."""
    start_us, end_us = between
    if place is None:
        return between
    before_us = int(place[0])
    return start_us, before_us if end_us is None else min(end_us, before_us)

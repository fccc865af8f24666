"""The endpoints under `/api/v1`. Plain functions: FastAPI runs them in its thread pool, since the readers block."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query

from marketstream.domain.interval import Interval
from marketstream.serving.api.params import TIME_HELP, parse_range, parse_window
from marketstream.serving.api.problems import MEDIA_TYPE, Problem, ProblemBody, unknown_symbol
from marketstream.serving.api.schemas import BarsAnswer, LatestAnswer, SymbolsAnswer, TicksAnswer
from marketstream.serving.market_data import MarketData

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
        description=f"First point in time, by event time (bars: by their start). {TIME_HELP}",
        openapi_examples={
            "none": {"value": None},
            "ISO 8601": {"value": "2013-10-07T13:30:00Z"},
            "seconds": {"value": "1381152600"},
        },
    ),
]
End = Annotated[
    str | None,
    Query(
        description=f"First point in time no longer wanted. {TIME_HELP}",
        openapi_examples={"none": {"value": None}, "milliseconds": {"value": "1381176000000"}},
    ),
]
Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="The newest so many in the range, oldest first")]
Window = Annotated[str, Query(description="Bar length", openapi_examples={"1 minute": {"value": "1min"}})]


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    texts = {404: "Unknown symbol, or no trade yet", 422: "A parameter is wrong", 503: "No store can answer"}
    content = {MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{ProblemBody.__name__}"}}}
    return {status: {"description": texts[status], "content": content} for status in statuses}


def market_router(market_data: MarketData, intervals: Sequence[Interval]) -> APIRouter:
    """The endpoints over one `MarketData`; `intervals` are the windows that exist."""
    router = APIRouter(prefix="/api/v1", tags=["market"])

    def check_known(symbol: str) -> None:
        known = market_data.symbols()
        if symbol not in known:
            raise unknown_symbol(symbol, known)

    @router.get("/latest/{symbol}", summary="Newest tick", responses=_problems(404, 422, 503))
    def latest(symbol: Symbol) -> LatestAnswer:
        """The newest trade of a symbol, from the cache while it keeps one (60 s), else from the database."""
        symbol = symbol.upper()
        answer = market_data.latest(symbol)
        if answer.data is None:
            check_known(symbol)
            raise Problem(404, "no-data", "No data yet", f"{symbol} is known, but no trade of it has been stored.")
        return LatestAnswer.of(symbol, answer.data, answer)

    @router.get("/ticks/{symbol}", summary="Ticks", responses=_problems(404, 422, 503))
    def ticks(symbol: Symbol, start: Start = None, end: End = None, limit: Limit = 100) -> TicksAnswer:
        """The newest trades in `[start, end)`; without a range, the newest ever."""
        symbol = symbol.upper()
        start_us, end_us = parse_range(start, end)
        answer = market_data.ticks(symbol, start_us=start_us, end_us=end_us, limit=limit)
        if not answer.data:
            check_known(symbol)
        return TicksAnswer.of(symbol, answer)

    @router.get("/aggregated/{symbol}", summary="Bars", responses=_problems(404, 422, 503))
    def aggregated(
        symbol: Symbol, window: Window = "1min", start: Start = None, end: End = None, limit: Limit = 100
    ) -> BarsAnswer:
        """The newest bars that start in `[start, end)`: history from the database, the live one from the cache."""
        symbol = symbol.upper()
        interval = parse_window(window, intervals)
        start_us, end_us = parse_range(start, end)
        answer = market_data.bars(symbol, interval, start_us=start_us, end_us=end_us, limit=limit)
        if not answer.data:
            check_known(symbol)
        return BarsAnswer.of(symbol, interval.name, answer)

    @router.get("/symbols", summary="Symbols and windows", responses=_problems(503))
    def symbols() -> SymbolsAnswer:
        """Configured symbols and those the stores have seen."""
        return SymbolsAnswer(symbols=market_data.symbols(), windows=[interval.name for interval in intervals])

    return router

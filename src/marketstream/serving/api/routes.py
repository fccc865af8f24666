"""The endpoints under `/api/v1`. Plain functions: FastAPI runs them in its thread pool, since the readers block."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from marketstream.serving.api.params import TIME_HELP, parse_range, parse_window
from marketstream.serving.api.problems import Problem, problem_responses, unknown_symbol
from marketstream.serving.api.schemas import (
    BarsAnswer,
    IndicatorsAnswer,
    LatestAnswer,
    QuoteAnswer,
    SymbolsAnswer,
    TicksAnswer,
)
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
        description=f"First point in time, by event time (bars and indicators: by the bar's start). {TIME_HELP}",
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


def market_router(market_data: MarketData) -> APIRouter:
    """The endpoints over one `MarketData`."""
    router = APIRouter(prefix="/api/v1", tags=["market"])

    def check_known(symbol: str) -> None:
        known = market_data.symbols()
        if symbol not in known:
            raise unknown_symbol(symbol, known)

    @router.get("/latest/{symbol}", summary="Newest tick", responses=problem_responses(404, 422, 503))
    def latest(symbol: Symbol) -> LatestAnswer:
        """The newest trade of a symbol, from the cache while it keeps one (60 s), else from the database."""
        symbol = symbol.upper()
        answer = market_data.latest(symbol)
        if answer.data is None:
            check_known(symbol)
            raise Problem(404, "no-data", "No data yet", f"{symbol} is known, but no trade of it has been stored.")
        return LatestAnswer.of(symbol, answer.data, answer)

    @router.get("/quotes/{symbol}", summary="Newest quote", responses=problem_responses(404, 422, 503))
    def quotes(symbol: Symbol) -> QuoteAnswer:
        """The best bid and ask as they came last; kept for 60 s in the cache, and nowhere else."""
        symbol = symbol.upper()
        answer = market_data.quote(symbol)
        if answer.data is None:
            check_known(symbol)
            raise Problem(404, "no-data", "No data yet", f"{symbol} is known, but no quote of it came within 60 s.")
        return QuoteAnswer.of(symbol, answer.data, answer)

    @router.get("/ticks/{symbol}", summary="Ticks", responses=problem_responses(404, 422, 503))
    def ticks(symbol: Symbol, start: Start = None, end: End = None, limit: Limit = 100) -> TicksAnswer:
        """The newest trades in `[start, end)`; without a range, the newest ever. `cancelled` names those taken back."""
        symbol = symbol.upper()
        start_us, end_us = parse_range(start, end)
        answer = market_data.ticks(symbol, start_us=start_us, end_us=end_us, limit=limit)
        if not answer.data:
            check_known(symbol)
        return TicksAnswer.of(symbol, answer, market_data.cancelled(answer.data))

    @router.get("/aggregated/{symbol}", summary="Bars", responses=problem_responses(404, 422, 503))
    def aggregated(
        symbol: Symbol, window: Window = "1min", start: Start = None, end: End = None, limit: Limit = 100
    ) -> BarsAnswer:
        """The newest bars that start in `[start, end)`: history from the database, the live one from the cache."""
        symbol = symbol.upper()
        interval = parse_window(window, market_data.intervals())
        start_us, end_us = parse_range(start, end)
        answer = market_data.bars(symbol, interval, start_us=start_us, end_us=end_us, limit=limit)
        if not answer.data:
            check_known(symbol)
        return BarsAnswer.of(symbol, interval.name, answer)

    @router.get("/indicators/{symbol}", summary="Technical indicators", responses=problem_responses(404, 422, 503))
    def indicators(
        symbol: Symbol, window: Window = "1min", start: Start = None, end: End = None, limit: Limit = 100
    ) -> IndicatorsAnswer:
        """The indicators of the newest bars that start in `[start, end)`, from the stores that bars come from."""
        symbol = symbol.upper()
        interval = parse_window(window, market_data.intervals())
        start_us, end_us = parse_range(start, end)
        answer = market_data.indicators(symbol, interval, start_us=start_us, end_us=end_us, limit=limit)
        if not answer.data:
            check_known(symbol)
        return IndicatorsAnswer.of(symbol, interval.name, answer)

    @router.get("/symbols", summary="Symbols and windows", responses=problem_responses(503))
    def symbols() -> SymbolsAnswer:
        """Configured symbols and windows, and those the stores have seen."""
        return SymbolsAnswer(
            symbols=market_data.symbols(), windows=[interval.name for interval in market_data.intervals()]
        )

    return router

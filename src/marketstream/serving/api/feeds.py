"""The feeds under `/api/v1/feeds`: how they are, what happened to them, and what of their trades is missing."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query

from marketstream.contracts.messages import FeedEventKind, GapState
from marketstream.domain.interval import MICROSECONDS
from marketstream.serving.api.feed_schemas import (
    CompletenessAnswer,
    FeedEventsAnswer,
    FeedGapsAnswer,
    FeedsAnswer,
    MinuteBody,
)
from marketstream.serving.api.params import TIME_HELP, parse_range
from marketstream.serving.api.problems import invalid_parameter, problem_responses, unknown_symbol
from marketstream.serving.feed_data import FeedData
from marketstream.serving.market_data import MarketData

_MINUTE_US = 60 * MICROSECONDS
_HOUR_US = 60 * _MINUTE_US
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
Symbols = Annotated[
    str | None,
    Query(
        max_length=40_000,
        description="Symbols in any case, by commas; without it, all known ones",
        openapi_examples={"two": {"value": "BTCUSDT,ETHUSDT"}},
    ),
]
Start = Annotated[str | None, Query(description=f"First point in time, by event time. {TIME_HELP}")]
End = Annotated[str | None, Query(description=f"First point in time no longer wanted. {TIME_HELP}")]
Limit = Annotated[int, Query(ge=1, le=10_000, description="The newest so many, oldest first")]


def feed_router(feed_data: FeedData, market_data: MarketData) -> APIRouter:
    """The endpoints over one `FeedData`; `market_data` knows the symbols."""
    router = APIRouter(prefix="/api/v1/feeds", tags=["feeds"])

    @router.get("", summary="How every provider's feed is", responses=problem_responses(503))
    def feeds() -> FeedsAnswer:
        """Role, fault, lag, last event and gaps of every provider."""
        return FeedsAnswer.of(feed_data.feeds(), feed_data.now_us())

    @router.get("/events", summary="What happened to the feeds", responses=problem_responses(422, 503))
    def events(provider: Provider = None, kind: Kind = None, limit: Limit = 100) -> FeedEventsAnswer:
        """The newest events of the last 30 days: connects, failovers, gaps and the like."""
        found = feed_data.events(provider=provider, kind=kind, limit=limit)
        return FeedEventsAnswer(count=len(found), events=found)

    @router.get("/gaps", summary="Stretches of trades that did not come", responses=problem_responses(422, 503))
    def gaps(
        symbol: SymbolFilter = None,
        provider: Provider = None,
        state: State = None,
        start: Start = None,
        end: End = None,
        limit: Limit = 100,
    ) -> FeedGapsAnswer:
        """The newest gaps that touch `[start, end)`, and what became of each."""
        found = feed_data.gaps(
            symbol=symbol and symbol.upper(),
            provider=provider,
            state=state,
            between_us=parse_range(start, end),
            limit=limit,
        )
        return FeedGapsAnswer(count=len(found), gaps=found)

    @router.get(
        "/completeness",
        summary="How complete the trades of each minute are",
        responses=problem_responses(404, 422, 503),
    )
    def completeness(symbol: Symbols = None, start: Start = None, end: End = None) -> CompletenessAnswer:
        """A score for every symbol and minute that `[start, end)` touches; without a range, for the last hour."""
        names = _symbols(symbol, market_data.symbols())
        start_us, end_us = _whole_minutes(*parse_range(start, end), feed_data.now_us())
        _check_size(len(names), end_us - start_us)
        minutes = [MinuteBody.of(record) for record in feed_data.completeness(names, start_us, end_us)]
        return CompletenessAnswer(start_us=start_us, end_us=end_us, count=len(minutes), minutes=minutes)

    return router


def _symbols(text: str | None, known: Sequence[str]) -> list[str]:
    if text is None:
        return list(known)
    names = list(dict.fromkeys(name.strip().upper() for name in text.split(",") if name.strip()))
    if not names:
        raise invalid_parameter("symbol", "names no symbol")
    for name in names:
        if name not in known:
            raise unknown_symbol(name, known)
    return names


def _whole_minutes(start_us: int | None, end_us: int | None, now_us: int) -> tuple[int, int]:
    if end_us is None:
        end_us = now_us
    if start_us is None:
        start_us = end_us - _HOUR_US
    if start_us >= end_us:
        raise invalid_parameter("start", "is not before the present, at which the range ends without `end`")
    return start_us - start_us % _MINUTE_US, end_us + -end_us % _MINUTE_US


def _check_size(symbols: int, length_us: int) -> None:
    if length_us > _LONGEST_US:
        raise invalid_parameter("start", "the range is longer than a day; ask for one day after the other")
    minutes = symbols * length_us // _MINUTE_US
    if minutes > MAX_MINUTES:
        raise invalid_parameter(
            "symbol", f"{symbols} symbols over this range are {minutes:,} minutes; at most {MAX_MINUTES:,} at once"
        )

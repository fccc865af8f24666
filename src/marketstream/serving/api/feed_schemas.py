"""The shapes of answers about the feeds. Events and gaps are the messages' own value types."""

from collections.abc import Sequence
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field

from marketstream.contracts.feed_state import FeedState, GapCounts, MinuteRecord, Verdict
from marketstream.contracts.messages import FeedEvent, FeedEventKind, FeedGap, FeedRole
from marketstream.domain.errors import Fault
from marketstream.domain.interval import MICROSECONDS
from marketstream.serving.api.schemas import NEXT

GAP_EXAMPLE: dict[str, Any] = {
    "gap_id": "binance|BTCUSDT|3276518293",
    "provider": "binance",
    "symbol": "BTCUSDT",
    "start_us": 1_700_000_000_123_000,
    "end_us": 1_700_000_004_811_000,
    "first_id": 3276518294,
    "last_id": 3276518331,
    "missing": 38,
    "filled": 0,
    "state": "open",
    "detail": "",
    "opened_us": 1_700_000_004_900_000,
    "updated_us": 1_700_000_004_900_000,
}
EVENT_EXAMPLE: dict[str, Any] = {
    "kind": "failback",
    "provider": "binance",
    "detail": "took over from finage, which it is preferred to",
    "time_us": 1_699_999_984_811_000,
    "attempt": 1,
    "role": "active",
    "fault": None,
    "lag_ms": 12.5,
    "gap": None,
}
GAP_EVENT_EXAMPLE: dict[str, Any] = {
    "kind": "gap",
    "provider": "binance",
    "detail": "38 trades are missing",
    "time_us": 1_700_000_004_900_000,
    "attempt": 0,
    "role": None,
    "fault": None,
    "lag_ms": None,
    "gap": GAP_EXAMPLE,
}
_FEED_EXAMPLE: dict[str, Any] = {
    "provider": "binance",
    "role": "active",
    "fault": None,
    "attempt": 1,
    "lag_ms": 12.5,
    "last_event": {name: EVENT_EXAMPLE[name] for name in ("kind", "detail", "time_us")},
    "time_us": EVENT_EXAMPLE["time_us"],
    "age_seconds": 20.689,
    "open_gaps": 1,
    "gaps": {"open": 1, "closed": 0, "unfillable": 0},
}
_MINUTE_EXAMPLE: dict[str, Any] = {
    "symbol": "BTCUSDT",
    "minute_us": 1_699_999_980_000_000,
    "score": 1 / 39,
    "ticks": 1,
    "missing": 38.0,
    "uncovered_seconds": 0.0,
    "reason": "trades_missing",
    "gap_ids": ["binance|BTCUSDT|3276518293"],
}


class LastEvent(BaseModel):
    """What happened to a feed last, repeated statuses and gaps left out."""

    kind: FeedEventKind
    detail: str
    time_us: int


class FeedBody(BaseModel):
    """How one provider's feed is; null is what nobody said so far."""

    provider: str
    role: FeedRole | None = Field(
        description="`active`: trades are taken from it; `standby`; `probing` whether it is well again; "
        "`open`: shut out by its breaker"
    )
    fault: Fault | None = Field(description="What is wrong with it")
    attempt: int | None = Field(description="Which connection attempt in a row, from 1")
    lag_ms: float | None = Field(description="How much later than at its best its newest trades came")
    last_event: LastEvent | None
    time_us: int | None = Field(description="When the newest word was said; while all is well one comes every few s")
    age_seconds: float | None = Field(description="Since then")
    open_gaps: int = Field(description="Gaps that are being filled")
    gaps: GapCounts = Field(description="All its gaps ever, by state")

    @classmethod
    def of(cls, state: FeedState, now_us: int) -> Self:
        """Makes the body."""
        last = None
        if state.kind is not None and state.event_time_us is not None:
            last = LastEvent(kind=state.kind, detail=state.detail or "", time_us=state.event_time_us)
        age = None if state.time_us is None else max(0, now_us - state.time_us) / MICROSECONDS
        return cls(
            provider=state.provider,
            role=state.role,
            fault=state.fault,
            attempt=state.attempt,
            lag_ms=state.lag_ms,
            last_event=last,
            time_us=state.time_us,
            age_seconds=age,
            open_gaps=state.gaps.open,
            gaps=state.gaps,
        )


class FeedsAnswer(BaseModel):
    """Every provider: the configured ones in failover order, then others that were ever heard of."""

    model_config = ConfigDict(json_schema_extra={"example": {"count": 1, "feeds": [_FEED_EXAMPLE]}})

    count: int
    feeds: list[FeedBody]

    @classmethod
    def of(cls, states: Sequence[FeedState], now_us: int) -> Self:
        """Makes the body."""
        return cls(count=len(states), feeds=[FeedBody.of(state, now_us) for state in states])


class FeedEventsAnswer(BaseModel):
    """Feed events, oldest first."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"count": 2, "next": None, "events": [EVENT_EXAMPLE, GAP_EVENT_EXAMPLE]}}
    )

    count: int
    next: str | None = NEXT
    events: list[FeedEvent]


class FeedGapsAnswer(BaseModel):
    """Gaps in their newest version, oldest first by their start."""

    model_config = ConfigDict(json_schema_extra={"example": {"count": 1, "next": None, "gaps": [GAP_EXAMPLE]}})

    count: int
    next: str | None = NEXT
    gaps: list[FeedGap]


class MinuteBody(BaseModel):
    """How complete one symbol's trades of one minute are."""

    symbol: str
    minute_us: int = Field(description="The minute's start")
    score: float | None = Field(
        description="0 to 1: ticks / (ticks + missing) x covered share of the minute; null where there is neither a "
        "trade nor a gap"
    )
    ticks: int = Field(description="Stored trades")
    missing: float = Field(description="Trades known to be missing; a gap's number is spread evenly over its span")
    uncovered_seconds: float = Field(description="Time within gaps of which nobody knows how many trades they held")
    reason: Verdict
    gap_ids: list[str] = Field(description="Gaps that touch the minute, open or unfillable")

    @classmethod
    def of(cls, record: MinuteRecord) -> Self:
        """Makes the body."""
        return cls(
            symbol=record.symbol,
            minute_us=record.minute_us,
            score=record.score,
            ticks=record.ticks,
            missing=record.missing,
            uncovered_seconds=record.uncovered_seconds,
            reason=record.reason,
            gap_ids=list(record.gap_ids),
        )


class CompletenessAnswer(BaseModel):
    """A score per symbol and minute of `[start_us, end_us)`, by symbol, then by time."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "start_us": 1_699_999_980_000_000,
                "end_us": 1_700_000_040_000_000,
                "count": 1,
                "next": None,
                "minutes": [_MINUTE_EXAMPLE],
            }
        }
    )

    start_us: int
    end_us: int
    count: int
    next: str | None = NEXT
    minutes: list[MinuteBody]

"""How the feeds are, in the schema: every field of the answers that REST gives."""

import strawberry

from marketstream.serving.graphql.market_types import PageInfo
from marketstream.serving.graphql.scalars import Long


@strawberry.type(description="A stretch of one symbol's trades that did not come by the stream.")
class FeedGap:
    """A `FeedGap` of the contracts."""

    gap_id: str
    provider: str
    symbol: str
    start_us: Long
    end_us: Long
    first_id: Long | None
    last_id: Long | None
    missing: Long | None
    filled: Long
    state: str = strawberry.field(description="open, closed or unfillable")
    detail: str
    opened_us: Long
    updated_us: Long


@strawberry.type(description="Something that happened to a provider's connection.")
class FeedEvent:
    """A `FeedEvent` of the contracts."""

    kind: str
    provider: str
    detail: str
    time_us: Long
    attempt: int
    role: str | None
    fault: str | None
    lag_ms: float | None
    gap: FeedGap | None


@strawberry.type(description="What happened to a feed last, repeated statuses and gaps left out.")
class LastEvent:
    """As REST has it."""

    kind: str
    detail: str
    time_us: Long


@strawberry.type(description="How many of a feed's gaps are in each state.")
class GapCounts:
    """As REST has it."""

    open: int
    closed: int
    unfillable: int


@strawberry.type(description="How one provider's feed is; null is what nobody said so far.")
class Feed:
    """As REST has it."""

    provider: str
    role: str | None = strawberry.field(description="active, standby, probing or open (shut out by its breaker)")
    fault: str | None
    attempt: int | None
    lag_ms: float | None
    last_event: LastEvent | None
    time_us: Long | None
    age_seconds: float | None
    open_gaps: int
    gaps: GapCounts


@strawberry.type(description="Feed events, oldest first.")
class FeedEventConnection:
    """A page."""

    nodes: list[FeedEvent]
    page_info: PageInfo


@strawberry.type(description="Gaps in their newest version, oldest first by their start.")
class FeedGapConnection:
    """A page."""

    nodes: list[FeedGap]
    page_info: PageInfo


@strawberry.type(description="How complete one symbol's trades of one minute are.")
class Minute:
    """As REST has it."""

    symbol: str
    minute_us: Long
    score: float | None = strawberry.field(description="0 to 1; null where there is neither a trade nor a gap")
    ticks: int
    missing: float
    uncovered_seconds: float
    reason: str
    gap_ids: list[str]


@strawberry.type(description="A score per symbol and minute of `[startUs, endUs)`, by symbol, then by time.")
class Completeness:
    """As REST has it, without pages: ask for fewer symbols or a shorter time."""

    start_us: Long
    end_us: Long
    minutes: list[Minute]

"""The platform's own figures in the schema: every field of the answers that REST gives under `/api/v1/metrics`."""

import strawberry

from marketstream.serving.graphql.scalars import Labels, Long, Numbers


@strawberry.type(description="One service, as the launcher knows it.")
class Service:
    """As REST has it."""

    name: str
    kind: str
    state: str
    health: str
    restarts: int
    uptime_seconds: float | None
    memory_mb: float | None
    lag_messages: Long | None


@strawberry.type(description="The machine that REST runs on.")
class Machine:
    """As REST has it."""

    cores: int
    cpu_percent: float
    load_1min: float = strawberry.field(name="load1min")
    memory_bytes: Long
    memory_available_bytes: Long


@strawberry.type(description="Services, processes, machine and disk.")
class SystemFigures:
    """As REST has it."""

    missing: list[str]
    services: list[Service]
    processes: Numbers = strawberry.field(description="How many of each kind run and measure themselves")
    machine: Machine
    disk: Numbers = strawberry.field(description="`free_bytes` and `size_bytes` under the data directory")


@strawberry.type(description="How far a consumer group is behind.")
class GroupLag:
    """As REST has it."""

    group: str
    lag_messages: Long


@strawberry.type(description="How far a Spark query is behind on one topic.")
class QueryLag:
    """As REST has it."""

    query: str
    topic: str
    lag_messages: Long


@strawberry.type(description="Lag of every consumer group and query, and how old the newest tick is.")
class KafkaFigures:
    """As REST has it."""

    missing: list[str]
    groups: list[GroupLag]
    queries: list[QueryLag]
    last_tick_age_seconds: float | None


@strawberry.type(description="How long one stage takes, since its process started.")
class StageTiming:
    """As REST has it."""

    stage: str
    labels: Labels
    count: Long
    mean_ms: float | None
    p50_ms: float | None = strawberry.field(name="p50Ms")
    p95_ms: float | None = strawberry.field(name="p95Ms")
    p99_ms: float | None = strawberry.field(name="p99Ms")


@strawberry.type(description="By how much something is behind now.")
class Lateness:
    """As REST has it."""

    what: str
    labels: Labels
    seconds: float


@strawberry.type(description="Every stage that is timed, and what is behind now.")
class LatencyFigures:
    """As REST has it."""

    missing: list[str]
    stages: list[StageTiming]
    behind: list[Lateness]


@strawberry.type(description="How often the cache could answer, since the processes that ask it started.")
class CacheFigures:
    """As REST has it."""

    missing: list[str]
    hits: Long
    misses: Long
    away: Long
    hit_ratio: float | None


@strawberry.type(description="How complete one symbol's trades are.")
class SymbolCompleteness:
    """As REST has it."""

    symbol: str
    score: float | None
    minutes: int
    ticks: Long
    missing: float
    uncovered_seconds: float


@strawberry.type(description="How complete the trades of the last hour are, by symbol.")
class CompletenessFigures:
    """As REST has it."""

    start_us: Long
    end_us: Long
    score: float | None
    symbols: list[SymbolCompleteness]

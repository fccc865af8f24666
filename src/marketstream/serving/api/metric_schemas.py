"""The shapes of the platform's own figures."""

from pydantic import BaseModel, ConfigDict, Field


class Measured(BaseModel):
    """Figures that processes count and time themselves."""

    missing: list[str] = Field(description="Exporters that did not answer; their processes' figures are not in these")


class ServiceFigures(BaseModel):
    """One service, as the launcher knows it."""

    name: str
    kind: str
    state: str
    health: str = Field(description="`ok`, what is wrong, or empty where there is nothing to ask")
    restarts: int
    uptime_seconds: float | None
    memory_mb: float | None
    lag_messages: int | None = Field(description="Messages its consumer group has still to commit")


class MachineFigures(BaseModel):
    """The machine that REST runs on."""

    cores: int
    cpu_percent: float = Field(description="Of all cores, since the last time somebody asked")
    load_1min: float
    memory_bytes: int
    memory_available_bytes: int


class SystemAnswer(Measured):
    """Services, processes, machine and disk."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "missing": [],
                "services": [
                    {
                        "name": "redis-writer",
                        "kind": "process",
                        "state": "up",
                        "health": "ok",
                        "restarts": 0,
                        "uptime_seconds": 3600.5,
                        "memory_mb": 61.25,
                        "lag_messages": 0,
                    }
                ],
                "processes": {"producer": 1, "redis-writer": 1},
                "machine": {
                    "cores": 2,
                    "cpu_percent": 31.5,
                    "load_1min": 0.75,
                    "memory_bytes": 8_000_000_000,
                    "memory_available_bytes": 3_500_000_000,
                },
                "disk": {"free_bytes": 21_000_000_000, "size_bytes": 60_000_000_000},
            }
        }
    )

    services: list[ServiceFigures] = Field(description="Of the native platform; in containers the engine knows them")
    processes: dict[str, int] = Field(description="How many of each kind run and measure themselves")
    machine: MachineFigures
    disk: dict[str, int | None] = Field(description="Under the data directory: `free_bytes`, `size_bytes`")


class GroupLag(BaseModel):
    """How far a consumer group is behind."""

    group: str
    lag_messages: int


class QueryLag(BaseModel):
    """How far a Spark query is behind on one topic."""

    query: str
    topic: str
    lag_messages: int


class KafkaAnswer(Measured):
    """Lag of every consumer group and query, and how old the newest tick is."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "missing": [],
                "groups": [
                    {"group": "redis-writer", "lag_messages": 0},
                    {"group": "timescale-writer", "lag_messages": 42},
                ],
                "queries": [{"query": "bars", "topic": "tick_data", "lag_messages": 3}],
                "last_tick_age_seconds": 0.25,
            }
        }
    )

    groups: list[GroupLag]
    queries: list[QueryLag]
    last_tick_age_seconds: float | None = Field(description="null while there is no tick, or Kafka is away")


class StageTiming(BaseModel):
    """How long one stage takes, since its process started."""

    stage: str = Field(description="What is timed, such as `write` (a batch into a store) or `request`")
    labels: dict[str, str] = Field(description="Whose, such as `writer` or `route`")
    count: int
    mean_ms: float | None
    p50_ms: float | None = Field(description="Estimated within the histogram's buckets, as the other percentiles")
    p95_ms: float | None
    p99_ms: float | None


class Lateness(BaseModel):
    """By how much something is behind now."""

    what: str
    labels: dict[str, str]
    seconds: float


class LatencyAnswer(Measured):
    """Every stage that is timed, and what is behind now."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "missing": [],
                "stages": [
                    {
                        "stage": "write",
                        "labels": {"writer": "redis-writer"},
                        "count": 100,
                        "mean_ms": 2.0,
                        "p50_ms": 1.75,
                        "p95_ms": 4.375,
                        "p99_ms": 4.875,
                    }
                ],
                "behind": [{"what": "feed_lag", "labels": {"provider": "binance"}, "seconds": 0.0125}],
            }
        }
    )

    stages: list[StageTiming]
    behind: list[Lateness]


class CacheAnswer(Measured):
    """How often the cache could answer, since the processes that ask it started."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"missing": [], "hits": 75, "misses": 20, "away": 5, "hit_ratio": 0.75}}
    )

    hits: int
    misses: int
    away: int = Field(description="Reads while it could not be reached")
    hit_ratio: float | None = Field(description="hits / all; null before the first")


class SymbolCompleteness(BaseModel):
    """How complete one symbol's trades are."""

    symbol: str
    score: float | None = Field(description="Mean of its minutes' scores; null where nothing is known of any")
    minutes: int = Field(description="Minutes with a score")
    ticks: int
    missing: float
    uncovered_seconds: float


class CompletenessFigures(BaseModel):
    """How complete the trades of the last hour are, by symbol."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "start_us": 1_699_996_440_000_000,
                "end_us": 1_700_000_040_000_000,
                "score": 1 / 39,
                "symbols": [
                    {
                        "symbol": "BTCUSDT",
                        "score": 1 / 39,
                        "minutes": 1,
                        "ticks": 1,
                        "missing": 38.0,
                        "uncovered_seconds": 0.0,
                    }
                ],
            }
        }
    )

    start_us: int
    end_us: int
    score: float | None = Field(description="Mean over all symbols' minutes that have one")
    symbols: list[SymbolCompleteness]

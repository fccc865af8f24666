"""The platform's own figures under `/api/v1/metrics`, as JSON. Prometheus has the same with their history."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import groupby
from statistics import fmean
from typing import Any

from fastapi import APIRouter, Request, Response

from marketstream.contracts.feed_state import MinuteRecord
from marketstream.observability import exporter
from marketstream.serving.api.answers import answered
from marketstream.serving.api.documented import answers
from marketstream.serving.api.feeds import MAX_MINUTES, MINUTE_US
from marketstream.serving.api.metric_schemas import (
    CacheAnswer,
    CompletenessFigures,
    KafkaAnswer,
    LatencyAnswer,
    SystemAnswer,
)
from marketstream.serving.api.strict import StrictRoute
from marketstream.serving.feed_data import FeedData
from marketstream.serving.market_data import MarketData
from marketstream.serving.platform_metrics import PlatformMetrics, Timing

_SERVICE_FIELDS = ("name", "kind", "state", "health", "restarts", "uptime_seconds", "memory_mb")
_BEHIND = ("feed_lag", "bars_behind")


def metrics_router(metrics: PlatformMetrics) -> APIRouter:
    """The endpoints over what the processes measure."""
    router = APIRouter(prefix="/api/v1/metrics", tags=["metrics"], route_class=StrictRoute)

    @router.get("/system", summary="Services, machine and disk", responses=answers(SystemAnswer, 422, 503))
    def system(request: Request) -> Response:
        """How every service, the machine and its disk are."""
        return answered(request, system_figures(metrics))

    @router.get("/kafka", summary="Lag of groups and queries", responses=answers(KafkaAnswer, 422, 503))
    def kafka(request: Request) -> Response:
        """How many messages every consumer group and Spark query has still to take."""
        return answered(request, kafka_figures(metrics))

    @router.get("/latency", summary="Latency by stage", responses=answers(LatencyAnswer, 422, 503))
    def latency(request: Request) -> Response:
        """Percentiles of everything that the processes time, since they started, and what is behind now."""
        return answered(request, latency_figures(metrics))

    @router.get("/cache", summary="Hits of the cache", responses=answers(CacheAnswer, 422, 503))
    def cache(request: Request) -> Response:
        """How many reads Redis could answer."""
        return answered(request, cache_figures(metrics))

    return router


def completeness_router(feed_data: FeedData, market_data: MarketData) -> APIRouter:
    """The endpoint that sums up the feeds' completeness."""
    router = APIRouter(prefix="/api/v1/metrics", tags=["metrics"], route_class=StrictRoute)

    @router.get(
        "/completeness", summary="Completeness of the last hour", responses=answers(CompletenessFigures, 422, 503)
    )
    def completeness(request: Request) -> Response:
        """Each symbol's mean score over the last hour; over less where there are more than 500 symbols."""
        return answered(request, completeness_figures(feed_data, market_data))

    return router


def system_figures(metrics: PlatformMetrics) -> dict[str, Any]:
    """A `SystemAnswer`."""
    said = metrics.families.get()
    disk = {"free_bytes": said.number(exporter.DISK_FREE), "size_bytes": said.number(exporter.DISK_SIZE)}
    return {
        "missing": said.missing,
        "services": [_service(each) for each in metrics.services.get()],
        "processes": {each.labels["process"]: int(each.number) for each in said.values("marketstream_up")},
        "machine": metrics.machine(),
        "disk": {name: None if value is None else int(value) for name, value in disk.items()},
    }


def kafka_figures(metrics: PlatformMetrics) -> dict[str, Any]:
    """A `KafkaAnswer`."""
    said = metrics.families.get()
    lags = said.values(exporter.CONSUMER_LAG)
    queries: dict[tuple[str, str], float] = defaultdict(float)
    for each in said.values("marketstream_query_lag_messages"):
        queries[each.labels["query"], each.labels["topic"]] += each.number
    return {
        "missing": said.missing,
        "groups": [{"group": each.labels["group"], "lag_messages": int(each.number)} for each in lags],
        "queries": [
            {"query": query, "topic": topic, "lag_messages": int(lag)} for (query, topic), lag in queries.items()
        ],
        "last_tick_age_seconds": said.number(exporter.LAST_TICK_AGE),
    }


def latency_figures(metrics: PlatformMetrics) -> dict[str, Any]:
    """A `LatencyAnswer`."""
    said = metrics.families.get()
    stages = [_timing(stage, each) for stage, timings in said.timings().items() for each in timings]
    behind = [
        {"what": what, "labels": each.labels, "seconds": each.number}
        for what in _BEHIND
        for each in said.values(f"marketstream_{what}_seconds")
    ]
    return {"missing": said.missing, "stages": stages, "behind": behind}


def cache_figures(metrics: PlatformMetrics) -> dict[str, Any]:
    """A `CacheAnswer`."""
    said = metrics.families.get()
    counts = {each.labels["outcome"]: int(each.number) for each in said.values("marketstream_cache_reads_total")}
    total = sum(counts.values())
    hits = counts.get("hit", 0)
    body = {"hits": hits, "misses": counts.get("miss", 0), "away": counts.get("away", 0)}
    return {"missing": said.missing, **body, "hit_ratio": hits / total if total else None}


def completeness_figures(feed_data: FeedData, market_data: MarketData) -> dict[str, Any]:
    """A `CompletenessFigures`."""
    symbols = market_data.symbols()
    now_us = feed_data.now_us()
    end_us = now_us + -now_us % MINUTE_US
    start_us = end_us - max(1, min(60, MAX_MINUTES // max(1, len(symbols)))) * MINUTE_US
    records = feed_data.completeness(symbols, start_us, end_us)
    by_symbol = [_summed(symbol, list(each)) for symbol, each in groupby(records, key=lambda record: record.symbol)]
    scores = [record.score for record in records if record.score is not None]
    return {"start_us": start_us, "end_us": end_us, "score": _mean(scores), "symbols": by_symbol}


def _service(known: Mapping[str, Any]) -> dict[str, Any]:
    return {**{name: known[name] for name in _SERVICE_FIELDS}, "lag_messages": known["lag"]}


def _timing(stage: str, timing: Timing) -> dict[str, Any]:
    def milliseconds(seconds: float | None) -> float | None:
        return None if seconds is None else round(seconds * 1_000, 3)

    return {
        "stage": stage,
        "labels": timing.labels,
        "count": int(timing.count),
        "mean_ms": milliseconds(timing.seconds / timing.count if timing.count else None),
        **{f"p{share}_ms": milliseconds(timing.quantile(share / 100)) for share in (50, 95, 99)},
    }


def _summed(symbol: str, records: Sequence[MinuteRecord]) -> dict[str, Any]:
    scores = [record.score for record in records if record.score is not None]
    return {
        "symbol": symbol,
        "score": _mean(scores),
        "minutes": len(scores),
        "ticks": sum(record.ticks for record in records),
        "missing": sum(record.missing for record in records),
        "uncovered_seconds": sum(record.uncovered_seconds for record in records),
    }


def _mean(scores: Sequence[float]) -> float | None:
    return fmean(scores) if scores else None

"""The stages of a trade's way that processes time, by the names people know, in the order of the way."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from marketstream.serving.dashboard.system.flow import Key
from marketstream.serving.platform_metrics import Timing

_WRITERS = {"timescale": "PostgreSQL", "redis": "Redis", "influx": "InfluxDB"}
_MOST_ROUTES = 5
_QUIET_ROUTES = ("/health", "/_", "/assets", "unmatched", "{path")
_KNOWN = ("write", "websocket_delivery", "request")


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: what it is, and how long it takes in milliseconds."""

    name: str
    count: int
    p50: float
    p95: float
    p99: float


def stages(timings: Mapping[Key, Timing]) -> list[Stage]:
    """Everything that was timed at least once."""
    found = [*_writers(timings), *_sockets(timings), *_others(timings), *_routes(timings)]
    return [_stage(name, timing) for name, timing in found if timing.count]


def _stage(name: str, timing: Timing) -> Stage:
    p50, p95, p99 = ((timing.quantile(share) or 0.0) * 1_000 for share in (0.5, 0.95, 0.99))
    return Stage(name, int(timing.count), p50, p95, p99)


def _of(timings: Mapping[Key, Timing], metric: str) -> Iterator[Timing]:
    return (timing for (name, _), timing in timings.items() if name == metric)


def _writers(timings: Mapping[Key, Timing]) -> Iterator[tuple[str, Timing]]:
    for timing in _of(timings, "write"):
        writer = timing.labels.get("writer", "")
        yield f"Write of a batch: {_WRITERS.get(writer, writer)}", timing


def _sockets(timings: Mapping[Key, Timing]) -> Iterator[tuple[str, Timing]]:
    for timing in _of(timings, "websocket_delivery"):
        yield f"Feed's socket to WebSocket client: {timing.labels.get('channel', '')}", timing


def _others(timings: Mapping[Key, Timing]) -> Iterator[tuple[str, Timing]]:
    for (name, labels), timing in timings.items():
        if name not in _KNOWN:
            told = ", ".join(value for _, value in labels)
            yield name.replace("_", " ").capitalize() + (f": {told}" if told else ""), timing


def _routes(timings: Mapping[Key, Timing]) -> Iterator[tuple[str, Timing]]:
    asked = [each for each in _of(timings, "request") if not each.labels.get("route", "").startswith(_QUIET_ROUTES)]
    for timing in sorted(asked, key=lambda each: -each.count)[:_MOST_ROUTES]:
        yield f"REST {timing.labels.get('route', '')}", timing
    screens = [each for each in _of(timings, "request") if each.labels.get("route") == "/_dash-update-component"]
    for timing in screens:
        yield "Update of a screen", timing

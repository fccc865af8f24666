"""Which services make up the platform, and in which order they start."""

import re
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import httpx

from marketstream.bus.admin import ensure_topics
from marketstream.contracts.topics import all_topics
from marketstream.launch.answers import ask, http_fault
from marketstream.launch.feeds import Feeds, feed_environment
from marketstream.launch.jars import KAFKA, SPARK, jars_present
from marketstream.launch.observability import observability_services
from marketstream.launch.servers import Absent, Obtainable, Server, all_servers
from marketstream.launch.servers.base import connection_fault
from marketstream.launch.service import Kind, Service
from marketstream.settings import Settings

_BUILD = "influxdb-build"
_OPTIONAL_SERVERS = frozenset({"influxdb"})
_ACTIVE_QUERIES = re.compile(r"Active Streaming Queries \([1-9]")


def platform_services(settings: Settings, feeds: Feeds) -> tuple[Service, ...]:
    """Every service of the native platform, in the order in which they are shown.

    Args:
        settings: The settings, secrets included.
        feeds: The feeds to take; the replay server is among the services where one of them needs it.
    """
    servers = _server_services(settings)
    steps = (
        Service(name="topics", kind=Kind.STEP, prepare=lambda: _create_topics(settings), after=("kafka",)),
        Service(name="migrations", kind=Kind.STEP, command=_command("migrate"), after=("postgres",)),
    )
    return (*servers, *steps, *_processes(settings, feeds, has_jars=_has_jars()), *observability_services(settings))


def _create_topics(settings: Settings) -> None:
    ensure_topics(settings.kafka.bootstrap_servers, all_topics(settings.intervals), settings.kafka.partitions)


def _has_jars() -> bool:
    return jars_present(KAFKA) and jars_present(SPARK)


def _server_services(settings: Settings) -> list[Service]:
    services = []
    if not _has_jars():
        jars = (sys.executable, "-m", "marketstream.launch.jars")
        services.append(Service(name="jars", kind=Kind.STEP, command=_fixed(jars)))
    for server in all_servers(settings):
        availability = server.availability()
        after: tuple[str, ...] = ()
        if server.name == "kafka" and not _has_jars():
            after = ("jars",)
        elif isinstance(availability, Obtainable):
            services.append(Service(name=_BUILD, kind=Kind.STEP, command=_fixed(availability.command), optional=True))
            after = (_BUILD,)
        services.append(
            _server_service(server, after, availability.reason if isinstance(availability, Absent) else None)
        )
    return services


def _server_service(server: Server, after: tuple[str, ...], absent: str | None) -> Service:
    return Service(
        name=server.name,
        kind=Kind.SERVER,
        command=server.command,
        environment=server.environment,
        after=after,
        absent=absent,
        optional=server.name in _OPTIONAL_SERVERS,
        prepare=server.prepare,
        fault=server.fault,
        after_start=server.after_start,
        ports=server.ports,
        address=f"127.0.0.1:{server.ports[0]}",
        run_as=lambda: server.run_as,
        stop_signal=server.stop_signal,
        death_signal=server.death_signal,
        grace_seconds=server.grace_seconds,
        start_seconds=server.start_seconds,
    )


def _processes(settings: Settings, feeds: Feeds, *, has_jars: bool) -> list[Service]:
    replayed = any(feed.bundled for feed in feeds)
    producer = _process("producer", after=("topics", *(("replay",) if replayed else ())), feeds=feeds)
    streaming, jars = settings.streaming, () if has_jars else ("jars",)
    cluster = _spark_cluster(settings) if streaming.master == "standalone" else []
    before_jobs = ("topics", *jars, *(service.name for service in cluster))
    return [
        *([_replay(settings)] if replayed else []),
        *cluster,
        _spark_job("bars", (streaming.ui_port, streaming.metrics_port), after=before_jobs),
        _process("closer", after=("topics",)),
        # Not after the migrations: without the database it has no history at first, and takes it in later.
        _spark_job("indicators", (streaming.indicators_ui_port, streaming.indicators_metrics_port), after=before_jobs),
        _process("redis-writer", after=("topics", "redis")),
        _process("timescale-writer", after=("topics", "migrations")),
        _process("corrector", after=("topics", "migrations")),
        _process("influx-writer", after=("topics", "influxdb"), optional=True),
        producer,
        *_screens(settings),
    ]


def _replay(settings: Settings) -> Service:
    replay = settings.replay
    return Service(
        name="replay",
        kind=Kind.PROCESS,
        command=_command("run", "replay"),
        fault=lambda: connection_fault(replay.port),
        ports=(replay.port,),
        address=f"ws://{replay.host}:{replay.port}",
    )


def _spark_cluster(settings: Settings) -> list[Service]:
    cluster = settings.cluster
    pages = {"spark-master": cluster.master_ui_port, "spark-worker": cluster.worker_ui_port}
    ports = {"spark-master": (cluster.port, cluster.master_ui_port), "spark-worker": (cluster.worker_ui_port,)}
    return [
        Service(
            name=name,
            kind=Kind.PROCESS,
            command=_command(name),
            after=() if name == "spark-master" else ("spark-master",),
            fault=partial(http_fault, f"http://{cluster.host}:{page}/json/"),
            ports=ports[name],
            address=f"http://{cluster.host}:{page}",
        )
        for name, page in pages.items()
    ]


def _spark_job(name: str, ports: tuple[int, int], *, after: tuple[str, ...]) -> Service:
    return Service(
        name=name,
        kind=Kind.PROCESS,
        command=_command("submit", name),
        after=after,
        fault=lambda: _query_fault(f"http://127.0.0.1:{ports[0]}/StreamingQuery/"),
        ports=tuple(filter(None, ports)),
        address=f"http://127.0.0.1:{ports[0]}",
        grace_seconds=20,
        start_seconds=180,
    )


def _screens(settings: Settings) -> list[Service]:
    serving = settings.serving
    host, metrics_host = _reachable(serving.host), _reachable(serving.metrics_host)
    tls = "s" if serving.tls_certificate else ""
    ports = {
        "api": serving.api_port,
        "websocket": serving.websocket_port,
        "dashboard": serving.dashboard_port,
        "metrics": serving.metrics_port,
    }
    origins = {name: f"http{tls}://{host}:{port}" for name, port in ports.items()}
    origins["metrics"] = f"http://{metrics_host}:{serving.metrics_port}"
    shown = {**origins, "websocket": f"ws{tls}://{host}:{serving.websocket_port}"}
    pages = {"api": "/docs", "metrics": "/metrics"}
    needs = {"websocket": ("topics", "redis", "migrations"), "metrics": ("kafka",)}
    return [
        Service(
            name=name,
            kind=Kind.PROCESS,
            command=_command("run", name),
            after=needs.get(name, ("redis", "migrations")),
            fault=partial(http_fault, f"{origins[name]}{'/metrics' if name == 'metrics' else '/health/live'}"),
            ports=(port,),
            address=f"{shown[name]}{pages.get(name, '')}",
        )
        for name, port in ports.items()
    ]


def _process(name: str, *, after: tuple[str, ...], feeds: Feeds = (), optional: bool = False) -> Service:
    environment = feed_environment(feeds) if feeds else {}
    return Service(
        name=name,
        kind=Kind.PROCESS,
        command=_command("run", name),
        environment=lambda: environment,
        after=after,
        optional=optional,
    )


def _command(*arguments: str) -> Callable[[], list[str]]:
    return _fixed((str(Path(sys.executable).with_name("marketstream")), *arguments))


def _fixed(command: Sequence[str]) -> Callable[[], list[str]]:
    return lambda: list(command)


def _query_fault(url: str) -> str | None:
    """Spark's page comes up long before its query runs, and outlives it; only the page counts queries."""
    try:
        answer = ask(url)
    except httpx.HTTPError as error:
        return f"{url}: {error}"
    return None if _ACTIVE_QUERIES.search(answer.text) else f"{url}: no query is active"


def _reachable(host: str) -> str:
    return "127.0.0.1" if host in ("0.0.0.0", "") else host  # noqa: S104  # only compared with, to find the way back

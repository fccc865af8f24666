"""How fast REST answers: `latest` from the cache, and 500 bars from the database.

The `api` process runs as in the platform, over a Redis and a PostgreSQL of its own on free ports; requests come at a
steady rate over keep-alive connections, from a client in this process on the same machine. Prints percentiles of the
time from when a request was due until its answer was whole, the server's share of a core, and how many a second it
answers where the next is due at once.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import httpx
import psutil
from api_kit.load import offer, request
from common.machine import Tree, cpu_name, percentiles
from storage_kit.samples import messages_of

from marketstream.domain.interval import Interval
from marketstream.domain.market import Bar, Tick
from marketstream.launch.running import running
from marketstream.launch.secrets import ensure_secrets
from marketstream.launch.servers import PostgresServer, RedisServer
from marketstream.settings import Settings, load_settings
from marketstream.storage.main import input_topics
from marketstream.storage.redis.writer import RedisWriter
from marketstream.storage.timescale.migrate import migrate
from marketstream.storage.timescale.writer import TimescaleWriter
from marketstream.testing.platform import eventually, free_ports
from marketstream.testing.samples import sample_bars, sample_ticks

MINUTE = Interval.parse("1min")
BARS = 500
CONNECTIONS = 16
PATHS = {"latest": "/api/v1/latest/BTCUSDT", "aggregated": f"/api/v1/aggregated/BTCUSDT?window=1min&limit={BARS}"}
AIMS_MS = {"latest": 5.0, "aggregated": 50.0}


def isolated(data_dir: Path) -> Settings:
    """Settings on free ports."""
    postgres, cache, api = free_ports(3)
    ensure_secrets(data_dir)
    return load_settings(
        data_dir=data_dir,
        symbols=["BTCUSDT"],
        log_level="WARNING",
        postgres={"port": postgres},
        redis={"port": cache},
        serving={"api_port": api},
    )


def fill(settings: Settings) -> None:
    """The ticks of the last hours, and their bars, in both stores, as their writers write them."""
    now_us = time.time_ns() // 1_000 // MINUTE.us * MINUTE.us + MINUTE.us // 2
    span_us = (BARS + 60) * MINUTE.us
    ticks = list(sample_ticks("BTCUSDT", start_us=now_us - span_us, end_us=now_us, per_second=0.2, price=65_000))
    bars = list(sample_bars(ticks, MINUTE, final_before_us=now_us - MINUTE.us))
    items: list[Tick | Bar] = [*ticks, *bars]
    migrate(settings.postgres)
    cache = RedisWriter(settings.redis, input_topics(settings), lambda topics: {topic: topic for topic in topics})
    for writer in (TimescaleWriter(settings.postgres), cache):
        with closing(writer):
            writer.setup()
            writer.write(messages_of(items))


@contextmanager
def api(settings: Settings) -> Iterator[psutil.Process]:
    """`marketstream run api` for as long as the block lasts."""
    given = {
        "DATA_DIR": str(settings.data_dir),
        "SYMBOLS": "BTCUSDT",
        "LOG_LEVEL": "WARNING",
        "POSTGRES__PORT": str(settings.postgres.port),
        "REDIS__PORT": str(settings.redis.port),
        "SERVING__API_PORT": str(settings.serving.api_port),
    }
    environment = os.environ | {f"MARKETSTREAM_{name}": value for name, value in given.items()}
    command = [sys.executable, "-c", "from marketstream.cli import main; main()", "run", "api"]
    process = subprocess.Popen(command, env=environment)
    try:
        eventually(lambda: answers(settings), within_seconds=40, what="REST answers")
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(20)


def answers(settings: Settings) -> bool:
    """Whether the process is ready."""
    try:
        return httpx.get(f"http://127.0.0.1:{settings.serving.api_port}/health/ready", timeout=2).status_code == 200
    except httpx.TransportError:
        return False


def measure(settings: Settings, process: psutil.Process, path: str, rate: float, seconds: float) -> dict[str, float]:
    """Percentiles of one load, and what it cost the server."""
    port, one = settings.serving.api_port, request(path)
    offer("127.0.0.1", port, [one] * int(rate), rate, CONNECTIONS)  # warm-up
    with Tree([process]) as tree:
        begun = time.time()
        load = offer("127.0.0.1", port, [one] * int(rate * seconds), rate, CONNECTIONS)
        ended = time.time()
    if load.failures:
        raise SystemExit(f"{load.failures} of {len(load.milliseconds)} requests of {path} failed")
    return {
        "rate": rate,
        "answered a second": len(load.milliseconds) / load.seconds,
        **{f"{name} ms": value for name, value in percentiles(load.milliseconds, (50, 95, 99, 99.9)).items()},
        "server % of a core": 100 * tree.cpu_seconds(begun, ended) / (ended - begun),
        "server MB": tree.peak_bytes / 2**20,
        "bytes an answer": load.bytes / len(load.milliseconds),
    }


def most(settings: Settings, path: str, count: int) -> float:
    """Requests a second where the next is due at once."""
    load = offer("127.0.0.1", settings.serving.api_port, [request(path)] * count, 1e9, CONNECTIONS)
    return count / load.seconds


def report(settings: Settings, rates: dict[str, float], seconds: float) -> dict[str, dict[str, float]]:
    """The figures of each endpoint."""
    fill(settings)
    figures = {}
    with api(settings) as process:
        for name, path in PATHS.items():
            figures[name] = measure(settings, process, path, rates[name], seconds)
            figures[name]["at most a second"] = most(settings, path, int(rates[name] * 2))
    return figures


def main() -> None:
    """Measures, prints, and fails where an aim is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=2_000, help="requests of `latest` a second")
    parser.add_argument("--bars-rate", type=float, default=50, help="requests of 500 bars a second")
    parser.add_argument("--seconds", type=float, default=10, help="of each load")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="marketstream-benchmark-") as folder, ExitStack() as servers:
        settings = isolated(Path(folder))
        for kind in (PostgresServer, RedisServer):
            server = kind(settings)
            servers.enter_context(running(server, settings.data_dir / f"{server.name}.log"))
        rates = {"latest": arguments.rate, "aggregated": arguments.bars_rate}
        figures = report(settings, rates, arguments.seconds)
    print(f"on {cpu_name()}, {psutil.cpu_count()} cores, shared by server, stores and client")
    for name, each in figures.items():
        print(f"{PATHS[name]}")
        print(*(f"  {what:<20} {value:>10,.2f}" for what, value in each.items()), sep="\n")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()

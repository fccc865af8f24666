"""Milliseconds from a trade's receive on the producer's socket to the screen of each of many WebSocket clients.

`python benchmarks/websocket.py [--clients 1000] [--each 10] [--symbols 500] [--rate 1000] [--deaf 0] [--json FILE]`
starts a broker of its own, the replay server, the real producer and the real WebSocket process, and in another process
a load of many clients on plain sockets. A tick's way is from its `received_time_us` to the moment the client's socket
hands it over; `--deaf` adds clients that read nothing, which must be shed without anybody else noticing. What each
process used meanwhile is told too.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
from common.broker import own_broker
from common.machine import Tree, cpu_name

from marketstream.contracts.topics import all_topics
from marketstream.domain.interval import Interval
from marketstream.launch.running import stop_group
from marketstream.settings import Settings
from marketstream.testing.platform import eventually, free_ports

_CLIENTS = Path(__file__).parent / "websocket_kit" / "clients.py"
_INTERVALS = (Interval.parse("1min"), Interval.parse("5min"), Interval.parse("15min"))
_AIM_MS = 50.0


def environment(settings: Settings, symbols: list[str], options: argparse.Namespace) -> dict[str, str]:
    """What the platform's processes are given; nothing answers where PostgreSQL and Redis would be."""
    replay, websocket, postgres, redis = free_ports(4)
    given = {
        "DATA_DIR": settings.data_dir,
        "SYMBOLS": ",".join(symbols),
        "PROVIDERS": "binance",
        "BINANCE__WEBSOCKET_URL": f"ws://127.0.0.1:{replay}",
        "BINANCE__REST_URL": f"http://127.0.0.1:{replay}",
        "REPLAY__PORT": replay,
        "REPLAY__TICKS_PER_SECOND": options.rate,
        "REPLAY__ARRIVALS": "even",
        "KAFKA__PORT": settings.kafka.port,
        "KAFKA__PARTITIONS": settings.kafka.partitions,
        "POSTGRES__PORT": postgres,
        "REDIS__PORT": redis,
        "SERVING__WEBSOCKET_PORT": websocket,
        "WEBSOCKET__GATHER_MS": options.gather_ms,
        "LOG_FORMAT": "json",
    }
    return {f"MARKETSTREAM_{name}": str(value) for name, value in given.items()}


@contextmanager
def process(name: str, given: dict[str, str], folder: Path) -> Iterator[psutil.Process]:
    """One of the platform's processes, ended with the block."""
    command = [sys.executable, "-c", "from marketstream.cli import main; main()", "run", name]
    log = folder / f"{name}.log"
    with log.open("ab") as output:
        started = subprocess.Popen(
            command, env=os.environ | given, stdout=output, stderr=output, start_new_session=True
        )
    try:
        yield psutil.Process(started.pid)
    finally:
        stop_group(started, 15, 20.0)
        if started.returncode != 0:
            print(f"{name} ended with {started.returncode}; its last words:\n{log.read_text()[-2_000:]}")


def answers(url: str) -> bool:
    """Whether this address says that all is well."""
    try:
        return httpx.get(url, timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


def load(port: str, symbols: list[str], options: argparse.Namespace) -> dict[str, Any]:
    """Runs the clients; returns what they saw."""
    numbers = {
        "--port": port,
        "--symbols": ",".join(symbols),
        "--clients": options.clients,
        "--each": options.each,
        "--deaf": options.deaf,
        "--conflate": options.conflate,
        "--warm-up": options.warm_up,
        "--seconds": options.seconds,
    }
    arguments = [str(part) for pair in numbers.items() for part in pair]
    done = subprocess.run([sys.executable, str(_CLIENTS), *arguments], stdout=subprocess.PIPE, check=True)
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen


def measure(settings: Settings, broker: psutil.Process, options: argparse.Namespace) -> dict[str, Any]:
    """Starts everything, lets the clients watch, and prints what they saw."""
    symbols = [f"S{number:03d}USDT" for number in range(options.symbols)]
    given = environment(settings, symbols, options)
    port = given["MARKETSTREAM_SERVING__WEBSOCKET_PORT"]
    with ExitStack() as stack:
        names = ("replay", "websocket", "producer")
        running = {name: stack.enter_context(process(name, given, settings.data_dir)) for name in names}
        ready = f"http://127.0.0.1:{port}/health/ready"
        eventually(lambda: answers(ready), within_seconds=40, what="the WebSocket process is ready")
        trees = {name: stack.enter_context(Tree([each])) for name, each in (*running.items(), ("kafka", broker))}
        psutil.cpu_times_percent()
        seen = load(port, symbols, options)
        ended = time.time()
        idle = psutil.cpu_times_percent()
        began = ended - options.seconds
        used = {name: tree.cpu_seconds(began, ended) / options.seconds for name, tree in trees.items()}
        memory = trees["websocket"].peak_bytes / 2**20
    report(seen, used, memory, idle.idle)
    return seen | {"cores": used, "websocket_mib": memory, "idle_percent": idle.idle}


def report(seen: dict[str, Any], used: dict[str, float], memory: float, idle: float) -> None:
    """Prints the figures."""
    percentiles = "  ".join(f"{name} {value:.1f}" for name, value in seen["ms"].items())
    verdict = "reached" if seen["ms"]["p99"] <= _AIM_MS else "MISSED"
    print(
        f"{seen['deliveries_per_second']:,.0f} ticks a second delivered; the clients' numbers had {seen['holes']} holes"
    )
    print(f"socket of the producer to client: {percentiles}  max {seen['max_ms']:.1f} ms; p99 ≤ {_AIM_MS:g}: {verdict}")
    cores = "  ".join(f"{name} {value:.2f}" for name, value in used.items())
    print(f"cores: {cores}  clients {seen['load_cores']:.2f}; the machine was {idle:.0f} % idle")
    print(f"the WebSocket process had {memory:.0f} MiB at most; clients were told {seen['said']}")


def main() -> None:
    """Runs the benchmark and prints its report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=1_000)
    parser.add_argument("--each", type=int, default=10, help="symbols of each client")
    parser.add_argument("--symbols", type=int, default=500)
    parser.add_argument("--rate", type=float, default=1_000, help="ticks a second")
    parser.add_argument("--deaf", type=int, default=0, help="further clients that read nothing")
    parser.add_argument("--conflate", type=int, default=0, help="ms, for every client")
    parser.add_argument("--gather-ms", type=float, default=2.0)
    parser.add_argument("--warm-up", type=float, default=45, help="seconds; the broker is slow until compiled")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    print(f"{cpu_name()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    with own_broker(256, all_topics(_INTERVALS)) as (settings, broker):
        figures = measure(settings, broker, options)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()

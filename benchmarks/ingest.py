"""Ticks per second from a socket, validated, to Kafka's acknowledgement (acks=all), by one producer process.

`python benchmarks/ingest.py [--kinds polygon,binance] [--ticks 600000] [--peer-python PATH] [--json FILE]` starts a
broker of its own, a load server in another process that sends pre-encoded frames as fast as they are taken, and the
real producer in a third, and waits until the broker has acknowledged every tick. Beside it cryptofeed parses the same
Binance frames, where the interpreter named by `--peer-python`, or this one, has it.

`--soak` sends `--rate` ticks a second of `--symbols` symbols for `--minutes` instead, reads every tick back as it
appears on the topic, and fails unless each came exactly once and the producer's memory stayed flat.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import orjson
import psutil
from common.broker import Topic, own_broker
from common.machine import cpu_name, percentiles
from confluent_kafka import Consumer, TopicPartition
from ingest_kit import frames

from marketstream.contracts.messages import encode
from marketstream.contracts.topics import DEAD_LETTERS, INGEST_TOPICS, TICKS
from marketstream.domain.market import Tick
from marketstream.launch.running import stop_group
from marketstream.producers.validation import TickValidator, Verdict
from marketstream.providers.binance import parse as binance
from marketstream.settings import Settings

KIT = Path(__file__).parent / "ingest_kit"
AIMS = {"polygon": 100_000, "binance": 40_000}
PERCENTILES = (5, 50, 95)
LATENCY_PERCENTILES = (50, 95, 99, 99.9)
_LOOK_SECONDS = 0.02
_MEMORY_GROWTH_LIMIT = 1.10  # a tenth, between the first and the last of five parts
_PEER_FRAMES = 20_000


@dataclass
class Usage:
    """What a process has used."""

    process: psutil.Process
    seconds: float = field(init=False)
    main_seconds: float = field(init=False)

    def __post_init__(self) -> None:
        self.seconds, self.main_seconds = self._now()

    def since(self) -> tuple[float, float]:
        """Seconds of processor time since the start: the process's, its main thread's."""
        seconds, main_seconds = self._now()
        return seconds - self.seconds, main_seconds - self.main_seconds

    def _now(self) -> tuple[float, float]:
        times = self.process.cpu_times()
        main = next(each for each in self.process.threads() if each.id == self.process.pid)
        return times.user + times.system, main.user_time + main.system_time


class Load:
    """The load server's process."""

    def __init__(self, kind: str, symbols: int, ticks: int, *, run: int, rate: float) -> None:
        numbers = {"--kind": kind, "--symbols": symbols, "--ticks": ticks, "--run": run, "--rate": rate}
        arguments = [str(part) for pair in numbers.items() for part in pair]
        self.process = subprocess.Popen([sys.executable, str(KIT / "load.py"), *arguments], stdout=subprocess.PIPE)
        self.port: int = self.heard("port")

    def heard(self, what: str) -> Any:
        """Waits until the server says this."""
        assert self.process.stdout is not None  # noqa: S101  # it is a pipe
        for line in self.process.stdout:
            said = json.loads(line)
            if what in said:
                return said[what]
        raise RuntimeError(f"the load server ended without saying {what}")


@contextmanager
def load_server(kind: str, symbols: int, ticks: int, *, run: int = 0, rate: float = 0) -> Iterator[Load]:
    """The load server, ended with the block."""
    load = Load(kind, symbols, ticks, run=run, rate=rate)
    try:
        yield load
    finally:
        load.process.kill()
        load.process.wait()


@contextmanager
def producer(kind: str, names: list[str], port: int, settings: Settings) -> Iterator[psutil.Process]:
    """The real producer's process on the load server, ended in good order with the block."""
    given = {
        "DATA_DIR": str(settings.data_dir),
        "SYMBOLS": ",".join(names),
        "PROVIDERS": kind,
        f"{kind.upper()}__WEBSOCKET_URL": f"ws://127.0.0.1:{port}",
        f"{kind.upper()}__REST_URL": f"http://127.0.0.1:{port}",
        f"{kind.upper()}__API_KEY": "any",
        "KAFKA__PORT": str(settings.kafka.port),
        "KAFKA__PARTITIONS": str(settings.kafka.partitions),
        # The load's clock is not the wall's, and nothing is wrong with a load that has ended.
        "FAILOVER__MAX_LAG_SECONDS": "86400",
        "FAILOVER__SILENCE_SECONDS": "86400",
        "INGEST__ALLOWED_LATENESS_SECONDS": str(settings.ingest.allowed_lateness_seconds),
    }
    environment = os.environ | {f"MARKETSTREAM_{name}": value for name, value in given.items()}
    command = [sys.executable, "-c", "from marketstream.cli import main; main()", "run", "producer"]
    log = settings.data_dir / f"producer-{kind}.log"
    with log.open("ab") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output, start_new_session=True)
    try:
        yield psutil.Process(process.pid)
    finally:
        stop_group(process, 15, 30.0)
        if process.returncode != 0:
            print(f"the producer ended with {process.returncode}; its last words:\n{log.read_text()[-2_000:]}")


def measure(
    kind: str, run: int, options: argparse.Namespace, settings: Settings, broker: psutil.Process
) -> dict[str, Any]:
    """Sends so many ticks as fast as they are taken and waits until all are acknowledged."""
    ticks, names = options.ticks, frames.symbols(kind, options.symbols, run)
    topic, letters = Topic(settings, TICKS), Topic(settings, DEAD_LETTERS)
    known, refused = topic.total(), letters.total()
    with load_server(kind, len(names), ticks, run=run) as load, producer(kind, names, load.port, settings) as process:
        began = load.heard("began")
        usage = {"producer": Usage(process), "broker": Usage(broker), "load": Usage(psutil.Process(load.process.pid))}
        samples = [(began, 0)]
        while samples[-1][1] < ticks and time.time() - samples[-1][0] < 30:
            time.sleep(_LOOK_SECONDS)
            done = topic.total() - known
            if done > samples[-1][1]:
                samples.append((time.time(), done))
        used = {name: each.since() for name, each in usage.items()}
    wall = samples[-1][0] - began
    if samples[-1][1] != ticks or letters.total() != refused:
        raise RuntimeError(f"{samples[-1][1]} of {ticks} ticks acknowledged, {letters.total() - refused} refused")
    figures = {
        "ticks": ticks,
        "seconds": wall,
        "ticks_per_second": ticks / wall,
        "rates": rates(samples),
        "cpu_seconds": {name: whole for name, (whole, _) in used.items()},
        "main_thread_seconds": used["producer"][1],
        "main_thread_ceiling": ticks / used["producer"][1],
    }
    return figures | {"limit": limiting(wall, used)}


def rates(samples: list[tuple[float, int]]) -> dict[str, float]:
    """Percentiles of the rate over quarters of a second."""
    spans: list[float] = []
    since, at = samples[0]
    for moment, done in samples[1:]:
        if moment - since >= 0.25:
            spans.append((done - at) / (moment - since))
            since, at = moment, done
    return percentiles(spans, PERCENTILES)


def limiting(wall: float, used: dict[str, tuple[float, float]]) -> str:
    """What kept the rate from being higher."""
    main = used["producer"][1] / wall
    total = sum(whole for whole, _ in used.values()) / wall
    if main > 0.9:
        return f"the producer's main thread ({main:.0%} of a core)"
    if total > 0.9 * (os.cpu_count() or 1):
        return (
            f"the machine: all processes together use {total:.1f} of {os.cpu_count()} cores, the main thread {main:.0%}"
        )
    return f"waiting: the main thread used {main:.0%} of a core, everything together {total:.1f} of {os.cpu_count()}"


def report(kind: str, figures: dict[str, Any]) -> None:
    """Prints one kind's figures."""
    rate, aim = figures["ticks_per_second"], AIMS[kind]
    verdict = "reached" if rate >= aim else "MISSED"
    print(f"\n{kind}: {rate:,.0f} ticks/s acknowledged; aim {aim:,}: {verdict} ({rate / aim:.2f} of it)")
    print(
        "  rate by quarter of a second: "
        + "  ".join(f"{name} {value:,.0f}" for name, value in figures["rates"].items())
    )
    each = "  ".join(f"{name} {used / figures['ticks'] * 1e6:.2f}" for name, used in figures["cpu_seconds"].items())
    print(f"  processor time, µs a tick: {each}")
    main_us = figures["main_thread_seconds"] / figures["ticks"] * 1e6
    print(f"  the producer's main thread: {main_us:.2f} µs a tick, so {figures['main_thread_ceiling']:,.0f}/s at most")
    print(f"  limited by {figures['limit']}", flush=True)


def compare(peer_python: str) -> dict[str, Any]:
    """Parses one list of Binance frames with this project's parser and with cryptofeed, by processor time."""
    names = frames.symbols("binance", 20)
    now_us = time.time_ns() // 1_000
    raws = list(frames.payloads("binance", names, 0, _PEER_FRAMES, count(now_us // 1_000)))

    def judged() -> Callable[[bytes], object]:
        validator = TickValidator(names, 3_600)

        def work(raw: bytes) -> object:
            (tick,) = binance.parse_frame(raw, now_us)
            assert isinstance(tick, Tick) and validator.judge(tick, now_us) is Verdict.ACCEPTED  # noqa: S101, PT018
            return encode(tick)

        return work

    figures: dict[str, Any] = {
        "parsed": best_rate(lambda: lambda raw: binance.parse_frame(raw, now_us), raws),
        "parsed, judged, encoded": best_rate(judged, raws),
    }
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"\n".join(raws))
        file.flush()
        done = subprocess.run(
            [peer_python, str(KIT / "peer.py"), file.name], capture_output=True, text=True, check=False
        )
    if done.returncode != 0:
        print(f"\nno cryptofeed in {peer_python}: {done.stderr.strip().splitlines()[-1:]}")
        return figures
    peer = json.loads(done.stdout)
    print(f"\nthe same {len(raws):,} Binance frames, frames per second of processor time:")
    print(f"  cryptofeed {peer['version']}, parsed: {peer['trades_per_second']:,.0f}")
    for name, rate in figures.items():
        print(f"  marketstream, {name}: {rate:,.0f} ({rate / peer['trades_per_second']:.2f} of cryptofeed)")
    return figures | {"cryptofeed": peer}


def best_rate(prepare: Callable[[], Callable[[bytes], object]], raws: list[bytes], rounds: int = 5) -> float:
    """Frames per second of processor time, the best round."""
    best = 0.0
    for _ in range(rounds):
        work, started = prepare(), time.process_time()
        for raw in raws:
            work(raw)
        best = max(best, len(raws) / (time.process_time() - started))
    return best


class Readback:
    """Reads ticks as they appear on the topic: counts what is missing or twice, and how late each is."""

    def __init__(self, settings: Settings) -> None:
        self._consumer = Consumer(
            {"bootstrap.servers": settings.kafka.bootstrap_servers, "group.id": "soak", "fetch.wait.max.ms": 10}
        )
        self._consumer.assign([TopicPartition(TICKS, number, 0) for number in range(settings.kafka.partitions)])
        self._next: Counter[str] = Counter()
        self.read = self.missing = self.twice = 0
        self.to_kafka_ms: list[float] = []
        self.to_reader_ms: list[float] = []

    def read_some(self) -> int:
        """Takes what is there; one message in a hundred is timed."""
        messages = self._consumer.consume(20_000, timeout=0.05)
        now_us = time.time_ns() // 1_000
        for message in messages:
            tick = orjson.loads(message.value() or b"")
            expected = self._next[tick["symbol"]] + 1
            self.missing += max(0, tick["sequence"] - expected)
            self.twice += tick["sequence"] < expected
            self._next[tick["symbol"]] = max(expected, tick["sequence"])
            self.read += 1
            if self.read % 100 == 0:
                self.to_kafka_ms.append(message.timestamp()[1] - tick["received_time_us"] / 1_000)
                self.to_reader_ms.append((now_us - tick["received_time_us"]) / 1_000)
        return len(messages)


def soak(options: argparse.Namespace, settings: Settings, broker: psutil.Process) -> dict[str, Any]:
    """Sends at a pace; fails where a tick is lost or twice, or memory grows."""
    kind, ticks = "polygon", int(options.rate * options.minutes * 60) // 10 * 10
    names = frames.symbols(kind, options.symbols)
    memory: list[int] = []
    with (
        load_server(kind, options.symbols, ticks, rate=options.rate) as load,
        producer(kind, names, load.port, settings) as process,
    ):
        began = load.heard("began")
        usage = {"producer": Usage(process), "broker": Usage(broker)}
        readback = Readback(settings)
        last = time.time()
        while readback.read < ticks and time.time() - last < 20:
            last = time.time() if readback.read_some() else last
            if time.time() - began >= len(memory):
                memory.append(process.memory_info().rss)
        wall = time.time() - began
        cores = {name: each.since()[0] / wall for name, each in usage.items()}
    parts = [statistics.median(part) for part in fifths(memory)]
    figures = {
        "sent": ticks,
        "read": readback.read,
        "missing": ticks - readback.read + readback.twice,
        "twice": readback.twice,
        "ticks_per_second": readback.read / wall,
        "rss_mib": {"start": memory[0] / 2**20, "end": memory[-1] / 2**20, "max": max(memory) / 2**20},
        "rss_fifths_mib": [part / 2**20 for part in parts],
        "cores": cores,
        "socket_to_kafka_ms": percentiles(readback.to_kafka_ms, LATENCY_PERCENTILES),
        "socket_to_reader_ms": percentiles(readback.to_reader_ms, LATENCY_PERCENTILES),
    }
    report_soak(options, figures)
    if figures["missing"] or figures["twice"] or parts[-1] > parts[1] * _MEMORY_GROWTH_LIMIT:
        raise SystemExit("ticks were lost or came twice, or memory grew")
    return figures


def report_soak(options: argparse.Namespace, figures: dict[str, Any]) -> None:
    """Prints the soak's figures."""
    print(f"\n{options.symbols} symbols, {options.rate:,.0f} ticks/s for {options.minutes:g} minutes:")
    print(f"  sent {figures['sent']:,}, read back {figures['read']:,} at {figures['ticks_per_second']:,.0f}/s")
    print(f"  missing {figures['missing']}, twice {figures['twice']}")
    print("  producer's memory, MiB: " + "  ".join(f"{name} {size:.0f}" for name, size in figures["rss_mib"].items()))
    print("  its median by fifths of the run: " + "  ".join(f"{size:.0f}" for size in figures["rss_fifths_mib"]))
    print("  cores used: " + "  ".join(f"{name} {used:.2f}" for name, used in figures["cores"].items()))
    for name, label in (("socket_to_kafka_ms", "handed to Kafka"), ("socket_to_reader_ms", "readable from the topic")):
        shown = "  ".join(f"{each} {value:.1f}" for each, value in figures[name].items())
        print(f"  from the socket until {label}, ms: {shown}", flush=True)


def fifths(values: list[int]) -> list[list[int]]:
    """Five equal parts, in order; with fewer than five values each is a part."""
    size = max(1, len(values) / 5)
    edges = [round(number * size) for number in range(6)]
    return [values[first:end] or values[-1:] for first, end in pairwise(edges)]


def main() -> None:
    """Runs what was asked for and prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", default="polygon,binance")
    parser.add_argument("--ticks", type=int, default=600_000, help="of each kind; a multiple of ten")
    parser.add_argument("--runs", type=int, default=3, help="of each kind, of which the median counts")
    parser.add_argument("--symbols", type=int, default=None, help="20, of a soak 500")
    parser.add_argument("--peer-python", default=sys.executable, help="an interpreter that has cryptofeed")
    parser.add_argument("--soak", action="store_true")
    parser.add_argument("--rate", type=float, default=10_000, help="of a soak, ticks a second")
    parser.add_argument("--minutes", type=float, default=5, help="of a soak")
    parser.add_argument("--heap-mb", type=int, default=512, help="of the broker")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    options.symbols = options.symbols or (500 if options.soak else 20)
    print(f"{cpu_name()}, {os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()}", flush=True)
    figures: dict[str, Any] = {"machine": cpu_name(), "cores": os.cpu_count()}
    with ExitStack() as stack:
        settings, broker = stack.enter_context(own_broker(options.heap_mb, INGEST_TOPICS))
        if options.soak:
            figures["soak"] = soak(options, settings, broker)
        for kind in [] if options.soak else options.kinds.split(","):
            runs = [measure(kind, run, options, settings, broker) for run in range(options.runs)]
            figures[kind] = sorted(runs, key=lambda run: run["ticks_per_second"])[len(runs) // 2]
            report(kind, figures[kind])
    if not options.soak:
        figures["peer"] = compare(options.peer_python)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()

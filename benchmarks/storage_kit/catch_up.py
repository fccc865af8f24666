"""A writer that was away: how fast it works off its backlog, and whether its memory stays flat meanwhile."""

import statistics
import time
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
from common.machine import Tree, percentiles
from storage_kit.samples import make_tick
from storage_kit.steady import writer_process

from marketstream.bus.admin import consumer_lag
from marketstream.bus.publisher import KafkaPublisher
from marketstream.contracts.messages import encode
from marketstream.contracts.topics import TICKS
from marketstream.domain.errors import BusBackpressureError
from marketstream.settings import Settings

_LOOK_SECONDS = 0.5
_PATIENCE_SECONDS = 120.0
_GROWTH_LIMIT = 1.10  # a tenth, between the second and the last of five parts


@dataclass(frozen=True)
class Place:
    """A server: its process, and where its data is."""

    process: psutil.Process
    folder: Path

    def bytes_on_disk(self) -> int:
        """What its data takes now."""
        total = 0
        for path in self.folder.rglob("*"):
            with suppress(FileNotFoundError):  # servers delete what they no longer need
                total += path.stat().st_blocks * 512
        return total


@dataclass(frozen=True)
class CaughtUp:
    """How a writer worked off its backlog.

    Attributes:
        writer: Its name.
        messages: The backlog.
        seconds: From its first look at the topic until its last commit.
        rates: Percentiles of the messages a second over spans of a few seconds.
        cpu_us: Processor time per message, in µs, of the writer, the store and the broker.
        memory_mib: Median resident memory of the writer in each fifth of the time.
        stored_bytes: What the store has on disk for each message, its journal included.
    """

    writer: str
    messages: int
    seconds: float
    rates: dict[str, float]
    cpu_us: dict[str, float]
    memory_mib: list[float]
    stored_bytes: float

    @property
    def flat(self) -> bool:
        """Whether memory did not grow once the writer had warmed up."""
        return self.memory_mib[-1] <= self.memory_mib[1] * _GROWTH_LIMIT


def fill(settings: Settings, count: int) -> float:
    """Puts so many ticks onto `tick_data`, a millisecond of event time apart; returns messages a second."""
    publisher = KafkaPublisher(settings.kafka.bootstrap_servers, linger_ms=20)
    begun = time.perf_counter()
    for number in range(count):
        tick = make_tick(number)
        value = encode(tick)
        while True:
            try:
                publisher.publish(TICKS, tick.symbol, value)
                break
            except BusBackpressureError as full:
                time.sleep(full.retry_after_seconds)
    if left := publisher.flush(60):
        raise RuntimeError(f"Kafka did not take {left} ticks")
    return count / (time.perf_counter() - begun)


def catch_up(settings: Settings, writer: str, count: int, store: Place, broker: Place) -> CaughtUp:
    """Starts the writer's process on the full topic and watches it until nothing is left.

    Raises:
        RuntimeError: It stopped making progress.
    """
    before = store.bytes_on_disk()
    with ExitStack() as stack:
        process = stack.enter_context(writer_process(settings, writer))
        watched = {"writer": process, "store": store.process, "broker": broker.process}
        trees = {name: stack.enter_context(Tree([each])) for name, each in watched.items()}
        samples = follow(settings, writer, count)
    began, ended = samples[0][0] - _LOOK_SECONDS, samples[-1][0]
    inside = [sample.resident / 2**20 for sample in trees["writer"].samples if began <= sample.moment <= ended]
    return CaughtUp(
        writer=writer,
        messages=count,
        seconds=ended - began,
        rates=percentiles(rates(samples), (5, 50, 95)),
        cpu_us={name: tree.cpu_seconds(began, ended) / count * 1e6 for name, tree in trees.items()},
        memory_mib=fifths(inside),
        stored_bytes=(store.bytes_on_disk() - before) / count,
    )


def follow(settings: Settings, writer: str, count: int) -> list[tuple[float, int]]:
    """The moments at which the writer had committed more, each with the messages left, until none are."""
    samples: list[tuple[float, int]] = []
    changed = time.time()
    while not samples or samples[-1][1]:
        time.sleep(_LOOK_SECONDS)
        left, now = consumer_lag(settings.kafka.bootstrap_servers, writer, (TICKS,)), time.time()
        if left < (samples[-1][1] if samples else count):
            samples.append((now, left))
            changed = now
        if now - changed > _PATIENCE_SECONDS:
            raise RuntimeError(f"{writer} stands still with {left:,} of {count:,} messages left")
    return samples


def report(caught: CaughtUp, stored: int | None) -> dict[str, Any]:
    """Prints one writer's figures, and how many ticks the store has where they were counted; returns them."""
    rate = caught.messages / caught.seconds
    shown = "  ".join(f"{name} {value:,.0f}" for name, value in caught.rates.items())
    print(f"\n{caught.writer}, away for {caught.messages:,} ticks: {rate:,.0f}/s ({caught.seconds:.0f} s; {shown})")
    print("  processor time, µs a tick: " + "  ".join(f"{name} {used:.1f}" for name, used in caught.cpu_us.items()))
    memory = "  ".join(f"{size:.0f}" for size in caught.memory_mib)
    print(f"  memory by fifths of the time, MiB: {memory}: {'flat' if caught.flat else 'GROWING'}")
    print(f"  on disk: {caught.stored_bytes:.0f} bytes a tick", flush=True)
    if stored is not None:
        print(f"  stored: {stored:,}{'' if stored == caught.messages else ' NOT ALL'}", flush=True)
    return {**asdict(caught), "ticks_per_second": rate, "flat": caught.flat, "stored": stored}


def rates(samples: list[tuple[float, int]]) -> list[float]:
    """Messages a second between looks at which something had changed."""
    return [(before - after) / (then - at) for (at, before), (then, after) in pairwise(samples)]


def fifths(values: list[float]) -> list[float]:
    """The median of each of five equal parts, in order."""
    edges = [round(number * len(values) / 5) for number in range(6)]
    return [statistics.median(values[first:end] or values[-1:]) for first, end in pairwise(edges)]

"""A writer that was away: how fast it works off its backlog, and whether its memory stays flat meanwhile."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

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
class CaughtUp:
    """How a writer worked off its backlog.

    Attributes:
        writer: Its name.
        messages: The backlog.
        seconds: From its first look at the topic until its last commit.
        rates: Percentiles of the messages a second over spans of a few seconds.
        cpu_us: Processor time of its process per message, in µs.
        memory_mib: Median resident memory in each fifth of the time.
        stored: How many messages the store has, where it can be counted.
    """

    writer: str
    messages: int
    seconds: float
    rates: dict[str, float]
    cpu_us: float
    memory_mib: list[float]
    stored: int | None

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


def catch_up(settings: Settings, writer: str, count: int, stored: Callable[[], int | None]) -> CaughtUp:
    """Starts the writer's process on the full topic and watches it until nothing is left.

    Raises:
        RuntimeError: It stopped making progress.
    """
    samples: list[tuple[float, int]] = []  # moment, messages left
    with writer_process(settings, writer) as process, Tree([process]) as tree:
        changed = time.time()
        while not samples or samples[-1][1]:
            time.sleep(_LOOK_SECONDS)
            left, now = consumer_lag(settings.kafka.bootstrap_servers, writer, (TICKS,)), time.time()
            if left < count and (not samples or left < samples[-1][1]):
                samples.append((now, left))
                changed = now
            if now - changed > _PATIENCE_SECONDS:
                raise RuntimeError(f"{writer} stands still with {left:,} of {count:,} messages left")
        began, ended = tree.samples[0].moment, samples[-1][0]
    began = max(began, samples[0][0] - 2 * _LOOK_SECONDS)
    inside = [sample.resident / 2**20 for sample in tree.samples if began <= sample.moment <= ended]
    return CaughtUp(
        writer=writer,
        messages=count,
        seconds=ended - began,
        rates=percentiles(rates(samples), (5, 50, 95)),
        cpu_us=tree.cpu_seconds(began, ended) / count * 1e6,
        memory_mib=fifths(inside),
        stored=stored(),
    )


def report(caught: CaughtUp) -> dict[str, Any]:
    """Prints one writer's figures and returns them."""
    rate = caught.messages / caught.seconds
    shown = "  ".join(f"{name} {value:,.0f}" for name, value in caught.rates.items())
    print(f"\n{caught.writer}, away for {caught.messages:,} ticks: {rate:,.0f}/s ({caught.seconds:.0f} s; {shown})")
    print(f"  its process: {caught.cpu_us:.1f} µs of processor time a tick")
    memory = "  ".join(f"{size:.0f}" for size in caught.memory_mib)
    print(f"  memory by fifths of the time, MiB: {memory}: {'flat' if caught.flat else 'GROWING'}")
    if caught.stored is not None:
        print(f"  stored: {caught.stored:,}{'' if caught.stored == caught.messages else ' NOT ALL'}", flush=True)
    return {**vars(caught), "ticks_per_second": rate, "flat": caught.flat}


def rates(samples: list[tuple[float, int]]) -> list[float]:
    """Messages a second between looks at which something had changed."""
    return [(before - after) / (then - at) for (at, before), (then, after) in pairwise(samples)]


def fifths(values: list[float]) -> list[float]:
    """The median of each of five equal parts, in order."""
    edges = [round(number * len(values) / 5) for number in range(6)]
    return [statistics.median(values[first:end] or values[-1:]) for first, end in pairwise(edges)]

"""Lets one engine drain the whole backlog, and says how fast, with what memory, and whether its bars are right."""

import statistics
import time
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl
import psutil
from common.machine import Tree
from streaming_kit.engines import Engine, Running, running
from streaming_kit.readback import Comparison, Output

from marketstream.settings import Settings

_LOOK_SECONDS = 0.25
_QUIET_SECONDS = 2.0  # nothing new for so long, and it is looked whether all is there
_REPORT_SECONDS = 60.0
_PATIENCE_SECONDS = 300.0  # nothing new for so long, and it is given up


@dataclass(frozen=True)
class Drained:
    """One engine's run.

    Attributes:
        engine: Its name.
        ticks: How many it was given.
        seconds: From the first trade taken until the last bar was out, and committed where it is told.
        steady: Ticks a second while batches are full; None where the engine has no batches.
        cpu_us: Processor time per tick, in µs, of the engine and of the broker.
        broker_cpu_us: The same of the broker.
        peak_mib: The most resident memory of all its processes at once.
        state_rows: In its state, at the end, where it tells.
        state_bytes: The same in memory.
        output: Messages put out.
        comparison: Its bars against the recomputation.
    """

    engine: str
    ticks: int
    seconds: float
    steady: float | None
    cpu_us: float
    broker_cpu_us: float
    peak_mib: float
    state_rows: int | None
    state_bytes: int | None
    output: int
    comparison: Comparison

    @property
    def rate(self) -> float:
        """Ticks a second over the whole backlog."""
        return self.ticks / self.seconds

    def figures(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self) | {"ticks_per_second": self.rate, "equal": self.comparison.equal}


def drain(engine: Engine, settings: Settings, broker: psutil.Process, ticks: int, expected: pl.DataFrame) -> Drained:
    """Runs the engine until all expected bars are there, or nothing more comes.

    Raises:
        RuntimeError: It never took a trade; the message ends with its log.
    """
    log = settings.data_dir / f"{engine.topics[0]}.log"
    output = Output(settings, engine.topics)
    with running(engine, log) as process, Tree(process.trees) as tree, Tree([broker]) as brokers:
        comparison, ended = wait(process, output, ticks, expected)
        wait_for_report(process)
    batches, began = process.batches, process.began
    if began is None:
        raise RuntimeError(f"{engine.name} took no trade; its log: {log.read_text()[-2_000:]}")
    if batches:
        ended = max(ended, batches[-1]["began"] + batches[-1]["durations_ms"]["triggerExecution"] / 1_000)
    output.close()
    return Drained(
        engine=engine.name,
        ticks=ticks,
        seconds=ended - began,
        steady=steady(batches),
        cpu_us=tree.cpu_seconds(began, ended) / ticks * 1e6,
        broker_cpu_us=brokers.cpu_seconds(began, ended) / ticks * 1e6,
        peak_mib=tree.peak_bytes / 2**20,
        state_rows=batches[-1]["state_rows"] if batches else None,
        state_bytes=batches[-1]["state_bytes"] if batches else None,
        output=output.read,
        comparison=comparison,
    )


def wait_for_report(process: Running) -> None:
    """Returns when it has told when it began: the platform's job does when its first batch has been committed."""
    deadline = time.time() + _REPORT_SECONDS
    while process.began is None and not process.ended and time.time() < deadline:
        time.sleep(_LOOK_SECONDS)


def wait(process: Running, output: Output, ticks: int, expected: pl.DataFrame) -> tuple[Comparison, float]:
    """Returns how the bars compare, and when the last one came, once all are there or nothing has come for long."""
    seen, looked, changed = 0, -1, time.time()
    while True:
        time.sleep(_LOOK_SECONDS)
        ended, total = process.ended, output.total()
        if total != seen:
            seen, changed = total, time.time()
        quiet = time.time() - changed
        batches = process.batches
        over = ended or (sum(each["rows"] for each in batches) >= ticks if batches else quiet > _QUIET_SECONDS)
        if quiet > _PATIENCE_SECONDS or (over and seen != looked):
            output.catch_up()
            looked = seen
            comparison = output.compare(expected)
            if not comparison.missing or ended or quiet > _PATIENCE_SECONDS:
                return comparison, changed


def steady(batches: list[dict[str, Any]]) -> float | None:
    """The median rate of the full batches but the first."""
    full = max((each["rows"] for each in batches), default=0)
    rates = [
        each["rows"] / each["durations_ms"]["triggerExecution"] * 1_000 for each in batches[1:] if each["rows"] == full
    ]
    return statistics.median(rates) if rates else None

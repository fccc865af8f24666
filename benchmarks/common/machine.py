"""The machine a benchmark runs on, what its processes use, and percentiles of what was measured."""

import os
import platform
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

_SAMPLE_SECONDS = 0.25


def cpu_name() -> str:
    """The processor's name."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def keep_to_cores(count: int) -> int:
    """Keeps this process, and all it will start, to so many cores; returns how many there are."""
    if hasattr(os, "sched_setaffinity"):
        chosen = sorted(os.sched_getaffinity(0))[:count]
        os.sched_setaffinity(0, chosen)
        return len(chosen)
    return os.cpu_count() or 1


def percentiles(values: Sequence[float], wanted: Sequence[float]) -> dict[str, float]:
    """Percentiles by name."""
    ordered = sorted(values)
    return {f"p{each:g}": ordered[min(len(ordered) - 1, int(len(ordered) * each / 100))] for each in wanted if ordered}


@dataclass(frozen=True, slots=True)
class Sample:
    """What processes had at one moment: resident bytes, and seconds of processor time used so far."""

    moment: float
    resident: int
    cpu_seconds: float


class Tree:
    """Watches processes and all their children, as a context manager around what they do.

    Memory is resident memory; a page that several processes share counts in each.
    """

    def __init__(self, roots: Sequence[psutil.Process]) -> None:
        self._roots = roots
        self._seconds: dict[psutil.Process, float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.samples: list[Sample] = []

    def __enter__(self) -> "Tree":
        self._look()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def peak_bytes(self) -> int:
        """The most memory they had at once."""
        return max(sample.resident for sample in self.samples)

    def cpu_seconds(self, begin: float, end: float) -> float:
        """Processor time they used between two moments of the wall clock."""
        return self._used(end) - self._used(begin)

    def _used(self, moment: float) -> float:
        return min(self.samples, key=lambda sample: abs(sample.moment - moment)).cpu_seconds

    def _watch(self) -> None:
        while not self._stop.wait(_SAMPLE_SECONDS):
            self._look()

    def _look(self) -> None:
        resident = 0
        for process in self._members():
            with suppress(psutil.Error):
                times = process.cpu_times()
                resident += process.memory_info().rss
                self._seconds[process] = times.user + times.system
        self.samples.append(Sample(time.time(), resident, sum(self._seconds.values())))

    def _members(self) -> set[psutil.Process]:
        members = set(self._roots)
        for root in self._roots:
            with suppress(psutil.Error):
                members.update(root.children(recursive=True))
        return members

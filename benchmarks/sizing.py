"""What 1, 10 and 100 times 1,000 ticks a second need: cores, processes, partitions, slots, memory, disk and network.

`python benchmarks/sizing.py [--inputs FILE]` prints the tables of `docs/explanation/sizing.md`, which has the model in
words. It measures nothing by itself: what goes in are figures of the other benchmarks, those below or, field by field,
those of a JSON file.
"""

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

BASE, LOADS = 1_000, (1, 10, 100)
SYMBOLS_AT_BASE = 20
INTERVALS = ("1min", "5min", "15min")
HEADROOM = 0.6  # so much of a core, or of what one process carries, is planned for; the rest is for bursts
SECONDS_A_DAY = 86_400
BARS_A_DAY = sum(SECONDS_A_DAY // seconds for seconds in (60, 300, 900))


@dataclass(frozen=True)
class Stage:
    """A process, or one of several, on the way of a tick.

    Attributes:
        cpu_us: Processor time a tick, in µs, where ticks come in batches.
        carries: Ticks a second that one process can take; None where it spreads over cores by itself.
        mib: Memory of one process.
        base_cores: What it took at 1,000 ticks/s, bars in real-time mode, where that was measured.
    """

    cpu_us: float
    carries: float | None
    mib: float
    base_cores: float


@dataclass(frozen=True)
class Disk:
    """What a tick takes on a store's disk, and for how many days it is kept."""

    bytes_a_tick: float
    days: int


STAGES: dict[str, Stage] = {}
DISKS: dict[str, Disk] = {}


@dataclass(frozen=True)
class Need:
    """What one load needs."""

    rate: int
    symbols: int
    realtime: bool
    cores: Mapping[str, float]
    processes: Mapping[str, int]
    partitions: int
    slots: int
    mib: float
    gb_a_day: Mapping[str, float]
    gb_kept: float
    mbit: float


def need(load: int, inputs: Mapping[str, Any]) -> Need:
    """The model."""
    rate, symbols = BASE * load, SYMBOLS_AT_BASE * load
    stages: dict[str, Stage] = inputs["stages"]
    disks: dict[str, Disk] = inputs["disks"]
    realtime = rate <= inputs["realtime_carries"] * HEADROOM
    cores = {n: each.base_cores if realtime else each.cpu_us * rate / 1e6 / HEADROOM for n, each in stages.items()}
    processes = {n: ceil(rate / (each.carries * HEADROOM)) if each.carries else 1 for n, each in stages.items()}
    partitions = max(4, power_of_two(2 * max(ceil(cores["bars"]), *processes.values())))
    state_mib = symbols * BARS_A_DAY * inputs["state_days"] * inputs["state_bytes"] / 2**20
    gb = {name: disk.bytes_a_tick * rate * SECONDS_A_DAY / 1e9 for name, disk in disks.items()}
    return Need(
        rate=rate,
        symbols=symbols,
        realtime=realtime,
        cores=cores,
        processes=processes,
        partitions=partitions,
        slots=partitions + 1 if realtime else max(2, ceil(cores["bars"])),
        mib=sum(processes[name] * each.mib for name, each in stages.items()) + state_mib,
        gb_a_day=gb,
        gb_kept=sum(gb[name] * disk.days for name, disk in disks.items()),
        mbit=inputs["network_bytes"] * rate * 8 / 1e6,
    )


def power_of_two(least: int) -> int:
    """The next one, so that partitions divide evenly among consumers."""
    return 1 << (least - 1).bit_length()

"""What 1, 10 and 100 times 1,000 ticks a second need: cores, processes, partitions, slots, memory, disk and network.

`python benchmarks/sizing.py [--inputs FILE]` prints the tables of `docs/explanation/sizing.md`, which has the model in
words. It measures nothing by itself: what goes in are figures of the other benchmarks, those below or, field by field,
those of a JSON file.
"""

import argparse
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path
from typing import Any

BASE, LOADS = 1_000, (1, 10, 100)
SYMBOLS_AT_BASE = 20
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


STAGES = {
    "producer": Stage(9.0, 60_000, 70, 0.11),
    "Kafka": Stage(25.0, None, 515, 0.32),
    "bars": Stage(15.0, None, 980, 0.45),
    "closer": Stage(5.0, 100_000, 65, 0.05),
    "indicators": Stage(2.0, None, 860, 0.35),
    "timescale-writer": Stage(14.5, 40_000, 175, 0.10),
    "PostgreSQL": Stage(8.8, None, 225, 0.10),
    "influx-writer": Stage(17.6, 40_000, 190, 0.08),
    "InfluxDB": Stage(6.4, None, 140, 0.05),
    "redis-writer": Stage(19.5, 40_000, 190, 0.11),
    "Redis": Stage(3.2, 100_000, 25, 0.06),
}
DISKS = {"Kafka": Disk(55, 7), "PostgreSQL": Disk(548, 7), "InfluxDB": Disk(22, 90)}
OTHERS = {
    "realtime_carries": 2_000.0,  # ticks/s with three intervals, everything on two cores
    "state_bytes": 700.0,  # a bar in Spark's state, in memory
    "state_days": 1.0,  # how much of it is kept on average between renewals
    "network_bytes": 1_500.0,  # a tick on all its ways between processes
}


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
    more = 0 if realtime else (rate - BASE) / 1e6 / HEADROOM
    cores = {n: each.base_cores + each.cpu_us * more for n, each in stages.items()}
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


def show(needs: list[Need], inputs: Mapping[str, Any]) -> None:
    """Prints the tables, as Markdown."""
    heads = [f"{each.rate:,} ticks/s, {each.symbols:,} symbols" for each in needs]
    rows: dict[str, list[str]] = {
        "trigger": ["`realtime`" if each.realtime else "`1 second`" for each in needs],
        "partitions of a topic": [f"{each.partitions}" for each in needs],
        "task slots of the bars job": [f"{each.slots}" for each in needs],
        "cores, all stages": [f"{sum(each.cores.values()):.1f}" for each in needs],
        "memory, all processes": [f"{each.mib / 1_024:.1f} GiB" for each in needs],
        **{f"disk, {name}": [f"{each.gb_a_day[name]:,.1f} GB a day" for each in needs] for name in inputs["disks"]},
        "disk, all that is kept": [f"{each.gb_kept:,.0f} GB" for each in needs],
        "network between processes": [f"{each.mbit:,.0f} Mbit/s" for each in needs],
    }
    table("", heads, rows)
    cells = {
        name: [f"{each.cores[name]:.2f} cores, {each.processes[name]}" for each in needs] for name in inputs["stages"]
    }
    table("stage: cores, processes", heads, cells)


def table(corner: str, heads: list[str], rows: Mapping[str, list[str]]) -> None:
    """Prints one table."""
    print(f"\n| {corner} | " + " | ".join(heads) + " |\n" + "| --- " * (len(heads) + 1) + "|")
    for name, cells in rows.items():
        print(f"| {name} | " + " | ".join(cells) + " |")


def load_inputs(path: Path | None) -> dict[str, Any]:
    """The figures above, with those of a file in their place."""
    given = json.loads(path.read_text()) if path else {}
    stages = {name: Stage(**(asdict(each) | given.get("stages", {}).get(name, {}))) for name, each in STAGES.items()}
    disks = {name: Disk(**(asdict(each) | given.get("disks", {}).get(name, {}))) for name, each in DISKS.items()}
    return OTHERS | given | {"stages": stages, "disks": disks}


def main() -> None:
    """Prints what goes in and what comes out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=Path, help="JSON with `stages`, `disks` and others, as above")
    inputs = load_inputs(parser.parse_args().inputs)
    fields = ["µs a tick", "one process carries", "MiB", f"cores at {BASE:,}"]
    rows = {
        name: [f"{s.cpu_us:.1f}", f"{s.carries:,.0f}/s" if s.carries else "", f"{s.mib:.0f}", f"{s.base_cores:.2f}"]
        for name, s in inputs["stages"].items()
    }
    table("stage", fields, rows)
    show([need(load, inputs) for load in LOADS], inputs)


if __name__ == "__main__":
    main()

"""What TimescaleDB gains: the same ticks and bars in native partitions, in hypertables, and in compressed ones.

Rows a second by the writer's own statements, size on disk, and milliseconds of the platform's queries and of rollups.
Starts servers of its own on free ports: the platform's PostgreSQL and, with `--timescale-bin`, one that loads
TimescaleDB. What they answer is compared for equality.
"""

import argparse
import json
import os
import platform
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from timescale_kit.bench import Bench
from timescale_kit.market import SYMBOLS, Market

from marketstream.launch.running import running
from marketstream.launch.secrets import ensure_secrets
from marketstream.launch.servers import PostgresServer
from marketstream.settings import PostgresSettings, load_settings
from marketstream.testing.platform import free_ports


@contextmanager
def server(binaries: Path | None) -> Iterator[PostgresSettings]:
    """A fresh PostgreSQL, from that folder or as the platform finds it."""
    path = os.environ["PATH"]
    if binaries:
        os.environ["PATH"] = f"{binaries}{os.pathsep}{path}"
    try:
        with tempfile.TemporaryDirectory() as folder:
            ensure_secrets(Path(folder))
            [port] = free_ports(1)
            settings = load_settings(data_dir=Path(folder), postgres={"port": port})
            with running(PostgresServer(settings), Path(folder) / "postgres.log"):
                yield settings.postgres
    finally:
        os.environ["PATH"] = path


def measure(binaries: Path | None, market: Market, options: argparse.Namespace) -> dict[str, tuple[dict, dict]]:
    """Figures and answers by what was measured."""
    with server(binaries) as settings:
        bench = Bench(settings, market, options.runs)
        stored = bench.fill()
        if not bench.hypertables:
            figures = {**stored, **bench.sizes(), **bench.queries()}
            answers = dict(bench.answers)
            return {"PostgreSQL": ({**figures, **bench.backfill(options.late)}, answers)}
        figures = {**stored, **bench.sizes(), **bench.refresh(), **bench.queries()}
        answers = dict(bench.answers)
        compressed = {**bench.compress(), **bench.sizes(), **bench.queries(), **bench.backfill(options.late)}
        return {"hypertables": (figures, answers), "compressed": (compressed, bench.answers)}


def table(found: Mapping[str, dict[str, float]]) -> str:
    """Figures side by side, each with its ratio to the first column's."""
    names = list(dict.fromkeys(name for figures in found.values() for name in figures))
    first = next(iter(found.values()))
    lines = ["| | " + " | ".join(found) + " |", "| --- |" + " ---: |" * len(found)]
    for name in names:
        cells = [cell(figures.get(name), first.get(name), figures is first) for figures in found.values()]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def cell(figure: float | None, base: float | None, is_first: bool) -> str:
    """A figure, and how many times the first one it is."""
    if figure is None:
        return ""
    text = f"{figure:,.0f}" if figure >= 100 else f"{figure:.3g}"
    return text if is_first or not base else f"{text} ({figure / base:.2g}x)"


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ticks", type=int, default=2_000_000)
    parser.add_argument("--tick-days", type=int, default=5)
    parser.add_argument("--bar-days", type=int, default=60, help="days of one-minute bars of every symbol")
    parser.add_argument("--late", type=int, default=200_000, help="ticks stored into the oldest day at the end")
    parser.add_argument("--runs", type=int, default=5, help="of every query")
    parser.add_argument("--timescale-bin", type=Path, help="folder of a PostgreSQL that TimescaleDB is installed in")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    options = parser.parse_args()
    market = Market(options.ticks, options.tick_days, options.bar_days)
    found: dict[str, tuple[dict, dict]] = {}
    for binaries in (None, options.timescale_bin) if options.timescale_bin else (None,):
        found |= measure(binaries, market, options)
    rows = len(SYMBOLS) * 1_440 * options.bar_days
    print(f"{options.ticks:,} ticks of {len(SYMBOLS)} symbols over {options.tick_days} days, {rows:,} bars")
    print(f"{os.cpu_count()} cores, {platform.machine()}; in brackets: times as much as in the first column")
    print(table({name: figures for name, (figures, _) in found.items()}))
    different = differences([answers for _, answers in found.values()])
    print(f"answers differ: {', '.join(different)}" if different else "all answers are equal")
    if options.json:
        options.json.write_text(json.dumps({name: figures for name, (figures, _) in found.items()}, indent=2))


def differences(answers: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names of the queries that were not answered alike by all."""
    return [name for name in answers[0] if any(each[name] != answers[0][name] for each in answers[1:])]


if __name__ == "__main__":
    main()

"""Ticks per second of the bars query, three intervals at once, beside other stream engines making the same bars.

`python benchmarks/streaming.py [--ticks 2000000] [--peer-python PATH]` fills `tick_data` of a broker of its own, lets
the platform's own bars job drain it in micro-batches, checkpoints and all, and after it each peer that the interpreter
named by `--peer-python` has: Quix Streams, Bytewax, Pathway (`pip install quixstreams bytewax pathway` in an
environment of their own). All processes, the broker's included, share `--cores` cores. Every engine's bars are held
against a recomputation in polars, and the benchmark fails where the platform's differ.

`--growth` measures the platform alone at 10 to 10,000 symbols: throughput, memory, state; `--picture` draws them.
`--carried` finds the load that real-time mode carries. `--conf name=value` changes Spark's configuration.
"""

import argparse
import json
import os
import platform
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl
import psutil
from common.broker import make_topics, own_broker
from common.machine import cpu_name, keep_to_cores
from streaming_kit.backlog import Backlog, expected_bars, make_backlog, publish
from streaming_kit.carried import Carried, Pace, carried
from streaming_kit.chart import Panel, draw
from streaming_kit.drain import Drained, drain
from streaming_kit.engines import PEERS, Engine, marketstream, running, version

from marketstream.contracts.topics import TICKS, bars_topic
from marketstream.settings import Settings
from marketstream.testing.platform import eventually

AIM_TICKS_PER_SECOND, AIM_TIMES_BEST_PEER = 100_000, 8
SYMBOLS = 20
GROWTH = (10, 100, 1_000, 10_000)
TICKS_PER_SECOND = 1_000.0  # of event time, over all symbols
_WARM_UP_SECONDS = 30.0


@dataclass(frozen=True)
class Market:
    """A broker with a backlog on it.

    Attributes:
        settings: Where the broker is.
        broker: Its process.
        backlog: What is on `tick_data`.
        expected: The bars of all intervals that it makes.
    """

    settings: Settings
    broker: psutil.Process
    backlog: Backlog
    expected: pl.DataFrame

    def drained_by(self, engine: Engine) -> Drained:
        """Lets the engine drain the backlog."""
        make_topics(self.settings, engine.topics)
        return drain(engine, self.settings, self.broker, self.backlog.count, self.expected)


@contextmanager
def market(options: argparse.Namespace, symbols: int) -> Iterator[Market]:
    """A broker of its own whose `tick_data` is full."""
    with own_broker(options.heap_mb, (TICKS,)) as (settings, broker):
        backlog = make_backlog(options.ticks, symbols, ticks_per_second=TICKS_PER_SECOND)
        rate = publish(backlog, settings)
        print(f"{backlog.count:,} ticks of {symbols:,} symbols put onto {TICKS} at {rate:,.0f}/s", flush=True)
        bars = pl.concat(expected_bars(backlog.trades, interval) for interval in settings.intervals)
        yield Market(settings, broker, backlog, bars)


def compare(options: argparse.Namespace) -> dict[str, Any]:
    """The platform and its peers, each on the same backlog."""
    with market(options, options.symbols) as shared:
        folder = shared.settings.data_dir
        ours = [
            shared.drained_by(
                marketstream(shared.settings, folder / f"job{run}", trigger=options.trigger, conf=options.conf)
            )
            for run in range(options.runs)
        ]
        for each in ours:
            report(each)
        best = sorted(ours, key=lambda each: each.rate)[len(ours) // 2]
        peers = [peer for name in options.peers.split(",") if name and (peer := beside(name, shared, options))]
    conclude(best, peers)
    return {"marketstream": best.figures(), "peers": [peer.figures() for peer in peers]}


def beside(name: str, shared: Market, options: argparse.Namespace) -> Drained | None:
    """One peer on the same backlog; None where it is not installed or does not run."""
    if not version(options.peer_python, name):
        print(f"no {name} in {options.peer_python}")
        return None
    engine = PEERS[name](options.peer_python, shared.settings, shared.settings.data_dir / name, options.cores)
    try:
        drained = shared.drained_by(engine)
    except RuntimeError as error:
        print(f"\n{error}", flush=True)
        return None
    report(drained)
    return drained


def report(drained: Drained) -> None:
    """Prints one engine's figures."""
    bars = drained.comparison
    steady = f", {drained.steady:,.0f}/s in full batches" if drained.steady else ""
    state = (
        f", state {drained.state_rows:,} rows in {drained.state_bytes / 2**20:.1f} MiB" if drained.state_bytes else ""
    )
    print(f"\n{drained.engine}: {drained.rate:,.0f} ticks/s ({drained.ticks:,} in {drained.seconds:.1f} s{steady})")
    print(f"  processor time, µs a tick: engine {drained.cpu_us:.1f}, broker {drained.broker_cpu_us:.1f}")
    print(f"  memory at most {drained.peak_mib:,.0f} MiB{state}; {drained.output:,} messages put out")
    verdict = "all equal to polars'" if bars.equal else f"{bars.missing} MISSING, {bars.different} DIFFERENT"
    print(f"  {bars.bars:,} bars: {verdict}", *bars.examples, sep="\n    ", flush=True)


def conclude(ours: Drained, peers: Sequence[Drained]) -> None:
    """Prints how the platform compares with the aims and the best peer whose bars are right."""
    verdict = "reached" if ours.rate >= AIM_TICKS_PER_SECOND else "MISSED"
    print(f"\nthe platform: {ours.rate:,.0f} ticks/s; aim {AIM_TICKS_PER_SECOND:,}: {verdict}")
    for peer in peers:
        note = "" if peer.comparison.equal else " (whose bars are not all right)"
        print(f"  {ours.rate / peer.rate:.1f} times {peer.engine}{note}")
    right = [peer.rate for peer in peers if peer.comparison.equal]
    if right:
        times = ours.rate / max(right)
        verdict = "reached" if times >= AIM_TIMES_BEST_PEER else "MISSED"
        print(f"  {times:.1f} times the best; aim {AIM_TIMES_BEST_PEER}: {verdict}")
    if not ours.comparison.equal:
        raise SystemExit("the platform's bars are not the recomputed ones")


def growth(options: argparse.Namespace) -> list[dict[str, Any]]:
    """The platform alone at more and more symbols."""
    found: list[tuple[int, Drained]] = []
    for symbols in map(int, options.growth_symbols.split(",")):
        with market(options, symbols) as one:
            engine = marketstream(one.settings, one.settings.data_dir, trigger=options.trigger, conf=options.conf)
            found.append((symbols, one.drained_by(engine)))
            report(found[-1][1])
    print(
        f"\n{'symbols':>8} {'ticks/s':>9} {'µs/tick':>8} {'memory MiB':>11} {'state rows':>11} {'state MiB':>10}  bars"
    )
    for symbols, each in found:
        state = (each.state_bytes or 0) / 2**20
        print(
            f"{symbols:>8,} {each.rate:>9,.0f} {each.cpu_us:>8.1f} {each.peak_mib:>11,.0f} {each.state_rows or 0:>11,} "
            f"{state:>10.1f}  {'equal' if each.comparison.equal else 'DIFFERENT'}"
        )
    if options.picture:
        picture(options.picture, found)
    return [{"symbols": symbols, **each.figures()} for symbols, each in found]


def picture(path: Path, found: Sequence[tuple[int, Drained]]) -> None:
    """Draws throughput, memory and state over the number of symbols."""
    panels = [
        Panel("throughput, thousand ticks/s", [each.rate / 1_000 for _, each in found]),
        Panel("memory of the job at most, MiB", [each.peak_mib for _, each in found]),
        Panel("state, thousand bars", [(each.state_rows or 0) / 1_000 for _, each in found]),
    ]
    title = f"Bars of 1, 5 and 15 minutes from a backlog of {found[0][1].ticks / 1e6:.1f} million ticks, 2 cores"
    draw(path, title, "symbols", [symbols for symbols, _ in found], panels)


def carry(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Real-time mode at higher and higher rates, until its bars fall behind."""
    found: list[Carried] = []
    with ExitStack() as stack:
        settings, _ = stack.enter_context(own_broker(options.heap_mb, (TICKS,)))
        make_topics(settings, tuple(map(bars_topic, settings.intervals)))
        engine = marketstream(settings, settings.data_dir, trigger="realtime", conf=options.conf)
        pace = Pace(settings, options.symbols)
        process = stack.enter_context(running(engine, settings.data_dir / "realtime.log"))
        eventually(lambda: any("ready" in each for each in process.said), within_seconds=120, what="the job")
        carried(process, engine, pace, settings, 500, _WARM_UP_SECONDS)
        for rate in map(float, options.carried_rates.split(",")):
            one = carried(process, engine, pace, settings, rate, options.carried_seconds)
            found.append(one)
            shown = f"p50 {one.first_ms:,.0f} ms at first, {one.last_ms:,.0f} at last (p99 {one.p99_ms:,.0f})"
            print(f"{rate:>8,.0f} ticks/s: bar after {shown}: {'BEHIND' if one.behind else 'carried'}", flush=True)
            if one.behind:
                break
    return [asdict(each) | {"behind": each.behind} for each in found]


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ticks", type=int, default=2_000_000, help="of the backlog")
    parser.add_argument("--symbols", type=int, default=SYMBOLS)
    parser.add_argument("--runs", type=int, default=3, help="of the platform, of which the median counts")
    parser.add_argument("--cores", type=int, default=2, help="shared by everything")
    parser.add_argument("--trigger", default="1 second", help="of the platform's micro-batches")
    parser.add_argument("--conf", action="append", default=[], help="name=value, for Spark; may be repeated")
    parser.add_argument("--peer-python", default=sys.executable, help="an interpreter that has the peers")
    parser.add_argument("--peers", default=",".join(PEERS), help="which, in order; '' for none")
    parser.add_argument("--growth", action="store_true", help="instead: the platform at more and more symbols")
    parser.add_argument("--growth-symbols", default=",".join(map(str, GROWTH)))
    parser.add_argument("--picture", type=Path, help="of the growth, an SVG file")
    parser.add_argument("--carried", action="store_true", help="instead: the load that real-time mode carries")
    parser.add_argument("--carried-rates", default="1000,1500,2000,3000,4000,6000,8000")
    parser.add_argument("--carried-seconds", type=float, default=30.0, help="at each rate")
    parser.add_argument("--heap-mb", type=int, default=512, help="of the broker")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    return parser.parse_args()


def main() -> None:
    """Runs what was asked for and prints the figures."""
    options = arguments()
    options.cores = keep_to_cores(options.cores)
    print(f"{cpu_name()}, {options.cores} of {os.cpu_count()} cores, Python {platform.python_version()}", flush=True)
    figures: dict[str, Any] = {"machine": cpu_name(), "cores": options.cores}
    if options.growth:
        figures["growth"] = growth(options)
    elif options.carried:
        figures["carried"] = carry(options)
    else:
        figures |= compare(options)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()

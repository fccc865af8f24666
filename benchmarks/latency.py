"""Where the milliseconds go: socket → tick, bar, indicators and final bar at Kafka, in Redis, over REST, in PostgreSQL.

Starts a whole platform of its own, closer and indicators included, feeds it an even stream of generated trades through
the replay server, and looks at every store from outside, as a user would. A tick counts as visible in a store at the
first look that shows it or a later one of its symbol; a bar, or its indicators, at the first look whose trade count
includes the tick. Looks have a pause between them (stated in the report), which is part of the figure; Kafka's times
are those of its messages. Receive times are the ticks' own `received_time_us`. Afterwards some symbols trade once and
fall silent. What each process used meanwhile is listed too.
"""

import argparse
import json
import os
import platform as machine
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from common.machine import cpu_name, percentiles
from latency_kit.idle import idle_delays
from latency_kit.looks import SYMBOLS, WINDOW, Watch, Watches, watch_postgres, watch_redis, watch_rest
from latency_kit.services import usage, watched
from latency_kit.topics import final_delays, ordinals, read_topic, watches_of

from marketstream.contracts.messages import decode_bar, decode_indicators, decode_tick
from marketstream.contracts.topics import INDICATORS, TICKS
from marketstream.domain.indicators import Indicators
from marketstream.domain.market import Bar, Tick
from marketstream.settings import Settings
from marketstream.testing.platform import Platform

# Seldom enough to cost the platform little, often enough to tell.
_REST_PAUSE_SECONDS = 0.1
_POSTGRES_PAUSE_SECONDS = 0.1
_SETTLE_SECONDS = 300.0
PERCENTILES = (50, 95, 99, 99.9)
PLACES = ("redis tick", "redis bar", "rest bar", "postgres tick", "postgres bar")


@dataclass(frozen=True)
class Read:
    """What was on the topics over the measured time.

    Attributes:
        ticks: With Kafka's time in ms; a minute more than was watched, so that a bar's earlier trades are counted too.
        bars: The same of the bars of `WINDOW`.
        indicators: The same of their indicators.
        began_us: When the measured time began.
        ended_us: When it ended.
    """

    ticks: list[tuple[int, Tick]]
    bars: list[tuple[int, Bar]]
    indicators: list[tuple[int, Indicators]]
    began_us: int
    ended_us: int

    @property
    def inside(self) -> list[tuple[int, Tick]]:
        """The ticks received in the measured time, less a second at its start and two at its end."""
        first_us, last_us = self.began_us + 1_000_000, self.ended_us - 2_000_000
        return [(at, tick) for at, tick in self.ticks if first_us <= tick.received_time_us < last_us]


def report(name: str, values: list[float], aim_ms: float | None = None) -> dict[str, float]:
    """Prints one line of percentiles, and whether the 99th is within the aim; returns them."""
    if not values:
        print(f"{name:<54} no samples")
        return {}
    figures = percentiles(values, PERCENTILES)
    shown = "  ".join(f"{label} {value:8.1f}" for label, value in figures.items())
    verdict = ""
    if aim_ms is not None:
        verdict = f" p99 ≤ {aim_ms:g}: {'reached' if figures['p99'] <= aim_ms else 'MISSED'}"
    print(f"{name:<54} {shown}  max {max(values):8.1f} ms  n={len(values)}{verdict}")
    return figures | {"max": max(values), "n": len(values)}


def measure(running: Platform, options: argparse.Namespace) -> dict[str, Any]:
    """Watches for a while, then works out every tick's way."""
    settings = running.settings
    watches: Watches = {place: {symbol: Watch() for symbol in SYMBOLS} for place in PLACES}
    print(f"warming up for {options.warm_up:g} s …", flush=True)
    time.sleep(options.warm_up)
    waited = settle(settings, options.rate)
    print(f"the queries have caught up with what came while they started after {waited:.0f} s more", flush=True)
    with watched(running) as trees:
        began_us, ended_us = watch(settings, watches, options)
    used = usage(trees)
    time.sleep(3)
    idle = idle_delays(settings)
    found = read_all(settings, began_us, ended_us)
    figures = evaluate(found, watches)
    figures |= stages(found)
    figures |= finals(found, idle, settings)
    print("\neach process meanwhile, with its children:")
    for name, each in used.items():
        print(f"  {name:<24} {each['cores']:6.3f} cores  {each['mib']:7.0f} MiB")
    total = sum(each["cores"] for each in used.values())
    print(f"  {'all':<24} {total:6.3f} cores  {sum(each['mib'] for each in used.values()):7.0f} MiB")
    return figures | {"services": used}


def settle(settings: Settings, rate: float) -> float:
    """Waits until the indicators are less than two seconds of bars' versions behind, for a limited time.

    Returns:
        How many seconds it took; the limit where they don't catch up.
    """
    began, enough = time.monotonic(), 2 * rate * len(settings.intervals)
    progress = settings.data_dir / "run" / "indicators.json"
    while (waited := time.monotonic() - began) < _SETTLE_SECONDS:
        if progress.exists():
            report = json.loads(progress.read_bytes())
            if (report["batch_id"] or 0) > 0 and report["lag_messages"] < enough:
                break
        time.sleep(1)
    return waited


def watch(settings: Settings, watches: Watches, options: argparse.Namespace) -> tuple[int, int]:
    """Looks at every place for as long as asked; returns when that began and ended, in µs."""
    stop = threading.Event()
    began_us = time.time_ns() // 1_000
    watchers: list[tuple[Callable[..., None], float]] = [
        (watch_redis, options.pause),
        (watch_rest, _REST_PAUSE_SECONDS),
        (watch_postgres, _POSTGRES_PAUSE_SECONDS),
    ]
    threads = [threading.Thread(target=look, args=(settings, watches, stop, each)) for look, each in watchers]
    psutil.cpu_times_percent()
    for thread in threads:
        thread.start()
    print(f"measuring for {options.seconds:g} s …", flush=True)
    time.sleep(options.seconds)
    stop.set()
    for thread in threads:
        thread.join()
    used = psutil.cpu_times_percent()
    print(f"processors meanwhile: {used.idle:.0f} % idle, {used.steal:.0f} % taken by the machine's other guests")
    return began_us, time.time_ns() // 1_000


def read_all(settings: Settings, began_us: int, ended_us: int) -> Read:
    """Reads the topics over the measured time, and what came until now."""
    ticks = [(at, decode_tick(value)) for at, value in read_topic(settings, TICKS, began_us - 61_000_000)]
    bars = [(at, decode_bar(value)) for at, value in read_topic(settings, f"aggregated_data_{WINDOW}", began_us)]
    indicators = [(at, decode_indicators(value)) for at, value in read_topic(settings, INDICATORS, began_us)]
    of_window = [(at, each) for at, each in indicators if each.interval == WINDOW]
    ours = [(at, tick) for at, tick in ticks if tick.symbol in SYMBOLS]
    return Read(ours, bars, of_window, began_us, ended_us)


def evaluate(found: Read, watches: Watches) -> dict[str, Any]:
    """Prints and returns the percentiles of each place, tick by tick."""
    ordinal = ordinals([tick for _, tick in found.ticks])
    places = {
        **watches,
        "kafka bar": watches_of(found.bars, SYMBOLS),
        "kafka indicators": watches_of(found.indicators, SYMBOLS),
    }
    delays: dict[str, list[float]] = {place: [] for place in places}
    inside = found.inside
    for _, tick in inside:
        for place, by_symbol in places.items():
            mark = tick.order if place.endswith("tick") else ordinal[tick.symbol, tick.sequence]
            seen = by_symbol[tick.symbol].first_at_or_after(mark)
            if seen is not None:
                delays[place].append((seen - tick.received_time_us) / 1_000)
    span = (found.ended_us - found.began_us) / 1e6 - 3
    print(f"\n{len(inside)} ticks in {span:.0f} s: {len(inside) / span:.0f} a second over {len(SYMBOLS)} symbols\n")
    print("from the socket's receive of each tick to:")
    lines: list[tuple[str, str, float | None]] = [
        ("redis tick", "(a) tick in Redis", 20),
        ("kafka bar", "(b) bar with it at Kafka, through Spark", 100),
        ("redis bar", "(b) bar with it in Redis, through Spark", 100),
        ("kafka indicators", "(c) indicators of the bar with it at Kafka", 1_500),
        ("rest bar", "(d) bar with it over REST", None),
        ("postgres tick", "(e) tick in PostgreSQL", 1_000),
        ("postgres bar", "(e) bar with it in PostgreSQL", 1_000),
    ]
    return {"ticks_per_second": len(inside) / span} | {
        place: report(name, delays[place], aim) for place, name, aim in lines
    }


def stages(found: Read) -> dict[str, Any]:
    """Prints and returns the percentiles of each stage on the way."""
    began_us = found.began_us + 1_000_000
    feed = [(tick.received_time_us - tick.event_time_us) / 1_000 for _, tick in found.inside]
    produced = [at - tick.received_time_us / 1_000 for at, tick in found.inside]
    through = [
        at - bar.last_received_time_us / 1_000
        for at, bar in found.bars
        if bar.last_received_time_us >= began_us and not bar.final and bar.symbol in SYMBOLS
    ]
    told = [
        at - each.last_received_time_us / 1_000
        for at, each in found.indicators
        if each.last_received_time_us >= began_us and not each.final and each.symbol in SYMBOLS
    ]
    print("\nby stage:")
    return {
        "publish": report("event time → socket (the feed)", feed),
        "socket to kafka": report("socket → handed to Kafka (ms clock)", produced),
        "socket to bar": report("socket of a bar's newest tick → bar at Kafka", through, 100),
        "socket to indicators": report("socket of a bar's newest tick → indicators at Kafka", told, 1_500),
    }


def finals(found: Read, idle: list[float], settings: Settings) -> dict[str, Any]:
    """Prints and returns how late finals are, of symbols that trade on and of symbols that fell silent."""
    lateness_us = round(settings.ingest.allowed_lateness_seconds * 1e6)
    ticks = [tick for _, tick in found.ticks]
    delays = final_delays(found.bars, ticks, lateness_us, since_us=found.began_us + 1_000_000)
    grace_ms = settings.streaming.idle_grace_seconds * 1_000
    print("\nfinal bars at Kafka:")
    return {
        "final": report("socket of the trade past the lateness → final", delays, 500),
        "idle final": report("silent symbol: end and lateness passed → final", idle, grace_ms + 2_000),
    }


def main() -> None:
    """Runs the benchmark and prints its report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=1_000, help="ticks a second")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--warm-up", type=float, default=60)
    parser.add_argument("--pause", type=float, default=0.005, help="seconds between looks at Redis")
    parser.add_argument("--trigger", default="realtime")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--keep", type=Path, help="keep the platform's data and logs here")
    options = parser.parse_args()
    environment = {
        "SYMBOLS": ",".join(SYMBOLS),
        "PROVIDERS": "binance",
        "REPLAY__TICKS_PER_SECOND": str(options.rate),
        "REPLAY__ARRIVALS": "even",
        "STREAMING__TRIGGER": options.trigger,
    }
    print(f"{cpu_name()}, {os.cpu_count()} cores, Python {machine.python_version()}")
    with tempfile.TemporaryDirectory(prefix="marketstream-latency-") as scratch:
        folder = (options.keep or Path(scratch)).absolute() / "data"
        folder.parent.mkdir(parents=True, exist_ok=True)
        running = Platform(folder, environment)
        running.environment["MARKETSTREAM_BINANCE__WEBSOCKET_URL"] = (
            f"ws://127.0.0.1:{running.environment['MARKETSTREAM_REPLAY__PORT']}"
        )
        with running:
            figures = measure(running, options)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()

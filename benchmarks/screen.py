"""A day on screen: the Market page open for a while, its memory and the time of its updates by fifths of the run.

Starts a whole platform of its own, feeds it an even stream of generated trades through the replay server, and opens the
page in Chromium. An update's time is from its request until the chart is drawn; the age is that of the newest trade on
the tape then, since its frame left the producer's socket. The heap is what scripts hold after a collection. `--address`
looks at a platform that runs already.
"""

import argparse
import json
import os
import platform as machine
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from common.machine import cpu_name, percentiles
from screen_kit.watching import Part, market_page, watch

from marketstream.testing.platform import Platform

_FIFTHS = 5
_SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "BNBUSDT", "ADAUSDT", "DOGEUSDT", "AVAXUSDT")
_SERVER = "run dashboard"


def describe(number: int, part: Part, seconds: float, server_seconds: float | None) -> dict[str, Any]:
    """Prints one fifth's line; returns its figures."""
    updates, ages = percentiles(part.updates, (50, 95, 99)), percentiles(part.ages or [0.0], (50, 99))
    count = max(1, len(part.updates))
    figures = {
        "updates": len(part.updates),
        "update_ms": updates,
        "age_ms": ages,
        "heap_mib": part.heap_bytes / 2**20,
        "nodes": part.nodes,
        "listeners": part.listeners,
        "browser_ms_per_update": part.busy_seconds * 1_000 / count,
        "browser_cores": part.busy_seconds / seconds,
        "server_ms_per_update": None if server_seconds is None else server_seconds * 1_000 / count,
    }
    server = "" if server_seconds is None else f"  server {figures['server_ms_per_update']:6.1f} ms"
    shown = "  ".join(f"{name} {value:7.1f}" for name, value in updates.items())
    print(
        f"fifth {number}: {len(part.updates):4} updates  {shown} ms  age p50 {ages['p50']:7.0f} ms  "
        f"heap {figures['heap_mib']:6.2f} MiB  nodes {part.nodes:6}  listeners {part.listeners:5}  "
        f"browser {figures['browser_ms_per_update']:6.1f} ms{server} an update",
        flush=True,
    )
    return figures


def run(address: str, minutes: float) -> list[dict[str, Any]]:
    """Keeps the page open; returns the figures by fifths."""
    seconds = minutes * 60 / _FIFTHS
    with market_page(address) as (page, tools):
        found = []
        for number in range(1, _FIFTHS + 1):
            server = _server()
            before = _processor_seconds(server)
            part = watch(page, tools, seconds)
            after = _processor_seconds(server)
            spent = None if before is None or after is None else after - before
            found.append(describe(number, part, seconds, spent))
    first, last = found[0], found[-1]
    print(
        f"heap {first['heap_mib']:.2f} → {last['heap_mib']:.2f} MiB, "
        f"update p50 {first['update_ms']['p50']:.0f} → {last['update_ms']['p50']:.0f} ms"
    )
    return found


def _server() -> psutil.Process | None:
    """The dashboard's process, where it is on this machine and the only one."""
    found = [each for each in psutil.process_iter(["cmdline"]) if _SERVER in " ".join(each.info["cmdline"] or ())]
    return found[0] if len(found) == 1 else None


def _processor_seconds(process: psutil.Process | None) -> float | None:
    if process is None:
        return None
    times = process.cpu_times()
    return float(times.user + times.system)


@contextmanager
def started(rate: float, folder: Path) -> Iterator[str]:
    """A platform that is fed at this rate; yields the page's address."""
    environment = {
        "SYMBOLS": ",".join(_SYMBOLS),
        "PROVIDERS": "binance",
        "REPLAY__TICKS_PER_SECOND": str(rate),
        "REPLAY__ARRIVALS": "even",
    }
    running = Platform(folder, environment)
    running.environment["MARKETSTREAM_BINANCE__WEBSOCKET_URL"] = (
        f"ws://127.0.0.1:{running.environment['MARKETSTREAM_REPLAY__PORT']}"
    )
    with running:
        yield f"http://127.0.0.1:{running.settings.serving.dashboard_port}/?symbol=BTCUSDT"


def main() -> None:
    """Runs the benchmark and prints its report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--rate", type=float, default=200, help="ticks a second, over all symbols")
    parser.add_argument("--warm-up", type=float, default=60, help="seconds before the page is opened")
    parser.add_argument("--address", help="of a Market page that is served already")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    print(f"{cpu_name()}, {os.cpu_count()} cores, Python {machine.python_version()}")
    if options.address:
        figures = run(options.address, options.minutes)
    else:
        with (
            tempfile.TemporaryDirectory(prefix="marketstream-screen-") as scratch,
            started(options.rate, Path(scratch).absolute() / "data") as address,
        ):
            time.sleep(options.warm_up)
            figures = run(address, options.minutes)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()

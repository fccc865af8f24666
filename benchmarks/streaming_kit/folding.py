"""How one trade changes one bar, in plain Python, for the peers that fold trades into bars; the standard library alone.

A bar under construction is a list, which every peer's state store can hold: open's order (event time, sequence) and
price, close's, high, low, volume, notional, trade count, start.
"""

import json
import sys
import time
from typing import Any

INTERVALS_US = {"1min": 60_000_000, "5min": 300_000_000, "15min": 900_000_000}
Tick = dict[str, Any]

_began = False


def say_began() -> None:
    """Tells the benchmark, once, that the first trade is here."""
    global _began  # the process's one fact
    if not _began:
        _began = True
        print(json.dumps({"began": time.time()}), flush=True, file=sys.stdout)


def first(tick: Tick) -> list[Any]:
    """The bar of one trade."""
    price, size, time_us, sequence = tick["price"], tick["size"], tick["event_time_us"], tick["sequence"]
    return [time_us, sequence, price, time_us, sequence, price, price, price, size, price * size, 1]


def fold(bar: list[Any], tick: Tick) -> list[Any]:
    """The bar with one more trade; changes and returns it."""
    price, size, time_us, sequence = tick["price"], tick["size"], tick["event_time_us"], tick["sequence"]
    if time_us < bar[0] or (time_us == bar[0] and sequence < bar[1]):
        bar[0], bar[1], bar[2] = time_us, sequence, price
    if time_us > bar[3] or (time_us == bar[3] and sequence > bar[4]):
        bar[3], bar[4], bar[5] = time_us, sequence, price
    if price > bar[6]:
        bar[6] = price
    if price < bar[7]:
        bar[7] = price
    bar[8] += size
    bar[9] += price * size
    bar[10] += 1
    return bar


def message(symbol: str, interval: str, start_us: int, bar: list[Any]) -> dict[str, Any]:
    """The finished bar."""
    return {
        "symbol": symbol,
        "interval": interval,
        "start_us": start_us,
        "open": bar[2],
        "high": bar[6],
        "low": bar[7],
        "close": bar[5],
        "volume": bar[8],
        "vwap": bar[9] / bar[8],
        "trade_count": bar[10],
    }

"""The peer's process: cryptofeed parses Binance frames from a file, one a line, and counts the trades it reports.

Run by an interpreter that has cryptofeed; prints trades per second of processor time, the best of several rounds.
"""

import asyncio
import json
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cryptofeed.defines import TRADES
from cryptofeed.exchanges import Binance
from cryptofeed.symbols import Symbols

_ROUNDS = 5


async def measure(lines: list[str], names: list[str]) -> float:
    """Trades per second of processor time."""
    count = 0

    async def take(_trade: Any, _received: float) -> None:
        nonlocal count
        count += 1

    mapping = {f"{name.removesuffix('USDT')}-USDT": name for name in names}
    Symbols.set(Binance.id, mapping, {"instrument_type": dict.fromkeys(mapping, "spot"), "tick_size": {}})
    feed = Binance(symbols=list(mapping), channels=[TRADES], callbacks={TRADES: take})
    best = 0.0
    for _ in range(_ROUNDS):
        count, started = 0, time.process_time()
        for line in lines:
            await feed.message_handler(line, None, 0.0)
        best = max(best, count / (time.process_time() - started))
    if count != len(lines):
        raise SystemExit(f"{count} trades of {len(lines)} frames")
    return best


if __name__ == "__main__":
    frames = Path(sys.argv[1]).read_text().splitlines()
    symbols = sorted({json.loads(frame)["data"]["s"] for frame in frames})
    rate = asyncio.run(measure(frames, symbols))
    print(json.dumps({"version": version("cryptofeed"), "trades_per_second": rate}))

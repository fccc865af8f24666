"""Fills the books from the stores, in threads, each book once however many clients wait for it.

Reads: through the injected `MarketData`, Redis first, then the database.
"""

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from difflib import get_close_matches
from itertools import product
from typing import Any, TypeVar

from marketstream.domain.errors import StoreUnavailableError
from marketstream.domain.interval import Interval
from marketstream.serving.market_data import MarketData
from marketstream.serving.websocket.book import KEPT
from marketstream.serving.websocket.hub import Hub
from marketstream.serving.websocket.protocol import WILDCARD, Fault, RequestError
from marketstream.serving.websocket.session import Key
from marketstream.serving.websocket.updates import EVENTS, Channel, Decoder, Update

T = TypeVar("T")

_THREADS = 4
_PATIENCE_SECONDS = 10.0


class Loader:
    """Asks the stores for what was before the stream began.

    Args:
        market_data: The stores.
        decoder: Makes updates of what they hold.
        hub: Whose books are filled.
    """

    def __init__(self, market_data: MarketData, decoder: Decoder, hub: Hub) -> None:
        self._market_data = market_data
        self._decoder = decoder
        self._hub = hub
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="snapshots")
        self._loads: dict[tuple[Key, int], asyncio.Task[bool]] = {}

    async def check_known(self, symbols: Iterable[str]) -> None:
        """Goes on where every symbol is one that is configured, or was ever seen.

        Raises:
            RequestError: One is not; the message names similar ones.
        """
        named = {symbol for symbol in symbols if symbol != WILDCARD}
        if named <= self._hub.symbols:
            return
        self._hub.symbols.update(await self._run(self._market_data.symbols))
        unknown = sorted(named - self._hub.symbols)
        if unknown:
            near = {symbol: get_close_matches(symbol, self._hub.symbols, 3, 0.6) for symbol in unknown[:5]}
            hints = "; ".join(_hint(symbol, names) for symbol, names in near.items())
            raise RequestError(
                Fault.UNKNOWN_SYMBOL, f"{hints}. Nothing of the request was done", unknown=unknown[:100], similar=near
            )

    async def load(self, keys: Iterable[Key], history: int) -> bool:
        """Fills the books of these keys for snapshots of that depth; False where a store was away or slow.

        What a store could not tell is asked again with the next snapshot.
        """
        depth = 1 if history == 1 else KEPT
        tasks = [self._task(key, depth) for key in self._lacking(keys, history)]
        if not tasks:
            return True
        done, late = await asyncio.wait(tasks, timeout=_PATIENCE_SECONDS)
        return not late and all(task.result() for task in done)

    def close(self) -> None:
        """Waits for nothing that still runs."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _lacking(self, keys: Iterable[Key], history: int) -> list[Key]:
        named: dict[Key, None] = {}
        for channel, symbol in keys:
            if channel not in EVENTS:
                symbols = sorted(self._hub.symbols) if symbol == WILDCARD else [symbol]
                named.update(dict.fromkeys(product((channel,), symbols)))
        return [key for key in named if self._hub.book(*key).lacks(history)]

    def _task(self, key: Key, depth: int) -> "asyncio.Task[bool]":
        task = self._loads.get((key, depth))
        if task is None:
            task = self._loads[key, depth] = asyncio.create_task(self._fill(key, depth))
            task.add_done_callback(lambda _: self._loads.pop((key, depth), None))
        return task

    async def _fill(self, key: Key, depth: int) -> bool:
        try:
            updates, degraded = await self._run(self._read, key, depth)
        except StoreUnavailableError:
            return False
        book = self._hub.book(*key)
        if depth >= book.loaded:
            book.load(updates, 0 if degraded else depth)
        return not degraded

    def _read(self, key: Key, depth: int) -> tuple[list[Update], bool]:
        """In a thread: what the stores hold of this key, and whether one of them was away."""
        channel, symbol = key
        if channel is Channel.TICKS:
            return self._ticks(symbol, depth)
        updates: list[Update] = []
        degraded = False
        for interval in self._market_data.intervals():
            found, away = self._of_interval(channel, symbol, interval, depth)
            updates += found
            degraded = degraded or away
        return updates, degraded

    def _ticks(self, symbol: str, depth: int) -> tuple[list[Update], bool]:
        if depth == 1:
            latest = self._market_data.latest(symbol)
            return [self._decoder.of_tick(latest.data)] if latest.data else [], latest.degraded
        ticks = self._market_data.ticks(symbol, limit=depth)
        return [self._decoder.of_tick(tick) for tick in ticks.data], ticks.degraded

    def _of_interval(self, channel: Channel, symbol: str, interval: Interval, depth: int) -> tuple[list[Update], bool]:
        if channel is Channel.BARS:
            bars = self._market_data.bars(symbol, interval, limit=depth)
            return [self._decoder.of_bar(bar) for bar in bars.data], bars.degraded
        indicators = self._market_data.indicators(symbol, interval, limit=depth)
        return [self._decoder.of_indicators(each) for each in indicators.data], indicators.degraded

    async def _run(self, function: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *arguments)


def _hint(symbol: str, names: list[str]) -> str:
    return f"no symbol {symbol}" + (f": did you mean {', '.join(names)}?" if names else "")

"""Collects what the fields of one operation ask of the stores, and asks for many symbols at once.

Reads: through `MarketBatches`, in threads.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, TypeVar

from strawberry.dataloader import DataLoader

from marketstream.domain.interval import Interval
from marketstream.domain.market import Quote, Tick
from marketstream.serving.market_batches import MarketBatches, Outcomes
from marketstream.serving.market_data import Answer, MarketData
from marketstream.serving.merging import Range

T = TypeVar("T")

_THREADS = 4  # GraphQL's share of the stores' connections; the rest is REST's
Kind = Literal["ticks", "bars", "filled", "indicators"]


class Readers:
    """The stores, asked in a few threads. One process has one.

    Args:
        market_data: The stores.
    """

    def __init__(self, market_data: MarketData) -> None:
        self.market_data = market_data
        self.batches = MarketBatches(market_data)
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="graphql")

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Calls a function that blocks."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *arguments)

    def close(self) -> None:
        """Waits for nothing that still runs."""
        self._pool.shutdown(wait=False, cancel_futures=True)


@dataclass(frozen=True, slots=True)
class ListKey:
    """A list that is wanted: keys that differ in their symbol alone are read together."""

    kind: Kind
    symbol: str
    interval: Interval | None
    between: Range
    limit: int


@dataclass(frozen=True, slots=True)
class CancelledKey:
    """Of which symbol's ticks it is to be known whether they were taken back."""

    symbol: str
    between_us: tuple[int, int]


class Loaders:
    """What one operation asks. Nothing is kept: a connection's later operations ask anew.

    Args:
        readers: The stores.
    """

    def __init__(self, readers: Readers) -> None:
        self._readers = readers
        self._intervals: DataLoader[str, Sequence[Interval]] = DataLoader(self._load_intervals, cache=False)
        self._latest: DataLoader[str, Answer[Tick | None]] = DataLoader(self._load_latest, cache=False)
        self._quotes: DataLoader[str, Answer[Quote | None]] = DataLoader(self._load_quotes, cache=False)
        self._lists: DataLoader[ListKey, Answer[list[Any]]] = DataLoader(self._load_lists, cache=False)
        self._cancelled: DataLoader[CancelledKey, set[tuple[str, str]] | None] = DataLoader(
            self._load_cancelled, cache=False
        )

    def intervals(self) -> Awaitable[Sequence[Interval]]:
        """The lengths that bars have; for all that ask together at the same moment, so that they go on together."""
        return self._intervals.load("")

    def latest(self, symbol: str) -> Awaitable[Answer[Tick | None]]:
        """The symbol's newest tick."""
        return self._latest.load(symbol)

    def quote(self, symbol: str) -> Awaitable[Answer[Quote | None]]:
        """The symbol's newest quote."""
        return self._quotes.load(symbol)

    def rows(self, key: ListKey) -> Awaitable[Answer[list[Any]]]:
        """A list."""
        return self._lists.load(key)

    def cancelled(self, key: CancelledKey) -> Awaitable[set[tuple[str, str]] | None]:
        """(Provider, id) of trades that were taken back; None where nobody can tell."""
        return self._cancelled.load(key)

    async def _load_intervals(self, keys: list[str]) -> list[Any]:
        return [await self._readers.run(self._readers.market_data.intervals)] * len(keys)

    async def _load_latest(self, symbols: list[str]) -> list[Any]:
        named = list(dict.fromkeys(symbols))
        at_once = await asyncio.gather(*map(self._readers.market_data.latest_at_once, named))
        found: dict[str, Any] = {
            symbol: answer for symbol, answer in zip(named, at_once, strict=True) if answer is not None
        }
        rest = [symbol for symbol in named if symbol not in found]
        if rest:
            found |= await self._readers.run(self._readers.batches.latest, rest)
        return [found[symbol] for symbol in symbols]

    async def _load_quotes(self, symbols: list[str]) -> list[Any]:
        found = await self._readers.run(self._readers.batches.quotes, list(dict.fromkeys(symbols)))
        return [found[symbol] for symbol in symbols]

    async def _load_lists(self, keys: list[ListKey]) -> list[Any]:
        groups: dict[Hashable, dict[str, None]] = {}
        for key in keys:
            groups.setdefault(_question(key), {})[key.symbol] = None
        asked = {_question(key): key for key in keys}
        outcomes = await asyncio.gather(
            *(self._readers.run(self._read, asked[question], list(names)) for question, names in groups.items())
        )
        found = dict(zip(groups, outcomes, strict=True))
        return [found[_question(key)][key.symbol] for key in keys]

    def _read(self, key: ListKey, symbols: Sequence[str]) -> Outcomes[Any]:
        batches = self._readers.batches
        if key.kind == "ticks" or key.interval is None:
            return batches.ticks(symbols, key.between, key.limit)
        if key.kind == "indicators":
            return batches.indicators(symbols, key.interval, key.between, key.limit)
        if key.kind == "filled":
            return batches.filled(symbols, key.interval, key.between, key.limit)
        return batches.bars(symbols, key.interval, key.between, key.limit)

    async def _load_cancelled(self, keys: list[CancelledKey]) -> list[Any]:
        ranges: dict[str, tuple[int, int]] = {}
        for key in keys:
            first, end = ranges.get(key.symbol, key.between_us)
            ranges[key.symbol] = min(first, key.between_us[0]), max(end, key.between_us[1])
        found = await self._readers.run(partial(self._readers.batches.cancelled, ranges))
        return [None if found is None else found.get(key.symbol, set()) for key in keys]


def _question(key: ListKey) -> Hashable:
    return key.kind, key.interval, key.between, key.limit

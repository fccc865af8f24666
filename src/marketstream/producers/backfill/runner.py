"""Runs a backfill: page by page, symbol by symbol, and so that it can be stopped or killed anywhere and resumed.

Order of things: fetch some pages, publish them, have the broker's word, write the state. Whatever dies in between is
fetched again on resuming, and what was published of it is recognised.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from marketstream.domain.errors import Fault, ProviderError
from marketstream.ports import Frame, Provider
from marketstream.producers.backfill.request import BackfillRequest
from marketstream.producers.backfill.sinks import Batch, Sink
from marketstream.producers.backfill.state import Progress, StateFile, SymbolProgress
from marketstream.producers.past_trades import StoppedError

_BATCH_MESSAGES = 20_000
_BATCH_SECONDS = 5.0
# Pages rise, but single trades in them may be out of order by a little.
_OVERLAP_US = 10_000_000
# The provider's answer about one symbol, which says nothing about the others.
_OF_ONE_SYMBOL = {Fault.UNKNOWN_SYMBOL}
# Called after each batch with the symbol and how far it is.
Listener = Callable[[str, SymbolProgress], None]


class _Stop(Exception):  # noqa: N818  # a way out, no error
    """Told to stop."""


@dataclass(slots=True)
class Outcome:
    """How a backfill ended.

    Attributes:
        progress: By symbol.
        stopped: It was told to stop.
        faults: What the provider said of symbols that it refused.
    """

    progress: Progress
    stopped: bool = False
    faults: dict[str, str] = field(default_factory=dict)


class Backfill:
    """One backfill.

    Args:
        request: What is wanted.
        provider: Whose history is asked.
        sink: Takes the pages.
        state: Remembers how far it is.
        guard: Called before each batch; raises where publishing it is not safe.

    Attributes:
        state: Remembers how far it is.
        listener: Told of every batch.
    """

    def __init__(
        self, request: BackfillRequest, provider: Provider, sink: Sink, state: StateFile, guard: Callable[[], None]
    ) -> None:
        self._request = request
        self._provider = provider
        self._sink = sink
        self.state = state
        self._guard = guard
        self.listener: Listener = lambda _symbol, _progress: None

    def prepare(self, *, restart: bool) -> Progress:
        """Where it begins: from the saved state, or anew."""
        saved = None if restart else self.state.load()
        return saved or {symbol: SymbolProgress(self._request.start_us) for symbol in self._request.symbols}

    async def run(self, progress: Progress, stop: asyncio.Event) -> Outcome:
        """Fetches until everything is there or `stop` is set; then the pages in hand are published and remembered.

        Raises:
            ProviderError: The provider refused; what was fetched before is published and remembered.
            OSError: The network failed; the same.
            StoreUnavailableError: The database is away or its writer is behind; nothing is lost by resuming.
            BusError: Kafka is away, or doesn't take the messages.
        """
        outcome = Outcome(progress)
        try:
            await asyncio.to_thread(self.state.save, progress)
            for symbol, own in progress.items():
                if not own.done:
                    await self._symbol_or_fault(symbol, outcome, stop)
        except (_Stop, StoppedError):
            outcome.stopped = True
        finally:
            await self._provider.history.close()
        return outcome

    async def _symbol_or_fault(self, symbol: str, outcome: Outcome, stop: asyncio.Event) -> None:
        try:
            await self._symbol(symbol, outcome.progress, stop)
        except ProviderError as error:
            if error.fault not in _OF_ONE_SYMBOL:
                raise
            outcome.faults[symbol] = str(error)

    async def _symbol(self, symbol: str, progress: Progress, stop: asyncio.Event) -> None:
        end: Exception | None = None
        batch, began = self._batch(symbol), time.monotonic()
        async with aclosing(self._pages(symbol, progress[symbol].next_us)) as pages:
            while True:
                try:
                    page = await _next_page(pages, stop)
                except (ProviderError, OSError, _Stop) as error:
                    end = error
                    break
                if page is None:
                    break
                batch.add(page)
                if len(batch) >= _BATCH_MESSAGES or time.monotonic() - began > _BATCH_SECONDS:
                    await self._settle(batch, progress, stop)
                    batch, began = self._batch(symbol), time.monotonic()
        await self._settle(batch, progress, stop, done=end is None)
        if end is not None:
            raise end

    async def _settle(self, batch: Batch, progress: Progress, stop: asyncio.Event, *, done: bool = False) -> None:
        own = progress[batch.symbol]
        if len(batch):
            await asyncio.to_thread(self._guard)
            settled = await asyncio.to_thread(self._sink.put, batch, stop.is_set)
            own.published += settled.published
            own.already_there += settled.already_there
            own.refused += len(batch.refused)
            own.next_us = own.next_us if batch.last_us is None else max(own.next_us, batch.last_us)
        if done:
            own.next_us, own.done = self._request.end_us, True
        await asyncio.to_thread(self.state.save, progress)
        self.listener(batch.symbol, own)

    def _batch(self, symbol: str) -> Batch:
        return Batch(symbol, self._request.start_us, self._request.end_us)

    def _pages(self, symbol: str, start_us: int) -> AsyncGenerator[Frame, None]:
        history, request = self._provider.history, self._request
        start_us = max(request.start_us, start_us - _OVERLAP_US)
        if request.interval is None:
            return history.trades_between(symbol, start_us, request.end_us)
        return history.bars(symbol, request.interval, start_us, request.end_us)


async def _next_page(pages: AsyncGenerator[Frame, None], stop: asyncio.Event) -> Frame | None:
    """The next page; None after the last. A page that is on its way when told to stop is given up."""
    if stop.is_set():
        raise _Stop
    asking = asyncio.create_task(_anext(pages))
    stopping = asyncio.create_task(stop.wait())
    either: set[asyncio.Task[Any]] = {asking, stopping}
    try:
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if asking.done():
            return asking.result()
        raise _Stop
    finally:
        for task in either:
            task.cancel()
        await asyncio.gather(*either, return_exceptions=True)


async def _anext(pages: AsyncGenerator[Frame, None]) -> Frame | None:
    return await anext(pages, None)

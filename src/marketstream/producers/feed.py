"""Keeps one feed connected: tries, waits, tries again, and says on `feed_events` what happened."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from marketstream.contracts.messages import FeedEvent, FeedEventKind
from marketstream.domain.errors import ProviderError
from marketstream.observability import metrics
from marketstream.observability.logs import get_logger
from marketstream.ports import Clock, Provider
from marketstream.producers.backoff import Backoff
from marketstream.producers.queue import FrameQueue
from marketstream.providers.states import StateListener

_HEALTHY_SECONDS = 30.0
_logger = get_logger("producer")

# Makes a feed's adapter; the listener is told what happens to its connection.
ProviderMaker = Callable[[StateListener], Provider]


@dataclass(frozen=True, slots=True)
class _Ending:
    """How a connection ended.

    Attributes:
        detail: For a person.
        fatal: Connecting again can't help.
    """

    detail: str
    fatal: bool


class FeedReader:
    """Reads the first feed that can be used, frame by frame, into the queue.

    An error that connecting again can't help, such as a refused key, moves on to the next feed in order. After the last
    of them the first is tried again, at the slowest pace.

    Args:
        makers: The feeds' adapters in failover order.
        queue: Takes frames and feed events, in the order they happen.
        clock: Stamps feed events.
        backoff: Waiting times after errors that may pass.
        slow_retry_seconds: The wait after errors that won't.
        healthy_seconds: A connection that lived this long begins the backoff anew.
    """

    def __init__(
        self,
        makers: Sequence[ProviderMaker],
        queue: FrameQueue,
        clock: Clock,
        backoff: Backoff,
        *,
        slow_retry_seconds: float,
        healthy_seconds: float = _HEALTHY_SECONDS,
    ) -> None:
        self._providers = [make(self._tell) for make in makers]
        self._active = 0
        self._queue = queue
        self._clock = clock
        self._backoff = backoff
        self._slow_retry_seconds = slow_retry_seconds
        self._healthy_seconds = healthy_seconds

    async def run(self) -> None:
        """Reads until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            started = loop.time()
            ending = await self._connect_once()
            if loop.time() - started >= self._healthy_seconds:
                self._backoff.succeeded()
            await self._tell("fatal" if ending.fatal else "disconnected", ending.detail)
            await asyncio.sleep(self._wait_after(ending))

    async def _connect_once(self) -> _Ending:
        provider = self._providers[self._active]
        try:
            async with aclosing(provider.stream()) as frames:
                async for frame in frames:
                    await self._queue.put(frame)
        except ProviderError as error:
            return _Ending(str(error), fatal=not error.retriable)
        except OSError as error:
            return _Ending(f"{provider.name}: {error or type(error).__name__}", fatal=False)
        return _Ending(f"{provider.name}: closed by the provider", fatal=False)

    def _wait_after(self, ending: _Ending) -> float:
        if not ending.fatal:
            return self._backoff.failed()
        self._active = (self._active + 1) % len(self._providers)
        return self._slow_retry_seconds if self._active == 0 else 0.0

    async def _tell(self, kind: FeedEventKind, detail: str) -> None:
        name = self._providers[self._active].name
        attempt = self._backoff.attempt
        metrics.CONNECTIONS.labels(name, kind).inc()
        (_logger.error if kind == "fatal" else _logger.info)(kind, provider=name, detail=detail, attempt=attempt)
        event = FeedEvent(kind=kind, provider=name, detail=detail, time_us=self._clock.now_us(), attempt=attempt)
        await self._queue.put(event)

"""Stage 1's process: reads a feed, publishes what it says, watches that Kafka takes it, and stops without a loss."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

from marketstream.domain.errors import BusError
from marketstream.ports import Publisher
from marketstream.producers.failover import FailoverReader
from marketstream.producers.gaps import GapFiller
from marketstream.producers.pipeline import Pipeline
from marketstream.producers.queue import FrameQueue
from marketstream.producers.together import together

_DELIVERY_CHECK_SECONDS = 0.25
_DRAIN_SECONDS = 10.0


class ProducerService:
    """Runs until told to stop or until Kafka refuses a message.

    Args:
        readers: Fill the queue, each with a group of symbols.
        filler: Fetches what is missing.
        queue: Between readers and pipeline.
        pipeline: Empties the queue.
        publisher: The pipeline's publisher, watched and flushed here.
        drain_seconds: How long a stop may take to publish what has been read.
    """

    def __init__(
        self,
        readers: Sequence[FailoverReader],
        filler: GapFiller,
        queue: FrameQueue,
        pipeline: Pipeline,
        publisher: Publisher,
        *,
        drain_seconds: float = _DRAIN_SECONDS,
    ) -> None:
        self._readers = readers
        self.filler = filler
        self._queue = queue
        self._pipeline = pipeline
        self._publisher = publisher
        self._drain_seconds = drain_seconds

    async def run(self, stop: asyncio.Event) -> None:
        """Reads and publishes until `stop` is set, then publishes what has been read, waits for Kafka and returns.

        Raises:
            BusError: Kafka refused a message, or didn't take everything in time on stopping.
        """
        reading = asyncio.create_task(self._read())
        working = [asyncio.create_task(self._publish()), asyncio.create_task(self._watch_delivery())]
        try:
            await _first_of(stop.wait(), [reading, *working], timeout_seconds=None)
            reading.cancel()
            await asyncio.wait([reading])
            if not await _first_of(self._queue.drained(), working, timeout_seconds=self._drain_seconds):
                raise BusError(
                    f"stopped with {len(self._queue)} frames read but not published: Kafka did not take them"
                )
        finally:
            for task in (reading, *working):
                task.cancel()
            await asyncio.gather(reading, *working, return_exceptions=True)
        remaining = await asyncio.to_thread(self._publisher.flush, self._drain_seconds)
        if remaining:
            raise BusError(f"stopped with {remaining} messages that Kafka has not acknowledged")

    async def _read(self) -> None:
        try:
            await together(self.filler.run(), *(reader.run() for reader in self._readers))
        finally:
            for reader in self._readers:
                for provider in reader.providers:
                    await provider.history.close()

    async def _publish(self) -> None:
        while True:
            item = await self._queue.get()
            await self._pipeline.take(item)
            self._queue.done(item)

    async def _watch_delivery(self) -> None:
        """Lets delivery reports in, also while nothing is published, so that a refusal ends the process."""
        while True:
            await asyncio.sleep(_DELIVERY_CHECK_SECONDS)
            self._publisher.flush(0)


async def _first_of(
    goal: Coroutine[Any, Any, Any], workers: list[asyncio.Task[None]], *, timeout_seconds: float | None
) -> bool:
    """Waits for the goal; raises what a worker raises meanwhile. Returns whether the goal was reached in time."""
    waiting = asyncio.ensure_future(goal)
    try:
        done, _ = await asyncio.wait({waiting, *workers}, timeout=timeout_seconds, return_when=asyncio.FIRST_COMPLETED)
        for task in done - {waiting}:
            task.result()
        return waiting in done
    finally:
        waiting.cancel()

"""Brings what is new on the topics into the event loop, from a thread of its own.

Reads: the topics of `Decoder.topics`.
"""

import asyncio
import threading
from collections.abc import Callable, Sequence

from marketstream.bus.live import LiveReader
from marketstream.domain.errors import BusError
from marketstream.observability.logs import get_logger
from marketstream.ports import Message

_MESSAGES = 200  # at once, so that the loop is never busy with one batch for long
_POLL_SECONDS = 0.25
_RETRY_SECONDS = 1.0
_STOP_SECONDS = 8.0

_log = get_logger("websocket")


class Source:
    """Polls the reader; at most two batches wait for the loop, the rest waits at the broker.

    Args:
        reader: Reads the topics.
        take: Takes a batch, in the loop.
        loop: Where `take` is called.
    """

    def __init__(
        self, reader: LiveReader, take: Callable[[Sequence[Message]], None], loop: asyncio.AbstractEventLoop
    ) -> None:
        self._reader = reader
        self._take = take
        self._loop = loop
        self._room = threading.Semaphore(2)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kafka", daemon=True)
        self._failed = False

    @property
    def away(self) -> bool:
        """Whether nothing can come because Kafka is away."""
        return self._reader.away or not self._thread.is_alive()

    def start(self) -> None:
        """Begins to read."""
        self._thread.start()

    def stop(self) -> None:
        """Ends it."""
        self._stop.set()
        self._room.release()
        self._thread.join(_STOP_SECONDS)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                messages = self._reader.poll(_MESSAGES, _POLL_SECONDS)
            except BusError as error:
                if not self._failed:
                    _log.warning("Kafka can't be read; trying again until it can", error=str(error))
                self._failed = True
                self._stop.wait(_RETRY_SECONDS)
                continue
            if self._failed:
                _log.info("Kafka is read again")
                self._failed = False
            if messages:
                self._room.acquire()
                if not self._stop.is_set():
                    self._loop.call_soon_threadsafe(self._hand_over, messages)
        self._reader.close()

    def _hand_over(self, messages: Sequence[Message]) -> None:
        try:
            self._take(messages)
        finally:
            self._room.release()

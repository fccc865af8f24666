"""Replaces a connection whose end is known beforehand, without a break: the next one delivers before the last closes.

While both deliver, trades come twice; whoever reads them drops the second by its id.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass

from marketstream.domain.errors import ProviderError
from marketstream.observability.logs import get_logger
from marketstream.ports import Frame

_WAITING_FRAMES = 64
# Between two replacements that were not planned: the first wait, doubling up to the second.
_RETRY_SECONDS = (1.0, 30.0)
_logger = get_logger("feeds")


class Expiring:
    """What a connection yields when the provider says that it is about to close it."""


EXPIRING = Expiring()
# One connection: its frames, and `EXPIRING` whenever the provider says so.
Connect = Callable[[], AsyncGenerator[Frame | Expiring, None]]
_Reader = asyncio.Task[None]


@dataclass(frozen=True, slots=True)
class _Ended:
    """The end of a connection; `error` is None where it ended in good order."""

    error: Exception | None


_Queue = asyncio.Queue[tuple[_Reader, Frame | Expiring | _Ended]]


async def rotated(
    connect: Connect, *, after_seconds: float, overlap_seconds: float = 2.0
) -> AsyncGenerator[Frame, None]:
    """Yields the frames of one connection after the other.

    The next connection is opened once the present one is `after_seconds` old, or at once when it says `EXPIRING`. When
    the next has delivered its first frame, the old one stays `overlap_seconds` longer, so that what is on its way
    arrives. An old connection that ends or fails once its replacement is under way is of no consequence. A replacement
    that fails is tried again after 1 s, then ever later up to 30 s or as late as the provider asks, for as long as the
    old connection lives; one that has delivered nothing when its own replacement is due gives way to that.

    Args:
        connect: Opens a connection.
        after_seconds: Age at which a connection is replaced.
        overlap_seconds: How long both deliver.

    Raises:
        ProviderError: The last connection there was failed.
        OSError: The same, by the network.
    """
    queue: _Queue = asyncio.Queue(_WAITING_FRAMES)
    rotation = _Rotation(connect, queue, after_seconds, overlap_seconds)
    try:
        rotation.open_next()
        while True:
            reader, what = await queue.get() if queue.empty() else queue.get_nowait()
            if isinstance(what, Frame):
                rotation.delivered(reader)
                yield what
            elif isinstance(what, Expiring):
                rotation.expires(reader)
            elif rotation.ended(reader, what.error):
                if what.error is not None:
                    raise what.error
                return
    finally:
        await rotation.close()


class _Rotation:
    """The connections of one rotated stream.

    At most two are in use, the later of which has not delivered yet; besides them, some may be retiring.
    """

    def __init__(self, connect: Connect, queue: _Queue, after_seconds: float, overlap_seconds: float) -> None:
        self._connect = connect
        self._queue = queue
        self._after_seconds = after_seconds
        self._overlap_seconds = overlap_seconds
        self._loop = asyncio.get_running_loop()
        self._in_use: list[_Reader] = []
        self._retiring: dict[_Reader, asyncio.TimerHandle] = {}
        self._next: asyncio.TimerHandle | None = None
        self._hurried = False
        self._earliest = 0.0
        self._pause = _RETRY_SECONDS[0]

    def open_next(self) -> None:
        """Opens another connection beside the present one, and plans the one after it."""
        if len(self._in_use) > 1:
            self._retire(self._in_use.pop())
        reader = self._loop.create_task(self._read())
        self._in_use.append(reader)
        self._hurried = False
        self._plan(self._loop.time() + self._after_seconds)

    def delivered(self, reader: _Reader) -> None:
        """Notes a frame: the newest connection's first retires the one before."""
        if len(self._in_use) > 1 and reader is self._in_use[-1]:
            self._retire(self._in_use.pop(0))

    def expires(self, reader: _Reader) -> None:
        """Opens a replacement, unless there is or will soon be one."""
        if reader is self._in_use[-1] and not self._hurried:
            self._hurry(0.0)

    def ended(self, reader: _Reader, error: Exception | None) -> bool:
        """Notes the end of a connection; whether it was the last in use."""
        if (timer := self._retiring.pop(reader, None)) is not None:
            timer.cancel()
        if reader not in self._in_use:
            return False
        was_newest = reader is self._in_use[-1]
        self._in_use.remove(reader)
        if self._in_use and was_newest:
            _logger.warning("a replacement failed, the old connection goes on", reason=str(error or "it was closed"))
            wait = error.retry_after_seconds if isinstance(error, ProviderError) else None
            self._hurry(max(_RETRY_SECONDS[0], wait or 0.0))
        return not self._in_use

    async def close(self) -> None:
        """Closes all connections; returns when they are."""
        if self._next is not None:
            self._next.cancel()
        for timer in self._retiring.values():
            timer.cancel()
        readers = [*self._in_use, *self._retiring]
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)

    def _plan(self, when: float) -> None:
        if self._next is not None:
            self._next.cancel()
        self._next = self._loop.call_at(when, self.open_next)

    def _hurry(self, wait_seconds: float) -> None:
        """Opens the next connection before its time, yet never storms a provider that ends each at once."""
        now = self._loop.time()
        if now > self._earliest + _RETRY_SECONDS[1]:
            self._pause = _RETRY_SECONDS[0]
        when = max(now + wait_seconds, self._earliest)
        self._earliest = when + self._pause
        self._pause = min(2 * self._pause, _RETRY_SECONDS[1])
        if when <= now:
            self.open_next()
            return
        self._hurried = True
        self._plan(when)

    def _retire(self, reader: _Reader) -> None:
        self._retiring[reader] = self._loop.call_later(self._overlap_seconds, self._end, reader)

    def _end(self, reader: _Reader) -> None:
        reader.cancel()
        # Kept until it has closed its connection, so that `close` waits for that.
        reader.add_done_callback(lambda ended: self._retiring.pop(ended, None))

    async def _read(self) -> None:
        """Moves frames into the queue, and at last what ended the connection."""
        reader = asyncio.current_task()
        if reader is None:
            raise RuntimeError("runs as a task only")
        error: Exception | None = None
        try:
            async with aclosing(self._connect()) as connection:
                async for what in connection:
                    await self._queue.put((reader, what))
        except Exception as raised:  # handed on to the reader of the queue, which raises it if it matters
            error = raised
        await self._queue.put((reader, _Ended(error)))

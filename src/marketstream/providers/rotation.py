"""Replaces a connection whose end is known beforehand, without a break: the next one delivers before the last closes.

While both deliver, trades come twice; whoever reads them drops the second by its id.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass

from marketstream.ports import Frame

_WAITING_FRAMES = 64
_RETRY_SECONDS = 30.0


class Expiring:
    """What a connection yields when the provider says that it is about to close it."""


EXPIRING = Expiring()
# One connection: its frames, and `EXPIRING` at most once.
Connect = Callable[[], AsyncGenerator[Frame | Expiring, None]]


@dataclass(frozen=True, slots=True)
class _Item:
    """Something that a connection did.

    Attributes:
        source: The connection's reader.
        what: A frame or notice; what ended the connection: an error, or None.
    """

    source: "asyncio.Task[None]"
    what: Frame | Expiring | Exception | None


async def rotated(
    connect: Connect, *, after_seconds: float, overlap_seconds: float = 2.0
) -> AsyncGenerator[Frame, None]:
    """Yields the frames of one connection after the other.

    The next connection is opened once the present one is `after_seconds` old or says `EXPIRING`. When the next has
    delivered its first frame, the old one stays `overlap_seconds` longer, so that what is on its way arrives. An old
    connection that ends or fails in the meantime is of no consequence.

    Args:
        connect: Opens a connection.
        after_seconds: Age at which a connection is replaced.
        overlap_seconds: How long both deliver.

    A replacement that can't be opened is tried again every 30 s for as long as the old connection lives.

    Raises:
        ProviderError: The connection in use failed.
        OSError: The same, by the network.
    """
    queue: asyncio.Queue[_Item] = asyncio.Queue(_WAITING_FRAMES)
    rotation = _Rotation(connect, queue, after_seconds, overlap_seconds)
    try:
        rotation.open_next()
        while True:
            item = await rotation.next_item()
            if item is None:
                rotation.open_next()
                continue
            if isinstance(item.what, Frame):
                rotation.delivered(item.source)
                yield item.what
            elif isinstance(item.what, Expiring):
                if item.source is rotation.newest:
                    rotation.open_next()
            elif rotation.ended(item.source):
                if item.what is not None:
                    raise item.what
                return
    finally:
        await rotation.close()


class _Rotation:
    """The connections of one rotated stream, oldest first."""

    def __init__(
        self, connect: Connect, queue: "asyncio.Queue[_Item]", after_seconds: float, overlap_seconds: float
    ) -> None:
        self._connect = connect
        self._queue = queue
        self._after_seconds = after_seconds
        self._overlap_seconds = overlap_seconds
        self._readers: list[asyncio.Task[None]] = []
        self._retiring: set[asyncio.Task[None]] = set()
        self._due = 0.0

    @property
    def newest(self) -> "asyncio.Task[None]":
        """The reader of the connection opened last."""
        return self._readers[-1]

    def open_next(self) -> None:
        """Opens another connection beside the present one."""
        reader = asyncio.create_task(self._read())
        self._readers.append(reader)
        self._due = asyncio.get_running_loop().time() + self._after_seconds

    async def next_item(self) -> _Item | None:
        """What happens next; None when the present connection has reached its age."""
        try:
            async with asyncio.timeout_at(self._due):
                return await self._queue.get()
        except TimeoutError:
            return None

    def delivered(self, source: "asyncio.Task[None]") -> None:
        """Notes a frame: the newest connection's first retires those before it, after the overlap."""
        if len(self._readers) == 1 or source is not self.newest:
            return
        loop = asyncio.get_running_loop()
        for reader in self._readers[:-1]:
            self._retiring.add(reader)
            loop.call_later(self._overlap_seconds, reader.cancel)
        self._readers = [self.newest]

    def ended(self, source: "asyncio.Task[None]") -> bool:
        """Notes the end of a connection; whether it was the last one there is."""
        if source in self._readers:
            replacement_failed = source is self.newest
            self._readers.remove(source)
            if replacement_failed:
                self._due = asyncio.get_running_loop().time() + min(_RETRY_SECONDS, self._after_seconds)
        return not self._readers

    async def close(self) -> None:
        """Closes all connections."""
        readers = [*self._readers, *self._retiring]
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)

    async def _read(self) -> None:
        reader = asyncio.current_task()
        assert reader is not None  # noqa: S101  # always run as a task, by open_next
        end: Exception | None = None
        try:
            async with aclosing(self._connect()) as connection:
                async for what in connection:
                    await self._queue.put(_Item(reader, what))
        except Exception as error:  # handed on to the reader of the queue, which raises it if it matters
            end = error
        await self._queue.put(_Item(reader, end))

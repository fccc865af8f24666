"""The bounded queue between the socket and Kafka: bounded in frames and in bytes, so that memory is."""

import asyncio

from marketstream.producers.items import Item, size_of

MAX_WAITING_BYTES = 64 * 1024 * 1024


class FrameQueue:
    """First in, first out; `put` returns once there is room for more, and so the socket waits.

    An item is inside before `put` waits: cancelling a waiting `put` loses nothing, and one item more than the bound may
    be inside.

    Args:
        max_frames: How many items may wait.
        max_bytes: How many bytes of frames may wait.
    """

    def __init__(self, max_frames: int, max_bytes: int = MAX_WAITING_BYTES) -> None:
        self._items: asyncio.Queue[Item] = asyncio.Queue()
        self._max_frames = max_frames
        self._max_bytes = max_bytes
        self._bytes = 0
        self._has_room = asyncio.Event()
        self._has_room.set()

    def __len__(self) -> int:
        return self._items.qsize()

    async def put(self, item: Item) -> None:
        """Adds an item, then waits for room."""
        self._items.put_nowait(item)
        self._bytes += size_of(item)
        if self._is_full():
            self._has_room.clear()
        await self._has_room.wait()

    async def get(self) -> Item:
        """Takes the oldest item; say `done` when it is dealt with."""
        return await self._items.get()

    def done(self, item: Item) -> None:
        """The item taken is dealt with."""
        self._bytes -= size_of(item)
        self._items.task_done()
        if not self._is_full():
            self._has_room.set()

    async def drained(self) -> None:
        """Returns when everything put in is dealt with."""
        await self._items.join()

    def _is_full(self) -> bool:
        return self._items.qsize() >= self._max_frames or self._bytes >= self._max_bytes

"""Joins several connections of one provider into one stream of frames."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from marketstream.ports import Frame

_WAITING_FRAMES = 64
_Queue = asyncio.Queue[Frame | Exception | None]


async def merge(streams: Sequence[AsyncGenerator[Frame, None]]) -> AsyncGenerator[Frame, None]:
    """Yields frames as they come, each stream's in its own order, until the first stream ends or raises.

    Few frames wait here: a slow reader slows down every socket. All streams are closed when this one is.
    """
    if len(streams) == 1:
        async with aclosing(streams[0]) as only:
            async for frame in only:
                yield frame
        return
    queue: _Queue = asyncio.Queue(_WAITING_FRAMES)
    readers = [asyncio.create_task(_read(stream, queue)) for stream in streams]
    try:
        while (item := await queue.get() if queue.empty() else queue.get_nowait()) is not None:
            if isinstance(item, Exception):
                raise item
            yield item
    finally:
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)


async def _read(stream: AsyncGenerator[Frame, None], queue: _Queue) -> None:
    """Moves frames into the queue, and at last what ended the stream: an error, or None."""
    end: Exception | None = None
    try:
        async with aclosing(stream) as opened:
            async for frame in opened:
                await queue.put(frame)
    except Exception as error:  # handed on to the reader of the queue, which raises it
        end = error
    await queue.put(end)

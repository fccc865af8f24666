"""The queue is bounded in frames and bytes, and loses nothing to a cancelled `put`."""

import asyncio

import pytest

from marketstream.ports import Frame
from marketstream.producers.queue import FrameQueue


def frame(size: int = 1) -> Frame:
    return Frame(b"x" * size, 0, ())


async def is_stuck(task: asyncio.Task[None]) -> bool:
    done, _ = await asyncio.wait([task], timeout=0.02)
    return not done


@pytest.mark.parametrize(("queue", "item"), [(FrameQueue(3), frame()), (FrameQueue(1_000, max_bytes=300), frame(100))])
async def test_a_full_queue_makes_put_wait(queue: FrameQueue, item: Frame) -> None:
    await queue.put(item)
    await queue.put(item)
    third = asyncio.create_task(queue.put(item))
    assert await is_stuck(third)
    queue.done(await queue.get())
    async with asyncio.timeout(5):
        await third


async def test_a_cancelled_put_loses_nothing() -> None:
    queue = FrameQueue(1)
    waiting = asyncio.create_task(queue.put(frame()))
    assert await is_stuck(waiting)
    waiting.cancel()
    assert len(queue) == 1
    assert await queue.get() == frame()


async def test_drained_means_dealt_with() -> None:
    queue = FrameQueue(10)
    await queue.put(frame())
    drained = asyncio.create_task(queue.drained())
    item = await queue.get()
    assert await is_stuck(drained)
    queue.done(item)
    async with asyncio.timeout(5):
        await drained

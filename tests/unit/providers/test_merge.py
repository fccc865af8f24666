"""Several connections as one stream."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from marketstream.ports import Frame
from marketstream.providers.merge import merge


class Source:
    """A connection with so many frames, which then ends, fails or stays."""

    def __init__(self, name: str, count: int, end: Exception | None = None, *, stays: bool = False) -> None:
        self.name, self.count, self.end, self.stays = name, count, end, stays
        self.given = 0
        self.closed = False

    async def frames(self) -> AsyncGenerator[Frame, None]:
        try:
            for number in range(self.count):
                self.given += 1
                yield Frame(f"{self.name}{number}".encode(), 0, ())
                await asyncio.sleep(0)
            if self.end:
                raise self.end
            if self.stays:
                await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            self.closed = True


async def read(*sources: Source, limit: int | None = None) -> list[str]:
    heard: list[str] = []
    async with aclosing(merge([source.frames() for source in sources])) as frames, asyncio.timeout(10):
        async for frame in frames:
            heard.append(frame.raw.decode())
            if len(heard) == limit:
                break
    return heard


def assert_all_closed(*sources: Source) -> None:
    assert all(source.closed for source in sources)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_one_stream_passes_through() -> None:
    source = Source("a", 100)
    assert await read(source) == [f"a{number}" for number in range(100)]
    assert_all_closed(source)


async def test_each_streams_frames_keep_their_order() -> None:
    sources = [Source(name, 200, stays=True) for name in "abc"]
    heard = await read(*sources, limit=600)
    for source in sources:
        assert [name for name in heard if name[0] == source.name] == [f"{source.name}{n}" for n in range(200)]
    assert_all_closed(*sources)


async def test_the_end_of_one_ends_all() -> None:
    sources = [Source("a", 3), Source("b", 0, stays=True)]
    assert await read(*sources) == ["a0", "a1", "a2"]
    assert_all_closed(*sources)


@pytest.mark.parametrize("count", [1, 2])
async def test_the_error_of_one_is_raised_and_closes_all(count: int) -> None:
    sources = [Source("a", 3, OSError("broken")), Source("b", 0, stays=True)][:count]
    with pytest.raises(OSError, match="broken"):
        await read(*sources)
    assert_all_closed(*sources)


async def test_a_reader_that_leaves_closes_all() -> None:
    sources = [Source("a", 1_000), Source("b", 1_000)]
    assert len(await read(*sources, limit=5)) == 5
    assert_all_closed(*sources)
    assert sum(source.given for source in sources) < 200


async def test_a_cancelled_reader_closes_all() -> None:
    sources = [Source("a", 1, stays=True), Source("b", 1, stays=True)]
    task = asyncio.create_task(read(*sources))
    for _ in range(20):
        await asyncio.sleep(0)
    assert [source.given for source in sources] == [1, 1]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert_all_closed(*sources)

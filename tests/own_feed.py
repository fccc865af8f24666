"""A replay server in a test's own process, for tests that must hold it or disturb it from its first trade on."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from marketstream.ports import Clock
from marketstream.testing.replay.server import ReplayServer


class HeldClock(Clock):
    """Stands still until released: at a pace a market waits with it, whoever listens already."""

    def __init__(self) -> None:
        self._held_us = time.time_ns() // 1_000
        self._released_ns: int | None = None

    def now_us(self) -> int:
        released_ns = self._released_ns
        return self._held_us + (0 if released_ns is None else (time.monotonic_ns() - released_ns) // 1_000)

    def release(self) -> None:
        self._released_ns = time.monotonic_ns()


@contextmanager
def listening(
    server: ReplayServer, meanwhile: Callable[[ReplayServer], Awaitable[None]] | None = None
) -> Iterator[ReplayServer]:
    """Runs the server, and `meanwhile` beside it, in a thread."""
    loop, stop, listens = asyncio.new_event_loop(), asyncio.Event(), threading.Event()

    async def serve() -> None:
        async with server:
            listens.set()
            if meanwhile is not None:
                await meanwhile(server)
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert listens.wait(30)
        yield server
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(30)
        loop.close()


def played_by(server: ReplayServer) -> int:
    """How many trades it has played."""
    return sum(one["played"] for one in server.history.summary().values())

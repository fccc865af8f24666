"""The connected clients, and when a market that waits for them may go on."""

import asyncio
from collections.abc import Iterator

from marketstream.testing.replay.listener import Listener


class Audience:
    """All connected clients.

    Args:
        settle_seconds: How long subscriptions must have been unchanged before a market that nobody heard goes on, so
            that a client which subscribes in several messages misses nothing.
    """

    def __init__(self, settle_seconds: float) -> None:
        self._settle_seconds = settle_seconds
        self._listeners: dict[Listener, None] = {}
        self._changed = asyncio.Event()

    def __iter__(self) -> Iterator[Listener]:
        return iter(tuple(self._listeners))

    def add(self, listener: Listener) -> None:
        """A client connected."""
        self._listeners[listener] = None
        self._changed.set()

    def remove(self, listener: Listener) -> None:
        """A client left."""
        self._listeners.pop(listener, None)
        listener.close()
        self._changed.set()

    def change(self) -> None:
        """A client may have subscribed to something else."""
        self._changed.set()

    def of(self, provider: str | None) -> list[Listener]:
        """Clients of one protocol or of all."""
        return [each for each in self if provider in (None, each.conversation.provider)]

    def subscribed(self) -> list[Listener]:
        """Clients that wait for trades."""
        return [listener for listener in self._listeners if listener.waits]

    async def gathered(self) -> None:
        """Returns once somebody waits for trades and nobody has changed their mind for a moment."""
        while True:
            self._changed.clear()
            limit = self._settle_seconds if self.subscribed() else None
            try:
                async with asyncio.timeout(limit):
                    await self._changed.wait()
            except TimeoutError:
                return

"""The connected clients, and the two ways trades reach them: waiting for each, or not."""

import asyncio
from collections.abc import Iterator

from websockets.asyncio.server import ServerConnection, broadcast
from websockets.exceptions import ConnectionClosed

from marketstream.observability.logs import get_logger
from marketstream.testing.replay.conversation import Batch, Conversation

SLOW_CLIENT_BYTES = 64 * 1024 * 1024
_log = get_logger("replay")


class Listener:
    """A connected client and its conversation."""

    def __init__(self, connection: ServerConnection, conversation: Conversation) -> None:
        self.connection = connection
        self.conversation = conversation

    async def deliver(self, batch: Batch) -> int:
        """Sends a batch at the client's own pace; returns how many trades are done, fewer if the connection ended."""
        passed = 0
        try:
            for outgoing in self.conversation.frames(batch):
                await self.connection.send(outgoing.frame, text=True)
                passed = outgoing.passed
        except ConnectionClosed:
            return passed
        return len(batch.trades)

    def push(self, batch: Batch) -> None:
        """Sends a batch without waiting; a client that has fallen hopelessly behind is cut off, as providers do."""
        for outgoing in self.conversation.frames(batch):
            self.inject(outgoing.frame, text=True)
        if self.connection.transport.get_write_buffer_size() > SLOW_CLIENT_BYTES:
            _log.warning("cut off a slow client", provider=self.conversation.provider)
            self.drop()

    def inject(self, frame: str | bytes, *, text: bool) -> None:
        """Sends any frame without waiting."""
        broadcast((self.connection,), frame, text=text)

    def drop(self) -> None:
        """Breaks the connection off, without a closing handshake."""
        self.connection.transport.abort()


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
        self._changed.set()

    def change(self) -> None:
        """A client may have subscribed to something else."""
        self._changed.set()

    def subscribed(self) -> list[Listener]:
        """Clients that wait for trades."""
        return [listener for listener in self._listeners if listener.conversation.subscribed]

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

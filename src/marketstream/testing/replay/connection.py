"""A WebSocket connection whose wire can fail: nothing written for a while, or neither read nor written any more."""

import asyncio
from typing import Any

from websockets.asyncio.server import ServerConnection


class FaultyConnection(ServerConnection):
    """The server's end of a connection; takes `ServerConnection`'s arguments.

    Attributes:
        flowing: Set unless what is sent, answers to pings included, waits for `resume`.
        half_open: Whether it only looks open, for good.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.flowing = asyncio.Event()
        self.flowing.set()
        self.half_open = False

    def stall(self) -> None:
        """From now on, what is sent waits."""
        self.flowing.clear()

    def resume(self) -> None:
        """Sends what waited, all at once."""
        self.flowing.set()
        self.send_data()

    def go_half_open(self) -> None:
        """From now on nothing is read, written or answered; `transport.abort` ends it."""
        self.half_open = True
        self.transport.pause_reading()

    def send_data(self) -> None:
        """Writes what the protocol has to send, unless the wire fails."""
        if self.flowing.is_set() and not self.half_open:
            super().send_data()

    def data_received(self, data: bytes) -> None:
        """Reads, unless the wire fails; what still came after `pause_reading` is nobody's."""
        if not self.half_open:
            super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """The wire is gone; nobody waits for it any more."""
        self.flowing.set()
        super().connection_lost(exc)

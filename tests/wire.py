"""Raw clients of the replay server: what a provider's protocol is on the wire, without our adapters."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
from websockets.asyncio.client import ClientConnection, connect

from marketstream.testing.replay import ReplayServer


async def hear(socket: ClientConnection) -> Any:
    """The next frame, parsed."""
    async with asyncio.timeout(10):
        return orjson.loads(await socket.recv())


async def tell(socket: ClientConnection, **message: Any) -> Any:
    """Sends a message; returns the next frame, parsed."""
    await socket.send(orjson.dumps(message), text=True)
    return await hear(socket)


async def until(condition: Callable[[], object]) -> None:
    """Returns once the condition holds."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  # what is waited for is the server's state, which has no event
            await asyncio.sleep(0.005)


async def silence(socket: ClientConnection, seconds: float = 0.15) -> bool:
    """Whether nothing comes for a while."""
    try:
        async with asyncio.timeout(seconds):
            await socket.recv()
    except TimeoutError:
        return True
    return False


@asynccontextmanager
async def polygon(server: ReplayServer, channels: str = "T.*") -> AsyncIterator[ClientConnection]:
    """A client that has subscribed to channels of the Polygon protocol."""
    async with connect(server.url_polygon) as socket:
        assert (await hear(socket))[0]["status"] == "connected"
        assert (await tell(socket, action="auth", params="key"))[0]["status"] == "auth_success"
        assert (await tell(socket, action="subscribe", params=channels))[0]["status"] == "success"
        yield socket


async def hear_polygon(socket: ClientConnection, count: int) -> list[dict[str, Any]]:
    """Events of the Polygon protocol, at least so many."""
    events: list[dict[str, Any]] = []
    while len(events) < count:
        events += await hear(socket)
    return events


@asynccontextmanager
async def binance(server: ReplayServer, *symbols: str) -> AsyncIterator[ClientConnection]:
    """A client of the Binance protocol, which gets each trade in a frame of its own."""
    streams = "/".join(f"{symbol.lower()}@aggTrade" for symbol in symbols)
    async with connect(f"{server.url_binance}/ws/{streams}") as socket:
        yield socket

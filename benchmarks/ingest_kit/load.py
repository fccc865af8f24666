"""The load's process: a WebSocket server that sends pre-encoded frames, as fast as they are taken or at a pace.

Says on its standard output, one JSON object a line, where it listens, when it began to send and what it has sent.
"""

import argparse
import asyncio
import itertools
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from websockets.asyncio.server import ServerConnection, serve

sys.path.insert(0, str(Path(__file__).parent))
import frames

_CHUNK_FRAMES = 50
_BUFFER_BYTES = 1 << 20
_TICK_SECONDS = 0.01


def say(**what: object) -> None:
    """Tells the benchmark."""
    print(json.dumps(what), flush=True)


def now_ms() -> int:
    """Wall clock."""
    return time.time_ns() // 1_000_000


def encoded(kind: str, names: list[str], ticks: int) -> list[bytes]:
    """All frames, in chunks; the trades are a second's to every hundred thousand."""
    start = now_ms()
    times = (start + number // 100 for number in itertools.count())
    wire: Iterator[bytes] = map(frames.framed, frames.payloads(kind, names, 0, ticks, times))
    chunks = []
    while chunk := b"".join(itertools.islice(wire, _CHUNK_FRAMES)):
        chunks.append(chunk)
    return chunks


async def drained(connection: ServerConnection, limit: int = _BUFFER_BYTES) -> None:
    """Waits until what waits for the client is little enough."""
    while connection.transport.get_write_buffer_size() > limit:  # noqa: ASYNC110  # the buffer has no event
        await asyncio.sleep(0.001)


async def flood(connection: ServerConnection, chunks: list[bytes], ticks: int) -> None:
    """Sends everything as fast as it is taken."""
    say(began=time.time())
    for chunk in chunks:
        connection.transport.write(chunk)
        await drained(connection)
    say(sent=ticks)


async def pace(connection: ServerConnection, options: argparse.Namespace, names: list[str]) -> None:
    """Sends so many ticks a second, stamped with the moment they are sent."""
    say(began=time.time())
    sent, began = 0, time.monotonic()
    while sent < options.ticks:
        due = min(options.ticks, int((time.monotonic() - began) * options.rate) // 10 * 10)
        if due > sent:
            stamped = itertools.repeat(now_ms())
            batch = frames.payloads(options.kind, names, sent, due - sent, stamped)
            connection.transport.write(b"".join(map(frames.framed, batch)))
            sent = due
            await drained(connection)
        await asyncio.sleep(_TICK_SECONDS)
    say(sent=sent)


async def greet(connection: ServerConnection, names: list[str]) -> None:
    """Polygon's handshake, until every symbol is subscribed to."""

    async def status(name: str, message: str) -> None:
        await connection.send(json.dumps([{"ev": "status", "status": name, "message": message}]))

    await status("connected", "Connected Successfully")
    await connection.recv()
    await status("auth_success", "authenticated")
    wanted: set[str] = set()
    while len(wanted) < len(names):
        asked = json.loads(await connection.recv())["params"].split(",")
        wanted.update(asked)
        await connection.send(
            json.dumps([{"ev": "status", "status": "success", "message": f"subscribed to: {each}"} for each in asked])
        )


async def main(options: argparse.Namespace) -> None:
    """Serves one client, and stays until it is ended."""
    names = frames.symbols(options.kind, options.symbols, options.run)
    chunks = [] if options.rate else encoded(options.kind, names, options.ticks)

    async def handle(connection: ServerConnection) -> None:
        if options.kind == "polygon":
            await greet(connection, names)
        await (pace(connection, options, names) if options.rate else flood(connection, chunks, options.ticks))
        await connection.wait_closed()

    async with serve(handle, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
        say(port=next(iter(server.sockets)).getsockname()[1])
        await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", choices=frames.KINDS, required=True)
    parser.add_argument("--symbols", type=int, required=True)
    parser.add_argument("--run", type=int, required=True, help="each has symbols of its own")
    parser.add_argument("--ticks", type=int, required=True)
    parser.add_argument("--rate", type=float, default=0, help="ticks a second; 0 for as fast as taken")
    asyncio.run(main(parser.parse_args()))

"""A load of HTTP requests at a steady rate, timed from the moment each was due.

On uvloop and httptools, which cost the machine about a tenth of what the usual clients do. Open loop: a request that is
due while every connection is busy waits, and its wait counts, so that a server's pause is not left out of its figures.
"""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import httptools
import uvloop


@dataclass(slots=True)
class Load:
    """What came of it.

    Attributes:
        rate: Requests a second, as offered.
        seconds: From the first request that was due until the last answer.
        milliseconds: Of each request, from when it was due until its answer was whole.
        failures: Answers by a status other than 200.
        bytes: Received.
    """

    rate: float
    seconds: float = 0.0
    milliseconds: list[float] = field(default_factory=list)
    failures: int = 0
    bytes: int = 0


def offer(host: str, port: int, requests: Sequence[bytes], rate: float, connections: int) -> Load:
    """Sends the requests in order, `rate` a second, over so many connections."""
    return uvloop.run(_Run(requests, rate).run(host, port, connections))


def request(path: str, headers: str = "") -> bytes:
    """A GET as it goes over the wire."""
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n".encode()


class _Run:
    def __init__(self, requests: Sequence[bytes], rate: float) -> None:
        self._requests = requests
        self._gap = 1 / rate
        self._free: list[_Connection] = []
        self._waiting: deque[tuple[bytes, float]] = deque()
        self._over = asyncio.Event()
        self.load = Load(rate)

    async def run(self, host: str, port: int, connections: int) -> Load:
        loop = asyncio.get_running_loop()
        opened = [await loop.create_connection(lambda: _Connection(self), host, port) for _ in range(connections)]
        self._free = [protocol for _, protocol in opened]
        started = time.perf_counter()
        due = started
        for each in self._requests:
            if (pause := due - time.perf_counter()) > 0:
                await asyncio.sleep(pause)
            self._send(each, due)
            due += self._gap
        await self._over.wait()
        self.load.seconds = time.perf_counter() - started
        for transport, _ in opened:
            transport.close()
        return self.load

    def _send(self, each: bytes, due: float) -> None:
        if self._free:
            self._free.pop().send(each, due)
        else:
            self._waiting.append((each, due))

    def done(self, connection: "_Connection", due: float, status: int, size: int) -> None:
        self.load.milliseconds.append((time.perf_counter() - due) * 1_000)
        self.load.failures += status != 200
        self.load.bytes += size
        if len(self.load.milliseconds) == len(self._requests):
            self._over.set()
        if self._waiting:
            connection.send(*self._waiting.popleft())
        else:
            self._free.append(connection)


class _Connection(asyncio.Protocol):
    def __init__(self, run: _Run) -> None:
        self._run = run
        self._transport: asyncio.Transport
        self._parser = httptools.HttpResponseParser(self)
        self._due = 0.0
        self._size = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class

    def send(self, each: bytes, due: float) -> None:
        self._due = due
        self._transport.write(each)

    def data_received(self, data: bytes) -> None:
        self._size += len(data)
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        size, self._size = self._size, 0
        status = self._parser.get_status_code()
        self._parser = httptools.HttpResponseParser(self)
        self._run.done(self, self._due, status, size)

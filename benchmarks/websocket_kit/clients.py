"""The load: many WebSocket clients in one process, cheap enough not to be what is measured.

Speaks the protocol over plain sockets: what the server sends is unmasked and whole, so a frame costs a few lookups.
Prints one JSON object: the delay of every tick delivered in the measured time as percentiles, and whether each
client's numbers had a hole.
"""

import argparse
import asyncio
import base64
import gc
import json
import os
import random
import resource
import time
from typing import Any

import orjson
import uvloop

_FIELD = b'"received_time_us":'
_DIGITS = 16  # of a time in µs, until the year 2286
PERCENTILES = (50, 90, 95, 99, 99.9)


class Load(asyncio.Protocol):
    """One client: subscribes to some symbols and notes how late each tick is."""

    delays: list[int]
    measuring = False

    def __init__(self, symbols: list[str], options: argparse.Namespace, *, deaf: bool) -> None:
        self._symbols = symbols
        self._options = options
        self._deaf = deaf
        self._buffer = bytearray()
        self._upgraded = False
        self._seq: int | None = None
        self.subscribed = False
        self.holes = 0
        self.said: dict[str, int] = {}

    def connection_made(self, transport: Any) -> None:
        """Begins the handshake."""
        self.transport = transport
        key = base64.b64encode(os.urandom(16)).decode()
        transport.write(
            f"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        """Takes what came; all that is whole in it."""
        now_us = time.time_ns() // 1_000
        self._buffer += data
        if not self._upgraded:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            del self._buffer[: end + 4]
            self._upgraded = True
            self._subscribe()
        self._frames(now_us)

    def _subscribe(self) -> None:
        wish = {"type": "subscribe", "symbols": self._symbols, "channels": ["ticks"]}
        if self._options.conflate:
            wish["conflate_ms"] = self._options.conflate
        self._write(orjson.dumps(wish), 0x81)

    def _write(self, payload: bytes, opcode: int) -> None:
        size = len(payload)
        head = bytes((opcode, 0x80 | size)) if size < 126 else bytes((opcode, 0xFE)) + size.to_bytes(2, "big")
        self.transport.write(head + b"\0\0\0\0" + payload)  # a mask of zeros changes nothing

    def _frames(self, now_us: int) -> None:
        buffer, position = self._buffer, 0
        while len(buffer) - position >= 2:
            size, start = buffer[position + 1], position + 2
            if size == 126:
                size, start = int.from_bytes(buffer[position + 2 : position + 4], "big"), position + 4
            elif size == 127:
                size, start = int.from_bytes(buffer[position + 2 : position + 10], "big"), position + 10
            if len(buffer) < start + size:
                break
            self._frame(buffer[position], bytes(buffer[start : start + size]), now_us)
            position = start + size
        del buffer[:position]

    def _frame(self, opcode: int, payload: bytes, now_us: int) -> None:
        if opcode == 0x89:
            self._write(payload, 0x8A)
        elif payload.startswith(b'{"type":"updates","seq":'):
            self._updates(payload, now_us)
        elif opcode == 0x81:
            said = orjson.loads(payload)
            self.said[said["type"]] = self.said.get(said["type"], 0) + 1
            if said["type"] == "snapshot":
                self._seq = said["seq"]
            elif said["type"] == "subscribed":
                self.subscribed = True
                if self._deaf:
                    self.transport.pause_reading()

    def _updates(self, payload: bytes, now_us: int) -> None:
        seq = int(payload[24 : payload.index(b",", 24)])
        count, at = 0, payload.find(_FIELD)
        while at >= 0:
            at += len(_FIELD)
            count += 1
            if Load.measuring:
                Load.delays.append(now_us - int(payload[at : at + _DIGITS]))
            at = payload.find(_FIELD, at)
        if self._seq is not None and seq - count != self._seq:
            self.holes += 1
        self._seq = seq


async def run(options: argparse.Namespace) -> dict[str, object]:
    """Connects everybody, waits, measures."""
    chance = random.Random(1)  # noqa: S311  # a load, no secret
    symbols = options.symbols.split(",")
    loop = asyncio.get_running_loop()
    Load.delays = []
    loads: list[Load] = []
    for number in range(options.clients + options.deaf):
        load = Load(chance.sample(symbols, options.each), options, deaf=number >= options.clients)
        await loop.create_connection(lambda load=load: load, "127.0.0.1", options.port)
        loads.append(load)
    while not all(load.subscribed for load in loads):  # noqa: ASYNC110  # a count over a thousand connections
        await asyncio.sleep(0.05)
    gc.collect()
    gc.freeze()
    await asyncio.sleep(options.warm_up)
    began, used = time.perf_counter(), time.process_time()
    Load.measuring = True
    await asyncio.sleep(options.seconds)
    Load.measuring = False
    took, used = time.perf_counter() - began, time.process_time() - used
    ordered = sorted(Load.delays)
    return {
        "deliveries_per_second": len(ordered) / took,
        "ms": {
            f"p{each:g}": ordered[min(len(ordered) - 1, int(len(ordered) * each / 100))] / 1e3 for each in PERCENTILES
        },
        "max_ms": ordered[-1] / 1e3,
        "holes": sum(load.holes for load in loads[: options.clients]),
        "load_cores": used / took,
        "said": {kind: sum(load.said.get(kind, 0) for load in loads) for kind in ("error", "lagging", "closing")},
    }


def main() -> None:
    """Runs the load and prints what it saw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--symbols", required=True)
    parser.add_argument("--clients", type=int, default=1_000)
    parser.add_argument("--each", type=int, default=10)
    parser.add_argument("--deaf", type=int, default=0)
    parser.add_argument("--conflate", type=int, default=0)
    parser.add_argument("--warm-up", type=float, default=5)
    parser.add_argument("--seconds", type=float, default=20)
    options = parser.parse_args()
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    print(json.dumps(uvloop.run(run(options))), flush=True)


if __name__ == "__main__":
    main()

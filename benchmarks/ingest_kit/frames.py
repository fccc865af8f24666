"""WebSocket frames of made-up trades, encoded before anything is timed; the standard library alone.

Trades of all symbols take turns. Each has a time of its own, and its symbol's next number without a hole.
"""

import struct
from collections.abc import Iterator

KINDS = ("polygon", "binance")
_POLYGON = '{"ev":"T","sym":"%s","x":4,"i":"%d","z":3,"p":114.125,"s":100,"c":[0,12],"t":%d,"q":%d}'
_BINANCE = (
    '{"stream":"%s@aggTrade","data":{"e":"aggTrade","E":%d,"s":"%s","a":%d,"p":"37421.12000000",'
    '"q":"0.01240000","f":%d,"l":%d,"T":%d,"m":true,"M":true}}'
)


def symbols(kind: str, count: int, run: int = 0) -> list[str]:
    """Names that the kind's provider carries, others for every run: what a producer recovers of them is nothing."""
    return [f"R{run}S{number:03d}" + ("USDT" if kind == "binance" else "") for number in range(count)]


def payloads(kind: str, names: list[str], first: int, count: int, times_ms: Iterator[int]) -> Iterator[bytes]:
    """Frames of the trades `[first, first + count)`: ten to a Polygon frame, one to a Binance frame.

    Args:
        kind: Whose frames.
        names: The symbols.
        first: The first trade's number.
        count: How many trades, a multiple of ten.
        times_ms: Each trade's time.
    """
    numbered = zip(range(first, first + count), times_ms, strict=False)
    if kind == "polygon":
        events = (_polygon(number, time_ms, names) for number, time_ms in numbered)
        while ten := [event for _, event in zip(range(10), events, strict=False)]:
            yield ("[" + ",".join(ten) + "]").encode()
    else:
        for number, time_ms in numbered:
            yield _binance(number, time_ms, names).encode()


def framed(payload: bytes) -> bytes:
    """An unmasked text frame, as a server sends it (RFC 6455, 5.2)."""
    size = len(payload)
    if size < 126:
        return bytes((0x81, size)) + payload
    head = struct.pack(">BBH", 0x81, 126, size) if size < 65_536 else struct.pack(">BBQ", 0x81, 127, size)
    return head + payload


def _polygon(number: int, time_ms: int, names: list[str]) -> str:
    place = number // len(names) + 1
    return _POLYGON % (names[number % len(names)], place, time_ms, place)


def _binance(number: int, time_ms: int, names: list[str]) -> str:
    symbol, place = names[number % len(names)], number // len(names) + 1
    return _BINANCE % (symbol.lower(), time_ms, symbol, place, place, place, time_ms)

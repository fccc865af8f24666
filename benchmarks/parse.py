"""Trades per second through the parsers, on one core, against bare JSON decoding of the same frames.

`python benchmarks/parse.py [--seconds 3] [--trades 10] [--json]`. "parsed" is `parse_frame`: JSON, every check, ticks.
"judged" adds the validator, "encoded" the message for Kafka. The peer decodes with orjson and builds the same ticks
from plain dictionaries, checking only what `Tick` checks by itself; msgspec decodes into typed structures where it is
installed. Seconds are of processor time, so that whatever else runs on the machine counts little.
"""

import argparse
import importlib.util
import itertools
import json
import time
from collections.abc import Callable, Sequence
from typing import Any

import orjson

from marketstream.contracts.messages import encode
from marketstream.domain.market import Tick
from marketstream.domain.outcomes import Parsed
from marketstream.producers.validation import TickValidator, Verdict
from marketstream.providers.binance import parse as binance
from marketstream.providers.polygon import parse as polygon

NOW_US = 1_700_000_000_000_000
SYMBOLS = [f"SYM{number}" for number in range(20)]
FRAMES = 2_000


def polygon_frames(trades_per_frame: int) -> list[bytes]:
    """Array frames as Massive sends them."""
    numbers = itertools.count()
    return [orjson.dumps([_polygon_trade(next(numbers)) for _ in range(trades_per_frame)]) for _ in range(FRAMES)]


def binance_frames() -> list[bytes]:
    """Combined-stream frames of one aggregate trade."""
    return [
        orjson.dumps(
            {
                "stream": "btcusdt@aggTrade",
                "data": {
                    "e": "aggTrade",
                    "E": NOW_US // 1_000 + number,
                    "s": SYMBOLS[number % len(SYMBOLS)],
                    "a": number,
                    "p": "37421.12000000",
                    "q": "0.01240000",
                    "f": number,
                    "l": number,
                    "T": NOW_US // 1_000 + number,
                    "m": True,
                    "M": True,
                },
            }
        )
        for number in range(FRAMES)
    ]


def _polygon_trade(number: int) -> dict[str, Any]:
    return {
        "ev": "T",
        "sym": SYMBOLS[number % len(SYMBOLS)],
        "x": 4,
        "i": str(12_345 + number),
        "z": 3,
        "p": 114.125,
        "s": 100,
        "c": [0, 12],
        "t": NOW_US // 1_000 + number,
        "q": 3_681_328 + number,
    }


def plain(raw: bytes, received_time_us: int) -> Sequence[Parsed]:
    """The peer: orjson and dictionaries, nothing checked but what `Tick` checks by itself."""
    return [
        Tick(
            symbol=trade["sym"],
            price=trade["p"],
            size=trade["s"],
            event_time_us=trade["t"] * 1_000,
            received_time_us=received_time_us,
            provider="polygon",
            trade_id=f"{trade['x']}-{trade['i']}",
            sequence=trade["q"],
            exchange=str(trade["x"]),
            conditions=tuple(map(str, trade["c"])),
        )
        for trade in orjson.loads(raw)
    ]


class Judge:
    """Parses and validates; begins anew with the first frame, or every trade after one round were a duplicate."""

    def __init__(self, frames: list[bytes]) -> None:
        self._first = frames[0]
        self._validator = TickValidator(SYMBOLS, 10)

    def __call__(self, raw: bytes) -> list[Tick]:
        """The frame's accepted ticks."""
        if raw is self._first:
            self._validator = TickValidator(SYMBOLS, 10)
        ticks = [tick for tick in polygon.parse_frame(raw, NOW_US) if isinstance(tick, Tick)]
        return [tick for tick in ticks if self._validator.judge(tick, NOW_US) is Verdict.ACCEPTED]


def rate(work: Callable[[bytes], object], frames: list[bytes], trades_per_frame: int, seconds: float) -> float:
    """Trades per second of processor time, the best of the rounds over all frames that fit into `seconds`."""
    best = 0.0
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        started = time.process_time()
        for frame in frames:
            work(frame)
        best = max(best, len(frames) * trades_per_frame / (time.process_time() - started))
    return best


def msgspec_decoder() -> Callable[[bytes], object] | None:
    """A typed msgspec decoder of Polygon frames; None where msgspec is not installed."""
    if importlib.util.find_spec("msgspec") is None:
        return None
    msgspec: Any = importlib.import_module("msgspec")
    array: Any = list
    fields = [("sym", str), ("p", float), ("s", float), ("t", int), ("i", str), ("x", int), ("q", int), ("c", list)]
    decoder = msgspec.json.Decoder(array[msgspec.defstruct("Trade", fields)])
    decode: Callable[[bytes], object] = decoder.decode
    return decode


def measure(trades_per_frame: int, seconds: float) -> dict[str, float]:
    """Every figure, in trades per second."""
    frames = polygon_frames(trades_per_frame)

    judge = Judge(frames)
    works: dict[str, Callable[[bytes], object]] = {
        "polygon parsed": lambda raw: polygon.parse_frame(raw, NOW_US),
        "polygon parsed, judged": judge,
        "polygon parsed, judged, encoded": lambda raw: [encode(tick) for tick in judge(raw)],
        "peer: orjson, dicts, ticks": lambda raw: plain(raw, NOW_US),
        "peer: orjson alone": orjson.loads,
    }
    if (decode := msgspec_decoder()) is not None:
        works["peer: msgspec structs alone"] = decode
    figures = {name: rate(work, frames, trades_per_frame, seconds) for name, work in works.items()}
    single = binance_frames()
    figures["binance parsed"] = rate(lambda raw: binance.parse_frame(raw, NOW_US), single, 1, seconds)
    return figures


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="for each figure")
    parser.add_argument("--trades", type=int, default=10, help="in each Polygon frame")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures = measure(options.trades, options.seconds)
    if options.json:
        print(json.dumps({name: round(figure) for name, figure in figures.items()}))
        return
    for name, figure in figures.items():
        print(f"{name:34}{figure:>12,.0f} trades/s")


if __name__ == "__main__":
    main()

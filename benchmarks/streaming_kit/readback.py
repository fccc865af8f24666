"""Reads the bars an engine has put out and holds them against the recomputation.

Reads: any topic whose messages have the fields of `domain.market.Bar`; of several versions of a bar the one with the
most trades counts, and messages with a `diff` below zero (an engine's retractions) are left out.
"""

from dataclasses import dataclass

import orjson
import polars as pl
from confluent_kafka import Consumer, TopicPartition

from marketstream.settings import Settings

KEY = ("symbol", "interval", "start_us")
_EXACT = ("open", "high", "low", "close", "trade_count")
_RELATIVE = {"volume": 1e-12, "vwap": 1e-9}
_FIELDS = (*KEY, *_EXACT, *_RELATIVE)
_SHOWN = 3


@dataclass(frozen=True)
class Comparison:
    """How an engine's bars compare with the expected ones.

    Attributes:
        bars: How many were expected.
        missing: How many of them are not there, or lack trades.
        different: How many differ in another field.
        examples: Some of those, in words.
    """

    bars: int
    missing: int
    different: int
    examples: list[str]

    @property
    def equal(self) -> bool:
        """Whether every bar is there and as expected."""
        return not self.missing and not self.different


class Output:
    """What an engine puts out on its topics.

    Args:
        settings: Where the broker is.
        topics: The engine's.
    """

    def __init__(self, settings: Settings, topics: tuple[str, ...]) -> None:
        self._consumer = Consumer(
            {"bootstrap.servers": settings.kafka.bootstrap_servers, "group.id": "readback", "log_level": 0}
        )
        self._places = [TopicPartition(topic, n, 0) for topic in topics for n in range(settings.kafka.partitions)]
        self._consumer.assign(self._places)
        self._newest: dict[tuple[str, str, int], dict[str, object]] = {}
        self.read = 0

    def total(self) -> int:
        """How many messages there are."""
        return sum(self._consumer.get_watermark_offsets(place, timeout=10)[1] for place in self._places)

    def catch_up(self) -> None:
        """Reads all that is there."""
        total = self.total()
        while self.read < total:
            for message in self._consumer.consume(20_000, timeout=1.0):
                if message.error() is None:
                    self._take(orjson.loads(message.value() or b""))

    def compare(self, expected: pl.DataFrame) -> Comparison:
        """Holds what was read against the expected bars."""
        rows = [[bar[name] for name in _FIELDS] for bar in self._newest.values()]
        numbers = dict.fromkeys(("open", "high", "low", "close", *_RELATIVE), pl.Float64)
        schema = {name: expected.schema.get(name) or numbers[name] for name in _FIELDS}
        actual = pl.DataFrame(rows, schema=schema, orient="row", strict=False)
        joined = expected.join(actual, on=KEY, how="left", suffix="_made")
        short = pl.col("trade_count_made").is_null() | (pl.col("trade_count_made") < pl.col("trade_count"))
        unequal = pl.any_horizontal(
            *(pl.col(name) != pl.col(f"{name}_made") for name in _EXACT),
            *((pl.col(name) - pl.col(f"{name}_made")).abs() > pl.col(name).abs() * t for name, t in _RELATIVE.items()),
        )
        different = joined.filter(~short & unequal)
        examples = [str(row) for row in different.head(_SHOWN).iter_rows(named=True)]
        return Comparison(len(expected), len(joined.filter(short)), len(different), examples)

    def close(self) -> None:
        """Disconnects."""
        self._consumer.close()

    def _take(self, bar: dict[str, object]) -> None:
        self.read += 1
        if int(str(bar.get("diff", 1))) < 0:
            return
        key = (str(bar["symbol"]), str(bar["interval"]), int(str(bar["start_us"])))
        known = self._newest.get(key)
        if known is None or int(str(bar["trade_count"])) >= int(str(known["trade_count"])):
            self._newest[key] = bar

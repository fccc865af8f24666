"""How long messages take from stage to stage, seen where they are stored: an even sample of every batch."""

import time
from collections.abc import Iterable, Sequence
from typing import TypeVar

from marketstream.observability.metrics import KAFKA_TO_STORE_SECONDS, RECEIVED_TO_KAFKA_SECONDS
from marketstream.ports import Message
from marketstream.storage.decoding import Decoded

SAMPLE = 16  # of each kind in a batch: enough for percentiles over a minute, and no cost worth measuring
T = TypeVar("T")


def observe_stored(writer: str, batch: Sequence[Message]) -> None:
    """Tells how long ago the messages of a batch, stored just now, were put on Kafka."""
    now_ms = time.time() * 1_000
    histogram = KAFKA_TO_STORE_SECONDS.labels(writer)
    for message in sampled(batch):
        histogram.observe(max(0.0, now_ms - message.timestamp_ms) / 1_000)


def observe_received(decoded: Decoded) -> None:
    """Tells how long after the trades were received what came of them was on Kafka.

    A final bar counts apart: it waits for trades that may be late, and is told long after its last one.
    """
    bars = decoded.bars
    _observe("tick", ((message, tick.received_time_us) for message, tick in sampled(decoded.ticks)))
    for kind, chosen in (
        ("provider_bar", [pair for pair in bars if pair[1].provider]),
        ("final_bar", [pair for pair in bars if pair[1].final and not pair[1].provider]),
        ("bar", [pair for pair in bars if not pair[1].final and not pair[1].provider]),
    ):
        _observe(kind, ((message, bar.last_received_time_us) for message, bar in sampled(chosen)))
    told = sampled([pair for pair in decoded.indicators if not pair[1].final])
    _observe("indicators", ((message, each.last_received_time_us) for message, each in told))


def sampled(items: Sequence[T]) -> Sequence[T]:
    """At most `SAMPLE` of them, evenly spread."""
    return items[:: -(-len(items) // SAMPLE)] if items else items


def _observe(kind: str, received: Iterable[tuple[Message, int]]) -> None:
    histogram = RECEIVED_TO_KAFKA_SECONDS.labels(kind)
    for message, received_us in received:
        histogram.observe(max(0.0, message.timestamp_ms / 1_000 - received_us / 1_000_000))

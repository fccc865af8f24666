"""The same bars in Quix Streams: three tumbling windows of one topic, one process of as many as there are cores.

Reads: topic `tick_data`. Writes: the topic named. As its documentation has it: windows closed by each key's own time,
`.final()` results only, state in RocksDB with changelog topics, JSON by orjson. Ended by SIGTERM.
"""

import sys
from typing import Any

import orjson
from folding import INTERVALS_US, first, fold, message, say_began
from quixstreams import Application
from quixstreams.models import BytesDeserializer, TimestampType

_GRACE_MS = 10_000


def read(value: bytes, *_: Any) -> dict[str, Any]:
    """A trade."""
    say_began()
    tick: dict[str, Any] = orjson.loads(value)
    return tick


def event_time_ms(value: bytes, _headers: Any, _timestamp: float, _kind: TimestampType) -> int:
    """When the trade happened."""
    marker = b'"event_time_us":'
    begin = value.index(marker) + len(marker)
    return int(value[begin : value.index(b",", begin)]) // 1_000


def main(servers: str, output: str, folder: str) -> None:
    """Runs until told to stop."""
    application = Application(
        broker_address=servers,
        consumer_group="quix",
        auto_offset_reset="earliest",
        state_dir=folder,
        loglevel="WARNING",
    )
    source = application.topic(
        "tick_data", value_deserializer=BytesDeserializer(), timestamp_extractor=event_time_ms, key_deserializer="str"
    )
    bars = application.topic(output, value_serializer="bytes", key_serializer="str")
    ticks = application.dataframe(source).apply(read)
    for interval, length_us in INTERVALS_US.items():
        windows = ticks.tumbling_window(length_us // 1_000, grace_ms=_GRACE_MS, name=interval)
        closed = windows.reduce(reducer=fold, initializer=first).final(closing_strategy="key")
        closed.apply(finished(interval), metadata=True).to_topic(bars)
    application.run()


def finished(interval: str) -> Any:
    """Makes a closed window a message."""

    def make(window: dict[str, Any], key: str, _timestamp: int, _headers: Any) -> bytes:
        return orjson.dumps(message(key, interval, window["start"] * 1_000, window["value"]))

    return make


if __name__ == "__main__":
    main(*sys.argv[1:4])

"""The same bars in Bytewax: three `fold_window` steps of one topic, in as many worker processes as there are cores.

Reads: topic `tick_data`. Writes: the topic named. As its documentation has it: event clock, tumbling windows, recovery
snapshots every 10 s where the runner is given a recovery directory. Ends at the end of the topic.
"""

import os
from datetime import UTC, datetime, timedelta
from typing import Any

import bytewax.operators as op
import orjson
from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage, KafkaSource
from bytewax.dataflow import Dataflow, Stream
from bytewax.operators import windowing
from folding import INTERVALS_US, first, fold, message, say_began

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CLOCK = windowing.EventClock(
    ts_getter=lambda tick: datetime.fromtimestamp(tick["event_time_us"] / 1_000_000, UTC),
    wait_for_system_duration=timedelta(seconds=10),
)


def read(raw: Any) -> tuple[str, dict[str, Any]]:
    """A trade, keyed by its symbol."""
    say_began()
    tick = orjson.loads(raw.value)
    return tick["symbol"], tick


def folded(bar: list[Any] | None, tick: dict[str, Any]) -> list[Any]:
    """One more trade; the first finds no bar."""
    return fold(bar, tick) if bar else first(tick)


def never(_one: Any, _other: Any) -> Any:
    """Tumbling windows never merge."""
    raise NotImplementedError


def finished(interval: str) -> Any:
    """Makes a closed window a message."""
    length_us = INTERVALS_US[interval]

    def make(item: tuple[str, tuple[int, list[Any]]]) -> KafkaSinkMessage[bytes, bytes]:
        symbol, (_, bar) = item
        value = message(symbol, interval, bar[0] // length_us * length_us, bar)
        return KafkaSinkMessage(symbol.encode(), orjson.dumps(value))

    return make


def dataflow(servers: str, output: str) -> Dataflow:
    """The whole flow."""
    flow = Dataflow("bars")
    raw = op.input("ticks", flow, KafkaSource([servers], ["tick_data"], tail=False, batch_size=2_000))
    ticks = op.map("read", raw, read)
    bars: list[Stream[Any]] = []
    for interval, length_us in INTERVALS_US.items():
        windower = windowing.TumblingWindower(length=timedelta(microseconds=length_us), align_to=_EPOCH)
        closed = windowing.fold_window(interval, ticks, _CLOCK, windower, list, folded, never, ordered=False)
        bars.append(op.map(f"{interval}_message", closed.down, finished(interval)))
    op.output("bars", op.merge("all", *bars), KafkaSink([servers], output))
    return flow


flow = dataflow(os.environ["BENCHMARK_SERVERS"], os.environ["BENCHMARK_OUTPUT"])

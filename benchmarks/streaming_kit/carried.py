"""The load that real-time mode carries: ticks at a steady rate, and whether bars keep up with them.

Writes: topic `tick_data`. Reads: the bars' topics, afterwards.
"""

import itertools
import statistics
import time
from dataclasses import dataclass

import orjson
from confluent_kafka import Consumer, TopicPartition
from streaming_kit.backlog import put
from streaming_kit.engines import Engine, Running

from marketstream.bus.publisher import KafkaPublisher
from marketstream.domain.market import Tick
from marketstream.settings import Settings
from marketstream.testing.platform import eventually

_BEHIND_MS = 1_000.0
_SETTLE_SECONDS = 5.0


@dataclass(frozen=True)
class Carried:
    """How bars followed ticks that came at a steady rate.

    Attributes:
        rate: Ticks a second.
        first_ms: Median milliseconds from a tick's hand-over to Kafka until its bar was there, in the first third.
        last_ms: The same in the last third.
        p99_ms: The 99th percentile of the last third.
    """

    rate: float
    first_ms: float
    last_ms: float
    p99_ms: float

    @property
    def behind(self) -> bool:
        """Whether bars came later and later, or over a second late."""
        return self.last_ms > _BEHIND_MS or self.last_ms > 3 * self.first_ms + 100


class Pace:
    """Publishes ticks of some symbols at a steady rate, stamped with the moment they are handed over."""

    def __init__(self, settings: Settings, symbols: int) -> None:
        self._publisher = KafkaPublisher(settings.kafka.bootstrap_servers)
        self._symbols = [f"S{number:05d}" for number in range(symbols)]
        self._numbers = itertools.count()

    def run(self, rate: float, seconds: float) -> None:
        """Returns when so many seconds' ticks are out."""
        begun = time.monotonic()
        sent = 0
        while sent < rate * seconds:
            for _ in range(int(min(time.monotonic() - begun, seconds) * rate) - sent):
                put(self._publisher, self._tick())
                sent += 1
            time.sleep(0.001)
        self._publisher.flush(10)

    def _tick(self) -> Tick:
        number, now_us = next(self._numbers), time.time_ns() // 1_000
        return Tick(
            symbol=self._symbols[number % len(self._symbols)],
            price=100 + number % 7,
            size=1.5,
            event_time_us=now_us,
            received_time_us=now_us,
            provider="binance",
            trade_id=str(number),
            sequence=number,
        )


def carried(process: Running, engine: Engine, pace: Pace, settings: Settings, rate: float, seconds: float) -> Carried:
    """Sends ticks at this rate for a while and looks how late their bars were."""
    starts = ends_of(settings, engine.topics)
    pace.run(rate, seconds)
    eventually(lambda: _settled(settings, engine.topics), within_seconds=600, what="no more bars")
    if process.ended:
        raise RuntimeError(f"the job ended: {process.log.read_text()[-2_000:]}")
    delays = read_delays(settings, starts)
    third = len(delays) // 3
    last = sorted(delays[-third:])
    return Carried(rate, statistics.median(delays[:third]), statistics.median(last), last[int(len(last) * 0.99)])


def _settled(settings: Settings, topics: tuple[str, ...]) -> bool:
    before = ends_of(settings, topics)
    time.sleep(_SETTLE_SECONDS)
    return ends_of(settings, topics) == before


def ends_of(settings: Settings, topics: tuple[str, ...]) -> dict[tuple[str, int], int]:
    """Where the topics' partitions end now."""
    consumer = Consumer({"bootstrap.servers": settings.kafka.bootstrap_servers, "group.id": "carried"})
    places = [TopicPartition(topic, number) for topic in topics for number in range(settings.kafka.partitions)]
    ends = {(each.topic, each.partition): consumer.get_watermark_offsets(each, timeout=10)[1] for each in places}
    consumer.close()
    return ends


def read_delays(settings: Settings, starts: dict[tuple[str, int], int]) -> list[float]:
    """Milliseconds from each bar's newest tick to the bar's message, in the order of the messages' times."""
    consumer = Consumer({"bootstrap.servers": settings.kafka.bootstrap_servers, "group.id": "carried"})
    ends = ends_of(settings, tuple({topic for topic, _ in starts}))
    consumer.assign([TopicPartition(*place, offset) for place, offset in starts.items()])
    wanted = sum(ends.values()) - sum(starts.values())
    found: list[tuple[int, float]] = []
    while len(found) < wanted:
        for message in consumer.consume(20_000, timeout=1.0):
            if message.error() is None:
                at_ms = message.timestamp()[1]
                found.append((at_ms, at_ms - orjson.loads(message.value() or b"")["last_received_time_us"] / 1_000))
    consumer.close()
    return [delay for _, delay in sorted(found)]

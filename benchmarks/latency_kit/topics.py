"""What is on the topics afterwards: messages with Kafka's times, bars and indicators as watches, finals.

Reads: any topic; `aggregated_data_*`, `technical_indicators`.
"""

from collections.abc import Sequence

from confluent_kafka import Consumer, TopicPartition
from latency_kit.looks import Watch

from marketstream.domain.indicators import Indicators
from marketstream.domain.market import Bar, Tick
from marketstream.settings import Settings

_WINDOW_US = 60_000_000


def read_topic(settings: Settings, topic: str, since_us: int) -> list[tuple[int, bytes]]:
    """Everything on a topic since a moment: (Kafka's create time in ms, value)."""
    consumer = Consumer({"bootstrap.servers": settings.kafka.bootstrap_servers, "group.id": "latency-benchmark"})
    partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    starts = consumer.offsets_for_times(
        [TopicPartition(topic, partition, since_us // 1_000) for partition in partitions], timeout=10
    )
    ends = {p: consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=10)[1] for p in partitions}
    consumer.assign(starts)
    waiting = {start.partition for start in starts if 0 <= start.offset < ends[start.partition]}
    messages = []
    while waiting:
        for message in consumer.consume(5_000, timeout=1):
            if message.error() is None:
                messages.append((message.timestamp()[1], message.value()))
                if message.offset() >= ends[message.partition()] - 1:
                    waiting.discard(message.partition())
    consumer.close()
    return messages


def watches_of(items: Sequence[tuple[int, Bar | Indicators]], symbols: Sequence[str]) -> dict[str, Watch]:
    """Each symbol's provisional bars (or their indicators), as if seen at the moment Kafka has them."""
    watches = {symbol: Watch() for symbol in symbols}
    for at_ms, item in sorted(items, key=lambda each: each[0]):
        if not item.final and item.symbol in watches:
            watches[item.symbol].look((item.start_us, item.trade_count), at_ms * 1_000)
    return watches


def ordinals(ticks: list[Tick]) -> dict[tuple[str, int], tuple[int, int]]:
    """For each (symbol, sequence): its bar's start and the bar's trade count once it is in."""
    counted: dict[tuple[str, int], int] = {}
    found = {}
    for tick in sorted(ticks, key=lambda tick: tick.order):
        start = tick.event_time_us - tick.event_time_us % 60_000_000
        counted[tick.symbol, start] = counted.get((tick.symbol, start), 0) + 1
        found[tick.symbol, tick.sequence] = (start, counted[tick.symbol, start])
    return found


def final_delays(
    bars: Sequence[tuple[int, Bar]], ticks: Sequence[Tick], lateness_us: int, *, since_us: int
) -> list[float]:
    """Milliseconds from the socket of the trade that showed that a bar's lateness has passed to its final in Kafka."""
    passed: dict[tuple[str, int], int] = {}  # (symbol, end) -> when its first trade past the end and lateness came
    for tick in sorted(ticks, key=lambda each: each.received_time_us):
        end_us = (tick.event_time_us - lateness_us) // _WINDOW_US * _WINDOW_US
        passed.setdefault((tick.symbol, end_us), tick.received_time_us)
    return [
        at_ms - passed[bar.symbol, bar.end_us] / 1_000
        for at_ms, bar in bars
        if bar.final and not bar.revision and passed.get((bar.symbol, bar.end_us), 0) >= since_us
    ]

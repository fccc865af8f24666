"""After a restart, reads back what was published last, so that trades a provider sends again are recognised.

Reads: `tick_data`, the tail of each partition, without a consumer group.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from marketstream.contracts.messages import decode_tick
from marketstream.contracts.topics import TICKS
from marketstream.domain.errors import BusError
from marketstream.domain.market import Tick
from marketstream.observability.logs import get_logger

_FIRST_MESSAGES = 5_000
_MOST_MESSAGES = 80_000
_TIMEOUT_SECONDS = 20.0
_SETTLE_SECONDS = 10.0
_logger = get_logger("recovery")


@dataclass
class _Tail:
    """What has been read of one partition, and what is needed yet.

    Attributes:
        low: First offset that still exists.
        next_end: Everything from here to the partition's end has been read.
        wanted: How many messages the next step back takes.
    """

    partition: int
    low: int
    next_end: int
    taken: int = 0
    wanted: int = _FIRST_MESSAGES
    oldest_us: dict[str, int] = field(default_factory=dict)
    newest_us: dict[str, int] = field(default_factory=dict)

    def note(self, tick: Tick) -> None:
        time_us, symbol = tick.event_time_us, tick.symbol
        self.oldest_us[symbol] = min(time_us, self.oldest_us.get(symbol, time_us))
        self.newest_us[symbol] = max(time_us, self.newest_us.get(symbol, time_us))

    def is_enough(self, lateness_us: int) -> bool:
        """Whether nothing further back can be in time.

        Whatever stands before an accepted tick of time e is of time e + lateness at most, or that tick had been late.
        So a tick more than two latenesses behind its symbol's newest closes the search for that symbol.
        """
        if self.next_end <= self.low or self.taken >= _MOST_MESSAGES:
            return True
        return bool(self.newest_us) and all(
            self.newest_us[symbol] - oldest > 2 * lateness_us for symbol, oldest in self.oldest_us.items()
        )


def read_recent_ticks(bootstrap_servers: str, lateness_seconds: float) -> list[Tick]:
    """The newest ticks on `tick_data`: per symbol those that may still be in time, and more.

    At least the last 5,000 messages of each partition are read, at most the last 80,000 or so.

    Raises:
        BusError: The broker is away.
    """
    settings = {
        "bootstrap.servers": bootstrap_servers,
        "group.id": "marketstream-recovery",
        "enable.auto.commit": False,
    }
    consumer = Consumer({**settings, "enable.partition.eof": False, "auto.offset.reset": "earliest"})
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    try:
        ticks: list[Tick] = []
        for tail in _tails(consumer):
            while not tail.is_enough(round(lateness_seconds * 1_000_000)):
                ticks += _step_back(consumer, tail, deadline)
        return ticks
    except KafkaException as error:
        raise BusError(f"Kafka at {bootstrap_servers}: {error}") from error
    finally:
        consumer.close()


# A topic that was made a moment ago has no leader yet, and the broker says so instead of waiting.
@retry(
    retry=retry_if_exception_type(KafkaException),
    stop=stop_after_delay(_SETTLE_SECONDS),
    wait=wait_fixed(0.1),
    reraise=True,
)
def _tails(consumer: Consumer) -> list[_Tail]:
    topic = consumer.list_topics(TICKS, timeout=10).topics[TICKS]
    if topic.error is not None:
        raise KafkaException(topic.error)
    tails = []
    for partition in topic.partitions:
        low, high = consumer.get_watermark_offsets(TopicPartition(TICKS, partition), timeout=10)
        tails.append(_Tail(partition, low, high))
    return tails


def _step_back(consumer: Consumer, tail: _Tail, deadline: float) -> list[Tick]:
    start = max(tail.low, tail.next_end - tail.wanted)
    consumer.assign([TopicPartition(TICKS, tail.partition, start)])
    ticks = []
    for message in _messages(consumer, start, tail.next_end, deadline):
        tick = _decoded(message)
        if tick is not None:
            tail.note(tick)
            ticks.append(tick)
    tail.taken += tail.next_end - start
    tail.next_end = start
    tail.wanted = tail.taken  # each step reads as much again as all steps before
    return ticks


def _messages(consumer: Consumer, start: int, end: int, deadline: float) -> Iterator[Message]:
    """The assigned partition's messages with offsets in `[start, end)`, or up to where it ends now."""
    position = start
    while position < end:
        if time.monotonic() > deadline:
            raise BusError(f"{TICKS} could not be read back within {_TIMEOUT_SECONDS:g} s")
        for message in consumer.consume(min(end - position, _FIRST_MESSAGES), timeout=0.5):
            error = message.error()
            if error is not None and error.code() == KafkaError._PARTITION_EOF:
                return
            if error is not None:
                raise KafkaException(error)
            position = (message.offset() or 0) + 1
            if position <= end:
                yield message


def _decoded(message: Message) -> Tick | None:
    try:
        return decode_tick(message.value() or b"")
    except ValueError:
        _logger.warning("undecodable message passed over", partition=message.partition(), offset=message.offset())
        return None

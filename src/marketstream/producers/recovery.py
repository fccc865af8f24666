"""After a restart, reads back what was published last: trades sent again are recognised, and gaps go on being filled.

Reads: `tick_data`, the tail of each partition; `feed_events`, the last hours; both without a consumer group.
"""

import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from marketstream.contracts.messages import FETCHED_HEADER, FeedGap, decode_feed_event, decode_tick
from marketstream.contracts.topics import FEED_EVENTS, TICKS
from marketstream.domain.errors import BusError
from marketstream.domain.market import Tick
from marketstream.observability.logs import get_logger

_FIRST_MESSAGES = 5_000
_MOST_MESSAGES = 80_000
_TIMEOUT_SECONDS = 20.0
_SETTLE_SECONDS = 10.0
# Reading back what was fetched for open gaps: as long as it takes to know what not to fetch again.
_GAPS_SECONDS = 120.0
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
    live: list[Tick] = field(default_factory=list)
    fetched: list[Tick] = field(default_factory=list)

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


@dataclass(frozen=True, slots=True)
class Published:
    """What was published last.

    Attributes:
        live: Ticks that came by the stream, each symbol's in the order of publication.
        fetched: Ticks that were fetched to fill gaps.
    """

    live: list[Tick]
    fetched: list[Tick]


def read_recent_ticks(bootstrap_servers: str, lateness_seconds: float) -> Published:
    """The newest ticks on `tick_data`: per symbol those that may still be in time, and more.

    At least the last 5,000 messages of each partition are read, at most the last 80,000 or so.

    Raises:
        BusError: The broker is away.
    """
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    with _consumer(bootstrap_servers) as consumer:
        tails = _tails(consumer, TICKS)
        for tail in tails:
            while not tail.is_enough(round(lateness_seconds * 1_000_000)):
                _step_back(consumer, tail, deadline)
        return Published(
            [tick for tail in tails for tick in tail.live], [tick for tail in tails for tick in tail.fetched]
        )


def read_gaps(bootstrap_servers: str, since_us: int) -> list[FeedGap]:
    """The last word on every gap that was spoken of since then.

    Raises:
        BusError: The broker is away.
    """
    latest: dict[str, FeedGap] = {}
    with _consumer(bootstrap_servers) as consumer:
        for message in _since(consumer, FEED_EVENTS, since_us // 1_000):
            # Most events repeat how a feed is; to decode them all would take seconds.
            gap = _gap(message) if b'"gap_id"' in (message.value() or b"") else None
            if gap is not None and (gap.gap_id not in latest or gap.updated_us >= latest[gap.gap_id].updated_us):
                latest[gap.gap_id] = gap
    return list(latest.values())


def read_published(bootstrap_servers: str, since_us: int, symbols: Collection[str]) -> list[Tick]:
    """Every tick of these symbols that was published since then, by the stream or fetched.

    Raises:
        BusError: The broker is away, or there is more than can be read in two minutes.
    """
    names = {symbol.encode() for symbol in symbols}
    with _consumer(bootstrap_servers) as consumer:
        messages = _since(consumer, TICKS, since_us // 1_000)
        ticks = [_decoded(message) for message in messages if message.key() in names]
    return [tick for tick in ticks if tick is not None]


@contextmanager
def _consumer(bootstrap_servers: str) -> Iterator[Consumer]:
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": "marketstream-recovery",
            "enable.auto.commit": False,
            "enable.partition.eof": False,
            "auto.offset.reset": "earliest",
        }
    )
    try:
        yield consumer
    except KafkaException as error:
        raise BusError(f"Kafka at {bootstrap_servers}: {error}") from error
    finally:
        consumer.close()


def _since(consumer: Consumer, topic: str, since_ms: int) -> Iterator[Message]:
    deadline = time.monotonic() + _GAPS_SECONDS
    for tail in _tails(consumer, topic):
        wanted = TopicPartition(topic, tail.partition, max(0, since_ms))
        (found,) = consumer.offsets_for_times([wanted], timeout=10)
        if found.offset < 0:  # nothing so new
            continue
        start = max(tail.low, found.offset)
        consumer.assign([TopicPartition(topic, tail.partition, start)])
        yield from _messages(consumer, start, tail.next_end, deadline)


def _gap(message: Message) -> FeedGap | None:
    try:
        return decode_feed_event(message.value() or b"").gap
    except ValueError:
        _logger.warning("undecodable event passed over", partition=message.partition(), offset=message.offset())
        return None


# A topic that was made a moment ago has no leader yet, and the broker says so instead of waiting.
@retry(
    retry=retry_if_exception_type(KafkaException),
    stop=stop_after_delay(_SETTLE_SECONDS),
    wait=wait_fixed(0.1),
    reraise=True,
)
def _tails(consumer: Consumer, name: str) -> list[_Tail]:
    topic = consumer.list_topics(name, timeout=10).topics[name]
    if topic.error is not None:
        raise KafkaException(topic.error)
    tails = []
    for partition in topic.partitions:
        low, high = consumer.get_watermark_offsets(TopicPartition(name, partition), timeout=10)
        tails.append(_Tail(partition, low, high))
    return tails


def _step_back(consumer: Consumer, tail: _Tail, deadline: float) -> None:
    start = max(tail.low, tail.next_end - tail.wanted)
    consumer.assign([TopicPartition(TICKS, tail.partition, start)])
    live: list[Tick] = []
    for message in _messages(consumer, start, tail.next_end, deadline):
        tick = _decoded(message)
        if tick is None:
            continue
        if _was_fetched(message):
            tail.fetched.append(tick)
        else:
            tail.note(tick)
            live.append(tick)
    tail.live = live + tail.live
    tail.taken += tail.next_end - start
    tail.next_end = start
    tail.wanted = tail.taken  # each step reads as much again as all steps before


def _messages(consumer: Consumer, start: int, end: int, deadline: float) -> Iterator[Message]:
    """The assigned partition's messages with offsets in `[start, end)`, or up to where it ends now."""
    position = start
    while position < end:
        if time.monotonic() > deadline:
            raise BusError("a topic could not be read back in time; the producer tries again when it is restarted")
        for message in consumer.consume(min(end - position, _FIRST_MESSAGES), timeout=0.5):
            error = message.error()
            if error is not None and error.code() == KafkaError._PARTITION_EOF:
                return
            if error is not None:
                raise KafkaException(error)
            position = (message.offset() or 0) + 1
            if position <= end:
                yield message


def _was_fetched(message: Message) -> bool:
    headers = dict(message.headers() or ())
    return FETCHED_HEADER in headers


def _decoded(message: Message) -> Tick | None:
    try:
        return decode_tick(message.value() or b"")
    except ValueError:
        _logger.warning("undecodable message passed over", partition=message.partition(), offset=message.offset())
        return None

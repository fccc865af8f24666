"""Reads one topic by place, without a consumer group: one message, or from the newest back, within limits.

Reads: any topic. Commits nothing, joins no group.
"""

import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from tenacity import retry, retry_if_exception, stop_after_delay, wait_fixed

from marketstream.bus.consumer import plain_message
from marketstream.domain.errors import BusError
from marketstream.ports import Message

_REQUEST_SECONDS = 5.0
_SETTLE_SECONDS = 10.0
_SETTLING = {KafkaError.LEADER_NOT_AVAILABLE, KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.UNKNOWN_TOPIC_OR_PART}
_FIRST_CHUNK = 64
_LARGEST_CHUNK = 5_000
_CHUNK_BYTES = 16 * 1024 * 1024


def _settles(error: BaseException) -> bool:
    return isinstance(error, KafkaException) and error.args[0].code() in _SETTLING


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """How much of a topic one reading takes at most."""

    messages: int = 200_000
    bytes: int = 256 * 1024 * 1024
    seconds: float = 20.0


@dataclass(slots=True)
class _Stretch:
    """What is still to be read of one partition: the offsets `[low, end)`, from the end back."""

    partition: int
    low: int
    end: int
    oldest_ms: int = 2**63


@dataclass(slots=True)
class Reading:
    """One way back through a topic; iterate over `rounds`.

    Attributes:
        limits: Where it stops.
        messages: How many have been read.
        bytes: How large they were.
        complete: Whether everything that was asked for has been read; known when the rounds are over.
    """

    limits: ReadLimits
    deadline: float
    messages: int = 0
    bytes: int = 0
    complete: bool = False
    chunk: int = field(default=_FIRST_CHUNK)

    def exhausted(self) -> bool:
        """Whether a limit is reached."""
        return (
            self.messages >= self.limits.messages
            or self.bytes >= self.limits.bytes
            or time.monotonic() >= self.deadline
        )

    def count(self, messages: Sequence[Message]) -> None:
        """Adds to what has been read, and sizes the next chunk by it."""
        self.messages += len(messages)
        self.bytes += sum(len(message.value) for message in messages)
        average = max(1, self.bytes // max(1, self.messages))
        self.chunk = max(16, min(_LARGEST_CHUNK, 2 * self.chunk, _CHUNK_BYTES // average))


@dataclass(frozen=True, slots=True)
class Round:
    """Some messages, and how far back nothing newer is missing.

    Attributes:
        messages: In no particular order.
        settled_ms: Everything with a later timestamp has been read, in this round or before.
    """

    messages: Sequence[Message]
    settled_ms: int


class TopicReader:
    """Looks into one topic. Every call opens a connection of its own; threads may share the reader.

    Args:
        bootstrap_servers: The broker's `host:port`.
        topic: What is read; one that doesn't exist is empty.
        limits: How much one reading takes at most.
    """

    def __init__(self, bootstrap_servers: str, topic: str, limits: ReadLimits = ReadLimits()) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._topic = topic
        self._limits = limits

    def message(self, partition: int, offset: int) -> Message | None:
        """The message at this place; None where there is none, or none any more.

        Raises:
            BusError: The broker is away or does not answer in time.
        """
        with self._consumer() as consumer:
            if partition not in self._partitions(consumer):
                return None
            place = TopicPartition(self._topic, partition)
            low, high = consumer.get_watermark_offsets(place, timeout=_REQUEST_SECONDS)
            if not low <= offset < high:
                return None
            deadline = time.monotonic() + self._limits.seconds
            found = self._between(consumer, _Stretch(partition, offset, offset + 1), offset, deadline)
            return found[0] if found else None

    def reading(self) -> Reading:
        """The limits of a reading that begins now; hand it to `rounds`."""
        return Reading(self._limits, time.monotonic() + self._limits.seconds)

    def rounds(self, reading: Reading, since_us: int | None = None) -> Generator[Round, None, None]:
        """The topic's messages from the newest back, until all are read or a limit is reached. Close it when done.

        Args:
            reading: Says afterwards whether everything was read.
            since_us: Messages put onto the topic before this are left out.

        Raises:
            BusError: The broker is away or does not answer in time.
        """
        with self._consumer() as consumer:
            stretches = self._stretches(consumer, since_us)
            while stretches and not reading.exhausted():
                messages: list[Message] = []
                for stretch in stretches:
                    messages += self._step_back(consumer, stretch, reading)
                stretches = [stretch for stretch in stretches if stretch.end > stretch.low]
                yield Round(messages, max((stretch.oldest_ms for stretch in stretches), default=-1))
            reading.complete = not stretches

    def _step_back(self, consumer: Consumer, stretch: _Stretch, reading: Reading) -> list[Message]:
        if reading.exhausted():
            return []
        start = max(stretch.low, stretch.end - min(reading.chunk, reading.limits.messages))
        found = self._between(consumer, stretch, start, reading.deadline + _REQUEST_SECONDS)
        stretch.end = start
        stretch.oldest_ms = min((message.timestamp_ms for message in found), default=stretch.oldest_ms)
        reading.count(found)
        return found

    def _between(self, consumer: Consumer, stretch: _Stretch, start: int, deadline: float) -> list[Message]:
        """The messages with offsets in `[start, stretch.end)`."""
        consumer.assign([TopicPartition(self._topic, stretch.partition, start)])
        found: list[Message] = []
        position = start
        while position < stretch.end:
            if time.monotonic() > deadline:
                raise BusError(f"{self._topic} could not be read within {self._limits.seconds:g} s")
            for message in consumer.consume(min(stretch.end - position, _LARGEST_CHUNK), timeout=0.5):
                error = message.error()
                if error is not None and error.code() == KafkaError._PARTITION_EOF:
                    return found
                if error is not None:
                    raise KafkaException(error)
                position = (message.offset() or 0) + 1
                if position <= stretch.end:
                    found.append(plain_message(message))
        return found

    def _stretches(self, consumer: Consumer, since_us: int | None) -> list[_Stretch]:
        stretches = []
        for partition in self._partitions(consumer):
            place = TopicPartition(self._topic, partition)
            low, high = consumer.get_watermark_offsets(place, timeout=_REQUEST_SECONDS)
            if since_us is not None:
                wanted = [TopicPartition(self._topic, partition, max(0, -(-since_us // 1_000)))]
                (first,) = consumer.offsets_for_times(wanted, timeout=_REQUEST_SECONDS)
                low = max(low, high if first.offset < 0 else first.offset)
            if low < high:
                stretches.append(_Stretch(partition, low, high))
        return stretches

    # A topic that was made a moment ago has no leader yet, and the broker says so instead of waiting.
    @retry(
        retry=retry_if_exception(_settles),
        stop=stop_after_delay(_SETTLE_SECONDS),
        wait=wait_fixed(0.1),
        reraise=True,
    )
    def _partitions(self, consumer: Consumer) -> list[int]:
        topics = consumer.list_topics(timeout=_REQUEST_SECONDS).topics
        if self._topic not in topics:
            return []
        if (error := topics[self._topic].error) is not None:
            raise KafkaException(error)
        return sorted(topics[self._topic].partitions)

    @contextmanager
    def _consumer(self) -> Iterator[Consumer]:
        consumer = Consumer(
            {
                "bootstrap.servers": self._bootstrap_servers,
                "group.id": "marketstream-look",  # demanded by the library; it is neither joined nor committed to
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
                "queued.max.messages.kbytes": 2 * 1024,
                "fetch.wait.max.ms": 50,
                "log_level": 2,
            }
        )
        try:
            yield consumer
        except KafkaException as error:
            raise BusError(f"Kafka at {self._bootstrap_servers}: {error}") from error
        finally:
            consumer.close()

"""Reads topics in batches as a member of a consumer group; offsets are committed only when the caller says so."""

import logging
import time
from collections.abc import Sequence

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka import Message as KafkaMessage

from marketstream.domain.errors import BusError
from marketstream.ports import Message, Positions

_CLIENT_LOG = logging.getLogger("librdkafka")


class KafkaSource:
    """A `MessageSource` on Kafka: at-least-once, starting a new group at the oldest message.

    Args:
        bootstrap_servers: The broker's `host:port`.
        group: Consumer group.
        topics: Topics to read.
        fetch_wait_ms: How long the broker may hold a fetch while it has less than `fetch_min_bytes`.
        fetch_min_bytes: What is worth an answer. More means fewer requests, each up to `fetch_wait_ms` later.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        group: str,
        topics: Sequence[str],
        *,
        fetch_wait_ms: int = 10,
        fetch_min_bytes: int = 1,
    ) -> None:
        self._topics = list(topics)
        self._config = {
            "bootstrap.servers": bootstrap_servers,
            "group.id": group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": fetch_wait_ms,
            "fetch.min.bytes": fetch_min_bytes,
            "queued.max.messages.kbytes": 32 * 1024,
            "session.timeout.ms": 10_000,
            "partition.assignment.strategy": "cooperative-sticky",
        }
        self._consumer: Consumer | None = None
        self._held: list[Message] = []

    def poll(self, max_messages: int, timeout_seconds: float) -> Sequence[Message]:
        """Returns what is there, waiting at most `timeout_seconds` for the first message.

        Raises:
            BusError: The group or the topic can't be read; a broker that is merely away is waited for.
        """
        if self._consumer is None:
            self._consumer = Consumer(self._config, logger=_CLIENT_LOG)
            self._consumer.subscribe(self._topics)
        if self._held:
            held, self._held = self._held, []
            return held
        first = self._consumer.poll(timeout_seconds)
        if first is None:
            return []
        rest = self._consumer.consume(max_messages - 1, timeout=0) if max_messages > 1 else []
        return [plain_message(message) for message in (first, *rest) if _check(message)]

    def hold(self, timeout_seconds: float) -> None:
        """Waits without taking messages, staying a member of the group.

        Raises:
            BusError: The group or the topic can't be read.
        """
        if self._consumer is None:
            time.sleep(timeout_seconds)
            return
        self._consumer.pause(self._consumer.assignment())
        message = self._consumer.poll(timeout_seconds)
        if message is not None and _check(message):  # of a partition assigned meanwhile
            self._held.append(plain_message(message))
        self._consumer.resume(self._consumer.assignment())

    def commit(self, positions: Positions) -> None:
        """Commits the next offsets to read, synchronously.

        Raises:
            BusError: The broker refused.
        """
        if self._consumer is None or not positions:
            return
        offsets = [TopicPartition(topic, partition, offset) for (topic, partition), offset in positions.items()]
        try:
            committed = self._consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            raise BusError(f"commit refused: {error}") from error
        for partition in committed or ():
            if partition.error is not None:
                raise BusError(f"commit refused for {partition.topic}[{partition.partition}]: {partition.error}")

    def close(self) -> None:
        """Leaves the group."""
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None


def _check(message: KafkaMessage) -> bool:
    error = message.error()
    if error is None:
        return True
    if error.code() == KafkaError._PARTITION_EOF or error.retriable():
        return False
    raise BusError(f"Kafka: {error}")


def plain_message(message: KafkaMessage) -> Message:
    """The library's message as ours.

    Raises:
        BusError: It lacks its position.
    """
    key = message.key()
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    if topic is None or partition is None or offset is None:
        raise BusError("Kafka handed over a message without its position")
    return Message(
        topic=topic,
        partition=partition,
        offset=offset,
        key=key.decode(errors="replace") if isinstance(key, bytes) else key,
        value=message.value() or b"",
        timestamp_ms=message.timestamp()[1],
    )

"""Reads every partition of some topics from places the caller keeps, outside any group's assignment.

Reads: any topics. Commits under a group's name, only so that its lag can be seen.
"""

import time
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from marketstream.bus.consumer import plain_message
from marketstream.bus.offsets import LATEST
from marketstream.domain.errors import BusError
from marketstream.ports import Message, Positions

_REQUEST_SECONDS = 10.0
_RETRY_SECONDS = 0.1
# A topic has only just been made, or its leader has changed.
_PASSING = (KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE, KafkaError.UNKNOWN_TOPIC_OR_PART)


class Ends:
    """An answer under way: where the partitions ended when it was asked for.

    Attributes:
        asked_at: When that was (steady clock, in s).
        failed: Whether the answer was an error.
    """

    def __init__(self, answers: Mapping[TopicPartition, "Future[Any]"], asked_at: float) -> None:
        self._answers = answers
        self.asked_at = asked_at
        self.failed = False

    def positions(self) -> Positions | None:
        """The next offset of each partition; None while the broker has not answered.

        Raises:
            BusError: It can't.
        """
        if not all(answer.done() for answer in self._answers.values()):
            return None
        try:
            return {(place.topic, place.partition): answer.result().offset for place, answer in self._answers.items()}
        except KafkaException as error:
            self.failed = True
            raise BusError(f"Kafka does not tell where its partitions end: {error}") from error


class AssignedReader:
    """Reads all partitions of some topics. Connects with `open`.

    Args:
        bootstrap_servers: The broker's `host:port`.
        group: Under whose name positions are committed.
        fetch_wait_ms: How long the broker may gather messages before it answers.
    """

    def __init__(self, bootstrap_servers: str, group: str, *, fetch_wait_ms: int = 50) -> None:
        self._admin_config: dict[str, str | int | float | bool] = {
            "bootstrap.servers": bootstrap_servers,
            "log_level": 2,
        }
        self._config = {
            "bootstrap.servers": bootstrap_servers,
            "group.id": group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",  # what retention took is left out
            "enable.partition.eof": True,
            "fetch.wait.max.ms": fetch_wait_ms,
            "fetch.min.bytes": 128 * 1024,
            "queued.max.messages.kbytes": 32 * 1024,
        }
        self._consumer: Consumer | None = None
        self._admin: AdminClient | None = None
        self._asked: Ends | None = None
        self._partitions: list[TopicPartition] = []
        self._positions: dict[tuple[str, int], int] = {}

    @property
    def positions(self) -> Positions:
        """The next offset of each partition that anything was read of."""
        return self._positions

    def open(self, since_ms: Mapping[str, int], positions: Positions) -> None:
        """Begins to read.

        Args:
            since_ms: The topics, and for each the timestamp where a partition without a position begins.
            positions: The next offset of each partition, where it is known.

        Raises:
            BusError: The broker is away, or lacks a topic.
        """
        consumer = self._consumer = Consumer(self._config)
        self._admin = AdminClient(self._admin_config)
        try:
            known = consumer.list_topics(timeout=_REQUEST_SECONDS).topics
            places = [(topic, number) for topic in since_ms for number in known[topic].partitions]
            unknown = {place: since_ms[place[0]] for place in places if place not in positions}
            starts = {**starts_since(consumer, unknown), **positions}
        except KafkaException as error:
            raise BusError(f"Kafka: {error}") from error
        except KeyError as error:
            raise BusError(f"Kafka has no topic {error}") from error
        self._partitions = [TopicPartition(*place, starts[place]) for place in places]
        consumer.assign(self._partitions)

    def poll(self, max_messages: int, timeout_seconds: float) -> list[Message]:
        """Gathers messages for at most `timeout_seconds`.

        Raises:
            BusError: A partition can't be read; a broker that is merely away is waited for.
        """
        if self._consumer is None:
            raise BusError("not open")
        messages = []
        for message in self._consumer.consume(max_messages, timeout_seconds):
            error = message.error()
            if error is None:
                plain = plain_message(message)
                self._positions[plain.topic, plain.partition] = plain.offset + 1
                messages.append(plain)
            elif error.code() == KafkaError._PARTITION_EOF:
                # Tells of an empty partition, and steps over what is no message.
                self._positions[str(message.topic()), int(message.partition() or 0)] = int(message.offset() or 0)
            elif not error.retriable():
                raise BusError(f"Kafka: {error}")
        return messages

    def ask_ends(self) -> Ends:
        """Asks the broker where every partition ends now, without waiting for it.

        Raises:
            BusError: Not open.
        """
        if self._admin is None:
            raise BusError("not open")
        if self._asked is not None and self._asked.failed:
            # A client may keep the leaders of before a restart for minutes, and be refused as long; a new one asks.
            self._admin = AdminClient(self._admin_config)
        wanted = {TopicPartition(each.topic, each.partition): LATEST for each in self._partitions}
        self._asked = Ends(self._admin.list_offsets(wanted, request_timeout=_REQUEST_SECONDS), time.monotonic())
        return self._asked

    def commit(self) -> None:
        """Tells the broker how far this has come, without waiting for it."""
        if self._consumer is not None and self._positions:
            offsets = [TopicPartition(*place, offset) for place, offset in self._positions.items()]
            self._consumer.commit(offsets=offsets, asynchronous=True)

    def close(self) -> None:
        """Disconnects."""
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None


def reached(positions: Positions, ends: Positions) -> bool:
    """Whether all below the ends has been read."""
    return all(positions.get(place, 0) >= end for place, end in ends.items())


def starts_since(consumer: Consumer, since_ms: Mapping[tuple[str, int], int]) -> dict[tuple[str, int], int]:
    """Offset of each partition's first message of this time or later, once every partition has a leader.

    Raises:
        KafkaException: The broker is away.
    """
    deadline = time.monotonic() + _REQUEST_SECONDS
    while True:
        try:
            return _first_since(consumer, since_ms)
        except KafkaException as error:
            if error.args[0].code() not in _PASSING or time.monotonic() > deadline:
                raise
        time.sleep(_RETRY_SECONDS)


def _first_since(consumer: Consumer, since_ms: Mapping[tuple[str, int], int]) -> dict[tuple[str, int], int]:
    """Offset of each partition's first message of this time or later."""
    if not since_ms:
        return {}
    # Asked for first, so that what comes meanwhile is not passed over where nothing is of that time yet.
    ends = {
        place: consumer.get_watermark_offsets(TopicPartition(*place), timeout=_REQUEST_SECONDS)[1] for place in since_ms
    }
    found = consumer.offsets_for_times(
        [TopicPartition(*place, time_ms) for place, time_ms in since_ms.items()], timeout=_REQUEST_SECONDS
    )
    return {
        (each.topic, each.partition): each.offset if each.offset >= 0 else ends[each.topic, each.partition]
        for each in found
    }

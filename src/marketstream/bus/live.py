"""Reads topics as they grow, those too that do not exist yet, for whoever wants what is new and keeps no place.

Reads: any topics. Commits nothing.
"""

import logging
import time
from collections.abc import Mapping

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from marketstream.bus.assigned import starts_since
from marketstream.bus.consumer import plain_message
from marketstream.domain.errors import BusError
from marketstream.ports import Message

_REQUEST_SECONDS = 5.0
_LOOK_SECONDS = 10.0  # how often topics and partitions are looked for that were not there
_CLIENT_LOG = logging.getLogger("librdkafka.quiet")
_CLIENT_LOG.setLevel(logging.CRITICAL)  # a broker that is away is told of by `away`, once and not each second


class LiveReader:
    """Reads every partition of some topics from a moment on; a topic that appears later, from its beginning.

    Connects with the first `poll`, and again after it failed, where it was.

    Args:
        bootstrap_servers: The broker's `host:port`.
        group: A name for the broker's logs; it is neither joined nor committed to.
        since_ms: The topics, and for each the timestamp from which on it is read.
        gather_seconds: How long messages are gathered after the first one came.
    """

    def __init__(
        self, bootstrap_servers: str, group: str, since_ms: Mapping[str, int], *, gather_seconds: float = 0.0
    ) -> None:
        self._servers = bootstrap_servers
        self._config = {
            "bootstrap.servers": bootstrap_servers,
            "group.id": group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 100,
            "queued.max.messages.kbytes": 16 * 1024,
            "reconnect.backoff.max.ms": 1_000,
            "topic.metadata.refresh.interval.ms": 60_000,
            "error_cb": self._on_error,
        }
        self._since_ms = dict(since_ms)
        self._gather_seconds = gather_seconds
        self._consumer: Consumer | None = None
        self._next: dict[tuple[str, int], int] = {}
        self._look_due = 0.0
        self.away = True

    def poll(self, max_messages: int, timeout_seconds: float) -> list[Message]:
        """Waits for a message for at most `timeout_seconds`, then gathers more.

        Raises:
            BusError: The broker is away at the start, or a partition can't be read; the next call tries again.
        """
        try:
            consumer = self._opened()
            first = consumer.poll(timeout_seconds)
            if first is None:
                return []
            rest = consumer.consume(max_messages - 1, self._gather_seconds) if max_messages > 1 else []
            messages = []
            for message in (first, *rest):
                error = message.error()
                if error is None:
                    plain = plain_message(message)
                    self._next[plain.topic, plain.partition] = plain.offset + 1
                    messages.append(plain)
                elif not error.retriable():
                    raise KafkaException(error)
        except KafkaException as error:
            self.close()
            raise BusError(f"Kafka at {self._servers}: {error}") from error
        if messages:
            self.away = False
        return messages

    def close(self) -> None:
        """Disconnects."""
        self.away = True
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None

    def _opened(self) -> Consumer:
        if self._consumer is None:
            self._consumer = Consumer(self._config, logger=_CLIENT_LOG)
            self._look_due = 0.0
        if time.monotonic() >= self._look_due:
            self._look(self._consumer)
            self._look_due = time.monotonic() + _LOOK_SECONDS
        return self._consumer

    def _look(self, consumer: Consumer) -> None:
        """Begins to read what has appeared since the last look."""
        try:
            known = consumer.list_topics(timeout=_REQUEST_SECONDS).topics
            assigned = {(each.topic, each.partition) for each in consumer.assignment()}
            places = {
                (topic, number): since_ms
                for topic, since_ms in self._since_ms.items()
                if topic in known and known[topic].error is None
                for number in known[topic].partitions
                if (topic, number) not in assigned
            }
            fresh = {place: since_ms for place, since_ms in places.items() if place not in self._next}
            starts = starts_since(consumer, fresh) | {place: self._next[place] for place in places.keys() - fresh}
        except KafkaException:
            if not consumer.assignment():
                raise
            return  # away for the moment; what is assigned is read on when it is back
        self.away = False
        if starts:
            self._next |= starts
            consumer.incremental_assign(
                [TopicPartition(topic, number, offset) for (topic, number), offset in starts.items()]
            )

    def _on_error(self, error: KafkaError) -> None:
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            self.away = True

"""Publishes onto Kafka: idempotent, snappy, acknowledged by all replicas, from a bounded queue."""

import logging

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from marketstream.domain.errors import BusBackpressureError, BusError
from marketstream.ports import Headers

_RETRY_AFTER_SECONDS = 0.01
# Asking for delivery reports costs half as much as a message, and only failures are reported.
_MESSAGES_PER_POLL = 256
_CLIENT_LOG = logging.getLogger("librdkafka")


class KafkaPublisher:
    """A `Publisher` on Kafka.

    Delivery is at-least-once over the process's life and exactly-once within it (idempotent producer). A broker that is
    away is waited for without limit: the queue fills, and callers feel it as `BusBackpressureError`.

    Args:
        bootstrap_servers: The broker's `host:port`.
        queue_messages: How many messages may wait for the broker.
        linger_ms: How long a message may wait for company in its batch.
    """

    def __init__(self, bootstrap_servers: str, *, queue_messages: int = 50_000, linger_ms: float = 5.0) -> None:
        self._config = {
            "bootstrap.servers": bootstrap_servers,
            "enable.idempotence": True,
            "acks": "all",
            "compression.type": "snappy",
            "linger.ms": linger_ms,
            "queue.buffering.max.messages": queue_messages,
            "message.timeout.ms": 0,  # never give up: back-pressure, not loss
            "delivery.report.only.error": True,  # `flush` counts what is not acknowledged all the same
            # The Java clients' choice, so that Spark's output agrees on a symbol's partition.
            "partitioner": "murmur2_random",
            "message.max.bytes": 1_048_576,
            "topic.metadata.propagation.max.ms": 10_000,  # a topic missing for longer is an error, not a new one
        }
        self._producer: Producer | None = None
        self._failure: KafkaError | None = None
        self._unpolled = 0

    def publish(self, topic: str, key: str | None, value: bytes, headers: Headers | None = None) -> None:
        """Queues a message.

        Raises:
            BusBackpressureError: The queue is full; nothing was queued.
            BusError: An earlier message could not be delivered, or this one never can be.
        """
        if self._producer is None:
            self._producer = Producer(self._config, logger=_CLIENT_LOG)
        if self._failure is not None:
            raise BusError(f"Kafka refused a message: {self._failure}")
        try:
            self._producer.produce(
                topic, value, key, on_delivery=self._delivered, headers=dict(headers) if headers else None
            )
        except BufferError:
            self._producer.poll(0)
            raise BusBackpressureError(_RETRY_AFTER_SECONDS) from None
        except KafkaException as error:
            raise BusError(f"Kafka refused a message of {len(value)} bytes for {topic}: {error}") from error
        self._unpolled += 1
        if self._unpolled >= _MESSAGES_PER_POLL:
            self._unpolled = 0
            self._producer.poll(0)

    def flush(self, timeout_seconds: float) -> int:
        """Waits for acknowledgements; returns how many messages still lack one."""
        if self._producer is None:
            return 0
        remaining: int = self._producer.flush(timeout_seconds)
        if self._failure is not None:
            raise BusError(f"Kafka refused a message: {self._failure}")
        return remaining

    def _delivered(self, error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            self._failure = error

"""Publishing from a thread that may wait: for room in the publisher's queue, and for the broker's word."""

import time

from marketstream.domain.errors import BusBackpressureError, BusError
from marketstream.ports import Headers, Publisher

_FLUSH_SECONDS = 60.0


def put(publisher: Publisher, topic: str, key: str, value: bytes, headers: Headers | None = None) -> None:
    """Queues a message; waits as long as the queue is full.

    Raises:
        BusError: Kafka refused a message.
    """
    while True:
        try:
            publisher.publish(topic, key, value, headers)
            return
        except BusBackpressureError as full:
            time.sleep(full.retry_after_seconds)


def flush(publisher: Publisher) -> None:
    """Returns when the broker has everything.

    Raises:
        BusError: It doesn't within a minute.
    """
    if remaining := publisher.flush(_FLUSH_SECONDS):
        raise BusError(f"Kafka has not acknowledged {remaining} messages within {_FLUSH_SECONDS:g} s")

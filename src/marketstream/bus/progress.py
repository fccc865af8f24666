"""Waits until a consumer group has done what is on a topic. Joins no group, consumes nothing."""

import time

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from marketstream.domain.errors import BusError

_REQUEST_SECONDS = 5.0
_POLL_SECONDS = 0.1
# The broker has only just started, or is handing the group to another.
_PASSING = (KafkaError.NOT_COORDINATOR, KafkaError.COORDINATOR_LOAD_IN_PROGRESS, KafkaError.COORDINATOR_NOT_AVAILABLE)


def caught_up(bootstrap_servers: str, group: str, topic: str, timeout_seconds: float) -> bool:
    """Waits until `group` has committed everything that is on `topic` now; what comes later is not waited for.

    Args:
        bootstrap_servers: The broker's `host:port`.
        group: A consumer group that commits what it has done, such as `timescale-writer`.
        topic: One it reads.
        timeout_seconds: How long to wait; 0 only looks.

    Returns:
        Whether it has.

    Raises:
        BusError: The broker is away, or has no such topic.
    """
    deadline = time.monotonic() + timeout_seconds
    consumer = Consumer({"bootstrap.servers": bootstrap_servers, "group.id": group, "enable.auto.commit": False})
    try:
        pending = _pending(consumer, topic)
        while pending := _not_committed(consumer, pending):
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_SECONDS)
        return True
    except KafkaException as error:
        raise BusError(f"Kafka at {bootstrap_servers}: {error}") from error
    finally:
        consumer.close()


def _pending(consumer: Consumer, topic: str) -> list[TopicPartition]:
    """Every partition with a message, at the offset after its newest."""
    partitions = consumer.list_topics(topic, timeout=_REQUEST_SECONDS).topics[topic].partitions
    if not partitions:
        raise BusError(f"Kafka has no topic {topic}")
    ends: list[TopicPartition] = []
    for number in partitions:
        low, high = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=_REQUEST_SECONDS)
        if high > low:
            ends.append(TopicPartition(topic, number, high))
    return ends


def _not_committed(consumer: Consumer, ends: list[TopicPartition]) -> list[TopicPartition]:
    """Those of the partitions whose end the group has not reached."""
    if not ends:
        return []
    asked = [TopicPartition(end.topic, end.partition) for end in ends]
    try:
        committed = {each.partition: each.offset for each in consumer.committed(asked, timeout=_REQUEST_SECONDS)}
    except KafkaException as error:
        if error.args[0].code() in _PASSING:
            return ends
        raise
    return [end for end in ends if committed[end.partition] < end.offset]

"""Creates the topics and reads consumer lag. Writes: every topic's settings."""

import time
from collections.abc import Sequence

from confluent_kafka import Consumer, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic  # re-exported by .admin, but not to type checkers

from marketstream.bus.offsets import LATEST
from marketstream.contracts.topics import RETENTION_MS
from marketstream.domain.errors import BusError

_ALREADY_EXISTS = "TOPIC_ALREADY_EXISTS"
_LEADER_SECONDS = 10.0
_RETRY_SECONDS = 0.05


def ensure_topics(bootstrap_servers: str, topics: tuple[str, ...], partitions: int) -> list[str]:
    """Creates what is missing, waits until its partitions can be read and written, and returns what it created.

    Raises:
        BusError: The broker is away or refuses.
    """
    admin = AdminClient({"bootstrap.servers": bootstrap_servers})
    try:
        existing = admin.list_topics(timeout=10).topics
        missing = [topic for topic in topics if topic not in existing]
        settings = {"retention.ms": str(RETENTION_MS), "compression.type": "producer"}
        wanted = [
            NewTopic(topic, num_partitions=partitions, replication_factor=1, config=settings) for topic in missing
        ]
        for future in (admin.create_topics(wanted) if wanted else {}).values():
            try:
                future.result(timeout=15)
            except KafkaException as error:
                if error.args[0].name() != _ALREADY_EXISTS:
                    raise
        made = [TopicPartition(topic, number) for topic in missing for number in range(partitions)]
        _wait_for_leaders(bootstrap_servers, made)
    except KafkaException as error:
        raise BusError(f"Kafka at {bootstrap_servers}: {error}") from error
    return missing


def _wait_for_leaders(bootstrap_servers: str, places: list[TopicPartition]) -> None:
    """Returns when each partition's leader knows that it is one, which takes it a moment after the topic is there."""
    deadline = time.monotonic() + _LEADER_SECONDS
    while places:
        admin, waiting = AdminClient({"bootstrap.servers": bootstrap_servers}), []  # a used one remembers who led none
        asked = admin.list_offsets(dict.fromkeys(places, LATEST), request_timeout=_LEADER_SECONDS)
        for place, answer in asked.items():
            try:
                answer.result()
            except KafkaException:  # many codes say the same: no leader, not a leader, another leader's epoch
                if time.monotonic() > deadline:
                    raise
                waiting.append(place)
        places = waiting
        if waiting:
            time.sleep(_RETRY_SECONDS)


def partition_count(bootstrap_servers: str, topic: str) -> int:
    """How many partitions the topic has.

    Raises:
        BusError: The broker is away or has no such topic.
    """
    admin = AdminClient({"bootstrap.servers": bootstrap_servers})
    try:
        count = len(admin.list_topics(topic, timeout=10).topics[topic].partitions)
    except KafkaException as error:
        raise BusError(f"Kafka at {bootstrap_servers}: {error}") from error
    if not count:
        raise BusError(f"Kafka at {bootstrap_servers} has no topic {topic}")
    return count


def topic_ids(bootstrap_servers: str, topics: Sequence[str]) -> dict[str, str]:
    """The broker's own identity of each topic: a topic deleted and created again, here or elsewhere, has another.

    Raises:
        BusError: The broker is away, or lacks a topic.
    """
    admin = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 2})
    try:
        futures = admin.describe_topics(TopicCollection(list(topics)), request_timeout=5.0)
        ids = {topic: future.result(timeout=10).topic_id for topic, future in futures.items()}
    except (KafkaException, TimeoutError) as error:
        raise BusError(f"Kafka at {bootstrap_servers}: {error}") from error
    return {
        topic: f"{uuid.get_most_significant_bits():x}.{uuid.get_least_significant_bits():x}"
        for topic, uuid in ids.items()
    }


def consumer_lag(bootstrap_servers: str, group: str, topics: tuple[str, ...]) -> int:
    """Messages on `topics` that `group` has not committed yet.

    Raises:
        BusError: The broker is away.
    """
    consumer = Consumer({"bootstrap.servers": bootstrap_servers, "group.id": group, "enable.auto.commit": False})
    try:
        metadata = consumer.list_topics(timeout=5).topics
        partitions = [
            TopicPartition(topic, partition)
            for topic in topics
            if topic in metadata
            for partition in metadata[topic].partitions
        ]
        lag = 0
        for committed in consumer.committed(partitions, timeout=5):
            low, high = consumer.get_watermark_offsets(TopicPartition(committed.topic, committed.partition), timeout=5)
            lag += high - max(low, committed.offset)
        return lag
    except KafkaException as error:
        raise BusError(f"Kafka at {bootstrap_servers}: {error}") from error
    finally:
        consumer.close()

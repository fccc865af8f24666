"""Looks at the broker from outside: every consumer group's lag and the age of a topic's newest message.

Reads: the broker's metadata and offsets; joins no group and consumes nothing.
"""

from collections.abc import Callable, Collection, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from marketstream.bus.offsets import EARLIEST, LATEST, NEWEST, OffsetSpec
from marketstream.domain.errors import BusError

T = TypeVar("T")
Position = tuple[str, int]  # (topic, partition)


@dataclass(frozen=True, slots=True)
class PartitionCounts:
    """Of a topic's partitions, how many there are, lack a replica in step, and have no leader."""

    total: int
    under_replicated: int
    offline: int


class KafkaInspector:
    """Answers questions about the broker over one kept connection; opens it with the first.

    Args:
        bootstrap_servers: The broker's `host:port`.
        timeout_seconds: How long one question may take.
    """

    def __init__(self, bootstrap_servers: str, *, timeout_seconds: float = 3.0) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._timeout = timeout_seconds
        self._admin: AdminClient | None = None

    def lag_by_group(self) -> dict[str, int]:
        """Messages each consumer group has still to commit, over all it has committed before or is assigned now.

        Raises:
            BusError: The broker is away.
        """
        return self._asked(self._lag_by_group)

    def newest_message_ms(self, topic: str) -> int | None:
        """Timestamp, in ms UTC, of the topic's newest message; None where there is no message or no topic.

        Raises:
            BusError: The broker is away.
        """
        return self._asked(lambda admin: self._newest_message_ms(admin, topic))

    def ends(self, topics: Collection[str]) -> dict[Position, int]:
        """The offset after the newest message of each of the topics' partitions; nothing of a topic that is not there.

        Raises:
            BusError: The broker is away.
        """
        return self._asked(lambda admin: self._offsets(admin, self._partitions(admin, topics), LATEST))

    def starts(self, topics: Collection[str]) -> dict[Position, int]:
        """The offset of the oldest message that each of the topics' partitions still has; nothing of an absent topic.

        Raises:
            BusError: The broker is away.
        """
        return self._asked(lambda admin: self._offsets(admin, self._partitions(admin, topics), EARLIEST))

    def replication(self) -> dict[str, PartitionCounts]:
        """How each topic's partitions stand, the broker's own topics included.

        Raises:
            BusError: The broker is away.
        """
        return self._asked(self._replication)

    def _asked(self, question: Callable[[AdminClient], T]) -> T:
        try:
            if self._admin is None:
                self._admin = AdminClient({"bootstrap.servers": self._bootstrap_servers, "log_level": 2})
            return question(self._admin)
        except (KafkaException, TimeoutError) as error:
            self._admin = None  # it may keep the leaders of before a restart for minutes, and be refused as long
            raise BusError(f"Kafka at {self._bootstrap_servers} does not answer: {error}") from error

    def _lag_by_group(self, admin: AdminClient) -> dict[str, int]:
        groups = [group.group_id for group in self._result(admin.list_consumer_groups()).valid]
        positions = {group: self._assigned(admin, group) | self._committed(admin, group) for group in groups}
        everywhere = {position for known in positions.values() for position in known}
        starts = self._offsets(admin, everywhere, EARLIEST)
        ends = self._offsets(admin, everywhere, LATEST)
        return {
            group: sum(ends[position] - max(starts[position], next_offset) for position, next_offset in known.items())
            for group, known in positions.items()
        }

    def _replication(self, admin: AdminClient) -> dict[str, PartitionCounts]:
        known = admin.list_topics(timeout=self._timeout).topics
        return {
            name: PartitionCounts(
                total=len(topic.partitions),
                under_replicated=sum(len(part.isrs) < len(part.replicas) for part in topic.partitions.values()),
                offline=sum(part.leader < 0 for part in topic.partitions.values()),
            )
            for name, topic in known.items()
        }

    def _assigned(self, admin: AdminClient, group: str) -> dict[Position, int]:
        members = self._result(admin.describe_consumer_groups([group])[group]).members
        return {
            (part.topic, part.partition): 0
            for member in members
            if member.assignment is not None
            for part in member.assignment.topic_partitions
        }

    def _committed(self, admin: AdminClient, group: str) -> dict[Position, int]:
        answer = self._result(admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])[group])
        return {(part.topic, part.partition): part.offset for part in answer.topic_partitions}

    def _newest_message_ms(self, admin: AdminClient, topic: str) -> int | None:
        wanted = {TopicPartition(*position): NEWEST for position in self._partitions(admin, [topic])}
        if not wanted:
            return None
        answers = [self._result(answer) for answer in admin.list_offsets(wanted).values()]
        return max((answer.timestamp for answer in answers if answer.offset >= 0), default=None)

    def _partitions(self, admin: AdminClient, topics: Collection[str]) -> list[Position]:
        known = admin.list_topics(timeout=self._timeout).topics
        return [(topic, partition) for topic in topics if topic in known for partition in known[topic].partitions]

    def _offsets(self, admin: AdminClient, positions: Iterable[Position], spec: OffsetSpec) -> dict[Position, int]:
        wanted = {TopicPartition(*position): spec for position in positions}
        answers = admin.list_offsets(wanted) if wanted else {}
        return {(part.topic, part.partition): self._result(answer).offset for part, answer in answers.items()}

    def _result(self, answer: "Future[Any]") -> Any:
        return answer.result(timeout=self._timeout)

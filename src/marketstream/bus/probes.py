"""What only the broker knows: consumer lag, the newest tick's age, topics and their partitions.

Reads: every group, every topic's metadata and offsets, `tick_data`.
"""

import time
from collections.abc import Callable, Collection, Mapping
from typing import Protocol

from marketstream.bus.inspector import PartitionCounts, Position
from marketstream.contracts.topics import TICKS
from marketstream.observability.exporter import (
    CONSUMER_LAG,
    LAST_TICK_AGE,
    OFFLINE_PARTITIONS,
    TOPIC_MESSAGES,
    TOPIC_PARTITIONS,
    UNDER_REPLICATED,
    Probe,
)
from marketstream.observability.shared import Shared

_KEPT_SECONDS = 4.0  # less than between two scrapes


class Inspector(Protocol):
    """What the probes ask the broker; `KafkaInspector` is one."""

    def lag_by_group(self) -> dict[str, int]:
        """Messages each consumer group has still to commit."""

    def newest_message_ms(self, topic: str) -> int | None:
        """Timestamp of the topic's newest message, in ms UTC."""

    def ends(self, topics: Collection[str]) -> dict[Position, int]:
        """The offset after the newest message of each of the topics' partitions."""

    def replication(self) -> dict[str, PartitionCounts]:
        """How each topic's partitions stand."""


def kafka_probes(
    inspector: Inspector, topics: Collection[str], now_seconds: Callable[[], float] = time.time
) -> tuple[Probe, ...]:
    """Probes of the broker, measured at each scrape.

    Args:
        inspector: Asks the broker.
        topics: Those whose messages are counted.
        now_seconds: The clock.
    """
    standing = Shared(inspector.replication, _KEPT_SECONDS)

    def tick_age() -> Mapping[str, float]:
        newest_ms = inspector.newest_message_ms(TICKS)
        return {} if newest_ms is None else {"": max(0.0, now_seconds() - newest_ms / 1_000)}

    def messages() -> Mapping[str, float]:
        counts: dict[str, float] = {}
        for (topic, _), end in inspector.ends(topics).items():
            counts[topic] = counts.get(topic, 0) + end
        return counts

    def partitions() -> Mapping[str, float]:
        return {topic: counts.total for topic, counts in standing.get().items() if topic in topics}

    def under_replicated() -> Mapping[str, float]:
        return {"": sum(counts.under_replicated for counts in standing.get().values())}

    def offline() -> Mapping[str, float]:
        return {"": sum(counts.offline for counts in standing.get().values())}

    return (
        Probe(
            name=CONSUMER_LAG,
            documentation="Messages a group has still to commit",
            label="group",
            read=inspector.lag_by_group,
        ),
        Probe(name=LAST_TICK_AGE, documentation="Age of the newest tick on tick_data", label=None, read=tick_age),
        Probe(
            name=TOPIC_MESSAGES,
            documentation="Messages a topic has ever had",
            label="topic",
            read=messages,
            kind="counter",
        ),
        Probe(name=TOPIC_PARTITIONS, documentation="Partitions of a topic", label="topic", read=partitions),
        Probe(
            name=UNDER_REPLICATED,
            documentation="Partitions of which a replica is not in step",
            label=None,
            read=under_replicated,
        ),
        Probe(name=OFFLINE_PARTITIONS, documentation="Partitions without a leader", label=None, read=offline),
    )

"""The gauges that only the broker knows: consumer lag and the newest tick's age. Reads: every group, `tick_data`."""

import time
from collections.abc import Callable, Mapping
from typing import Protocol

from marketstream.contracts.topics import TICKS
from marketstream.observability.exporter import CONSUMER_LAG, LAST_TICK_AGE, Probe


class Inspector(Protocol):
    """What the probes ask the broker; `KafkaInspector` is one."""

    def lag_by_group(self) -> dict[str, int]:
        """Messages each consumer group has still to commit."""

    def newest_message_ms(self, topic: str) -> int | None:
        """Timestamp of the topic's newest message, in ms UTC."""


def kafka_probes(inspector: Inspector, now_seconds: Callable[[], float] = time.time) -> tuple[Probe, ...]:
    """Probes of the broker, measured at each scrape."""

    def lag() -> Mapping[str, float]:
        return inspector.lag_by_group()

    def tick_age() -> Mapping[str, float]:
        newest_ms = inspector.newest_message_ms(TICKS)
        return {} if newest_ms is None else {"": max(0.0, now_seconds() - newest_ms / 1_000)}

    return (
        Probe(name=CONSUMER_LAG, documentation="Messages a group has still to commit", label="group", read=lag),
        Probe(name=LAST_TICK_AGE, documentation="Age of the newest tick on tick_data", label=None, read=tick_age),
    )

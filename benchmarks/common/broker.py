"""A Kafka of a benchmark's own, and what is on its topics."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from confluent_kafka import Consumer, KafkaException, TopicPartition

from marketstream.bus.admin import ensure_topics
from marketstream.launch.running import running
from marketstream.launch.servers.kafka import KafkaServer
from marketstream.settings import Settings, load_settings
from marketstream.testing.platform import eventually, free_ports


class Topic:
    """How many messages the broker has acknowledged on a topic."""

    def __init__(self, settings: Settings, name: str) -> None:
        self._consumer = Consumer(
            {"bootstrap.servers": settings.kafka.bootstrap_servers, "group.id": "benchmark", "log_level": 0}
        )
        self._partitions = [TopicPartition(name, number) for number in range(settings.kafka.partitions)]

    def total(self) -> int:
        """All messages there have ever been."""
        return sum(self._consumer.get_watermark_offsets(each, timeout=10)[1] for each in self._partitions)


@contextmanager
def own_broker(heap_mb: int, topics: tuple[str, ...]) -> Iterator[tuple[Settings, psutil.Process]]:
    """A Kafka on free ports with these topics on it; its data, and the settings' `data_dir`, go with the block."""
    port, controller, page = free_ports(3)
    with tempfile.TemporaryDirectory(prefix="marketstream-benchmark-") as folder:
        settings = load_settings(
            data_dir=Path(folder),
            kafka={"port": port, "controller_port": controller, "metrics_port": 0, "heap_mb": heap_mb},
            ingest={"allowed_lateness_seconds": 10},
            streaming={"ui_port": page},
        )
        with running(KafkaServer(settings), Path(folder) / "kafka.log") as process:
            make_topics(settings, topics)
            yield settings, java_process(process.pid)


def make_topics(settings: Settings, topics: tuple[str, ...]) -> None:
    """Makes what is missing, and returns when it can be asked."""
    ensure_topics(settings.kafka.bootstrap_servers, topics, settings.kafka.partitions)
    eventually(lambda: _have_leaders(settings, topics), within_seconds=20, what="leaders of the topics")


def _have_leaders(settings: Settings, topics: tuple[str, ...]) -> bool:
    try:
        return all(Topic(settings, name).total() >= 0 for name in topics)
    except KafkaException:
        return False


def java_process(pid: int) -> psutil.Process:
    """The broker itself, which its starter may have as a child."""

    def look() -> psutil.Process | None:
        starter = psutil.Process(pid)
        return next((each for each in (starter, *starter.children(recursive=True)) if "java" in each.name()), None)

    return eventually(look, within_seconds=10, what="a Java process")

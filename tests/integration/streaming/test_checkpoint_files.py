"""A checkpoint beside a real topic that has forgotten what the query had not read."""

import json
import uuid
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from marketstream.bus.admin import ensure_topics
from marketstream.bus.inspector import KafkaInspector
from marketstream.bus.publisher import KafkaPublisher
from marketstream.settings import Settings
from marketstream.streaming.checkpoint_files import dropped_messages

pytestmark = pytest.mark.servers


def commit(path: Path, batch: int, offsets: dict[str, int]) -> None:
    """As Spark leaves a batch that is done; `offsets` by topic, of its one partition."""
    for folder in ("commits", "offsets"):
        (path / folder).mkdir(exist_ok=True)
    (path / "commits" / str(batch)).write_text('v1\n{"nextBatchWatermarkMs":0}')
    told = json.dumps({topic: {"0": offset} for topic, offset in offsets.items()})
    (path / "offsets" / str(batch)).write_text(f'v1\n{{"batchWatermarkMs":0}}\n{told}')


def test_messages_that_the_topic_dropped_unread_are_counted(kafka_settings: Settings, tmp_path: Path) -> None:
    broker = kafka_settings.kafka.bootstrap_servers
    topic, other = (f"t-{uuid.uuid4().hex}" for _ in range(2))
    ensure_topics(broker, (topic, other), partitions=1)
    publisher = KafkaPublisher(broker)
    for number in range(10):
        publisher.publish(topic, "A", str(number).encode())
    assert publisher.flush(20) == 0
    inspector = KafkaInspector(broker)
    assert dropped_messages(tmp_path, inspector) == 0  # no batch yet
    commit(tmp_path, 0, {topic: 2, other: 0})
    assert dropped_messages(tmp_path, inspector) == 0
    admin = AdminClient({"bootstrap.servers": broker})
    for deleted in admin.delete_records([TopicPartition(topic, 0, 7)]).values():
        deleted.result(timeout=20)
    assert dropped_messages(tmp_path, inspector) == 5
    commit(tmp_path, 1, {topic: 8, other: 0, "gone": 3})
    assert dropped_messages(tmp_path, inspector) == 0

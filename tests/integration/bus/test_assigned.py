"""Reading all partitions from places of one's own, on a real broker."""

import time
import uuid

import pytest

from marketstream.bus.admin import consumer_lag, ensure_topics
from marketstream.bus.assigned import AssignedReader, reached
from marketstream.bus.publisher import KafkaPublisher
from marketstream.domain.errors import BusError
from marketstream.settings import Settings
from marketstream.testing.platform import eventually

pytestmark = pytest.mark.servers
PARTITIONS = 3


@pytest.fixture
def broker(kafka_settings: Settings) -> str:
    return kafka_settings.kafka.bootstrap_servers


@pytest.fixture
def topic(broker: str) -> str:
    name = f"t-{uuid.uuid4().hex}"
    ensure_topics(broker, (name,), PARTITIONS)
    return name


def publish(broker: str, topic: str, values: range) -> None:
    publisher = KafkaPublisher(broker)
    for number in values:
        publisher.publish(topic, f"key-{number % 5}", str(number).encode())
    assert publisher.flush(20) == 0


def read_all(reader: AssignedReader) -> set[int]:
    """Everything up to what are the ends now."""
    ends, found = reader.ask_ends(), set[int]()
    deadline = time.monotonic() + 30
    while (until := ends.positions()) is None or not reached(reader.positions, until):
        found |= {int(message.value) for message in reader.poll(100, 0.02)}
        assert time.monotonic() < deadline
    return found


def test_it_reads_to_the_ends_and_on_from_its_positions(broker: str, topic: str) -> None:
    publish(broker, topic, range(100))
    first = AssignedReader(broker, f"g-{topic}")
    first.open({topic: 0}, {})
    assert read_all(first) == set(range(100))
    positions = dict(first.positions)
    assert sum(positions.values()) == 100
    first.commit()
    eventually(lambda: consumer_lag(broker, f"g-{topic}", (topic,)) == 0, within_seconds=20, what="the commit")
    first.close()
    publish(broker, topic, range(100, 130))
    second = AssignedReader(broker, f"g-{topic}")
    second.open({topic: 0}, positions)
    assert read_all(second) == set(range(100, 130))
    second.close()


def test_without_a_position_it_begins_at_a_time(broker: str, topic: str) -> None:
    publish(broker, topic, range(20))
    between_ms = time.time_ns() // 1_000_000 + 1
    eventually(lambda: time.time_ns() // 1_000_000 > between_ms, within_seconds=5, what="the clock to go on")
    publish(broker, topic, range(20, 50))
    reader = AssignedReader(broker, f"g-{topic}")
    reader.open({topic: between_ms}, {})
    assert read_all(reader) == set(range(20, 50))
    reader.close()


def test_where_nothing_is_of_that_time_yet_it_waits_for_it(broker: str, topic: str) -> None:
    publish(broker, topic, range(20))
    reader = AssignedReader(broker, f"g-{topic}")
    reader.open({topic: time.time_ns() // 1_000_000 + 60_000}, {})
    publish(broker, topic, range(20, 50))
    assert read_all(reader) == set(range(20, 50))
    reader.close()


def test_an_empty_topic_has_positions_too(broker: str, topic: str) -> None:
    reader = AssignedReader(broker, f"g-{topic}")
    reader.open({topic: 0}, {})

    def positions() -> bool:
        assert reader.poll(100, 0.02) == []
        return len(reader.positions) == PARTITIONS

    eventually(positions, within_seconds=20, what="a position of every partition")
    assert read_all(reader) == set()
    reader.close()


def test_a_topic_that_is_not_there_is_named(broker: str) -> None:
    reader = AssignedReader(broker, "g-missing")
    with pytest.raises(BusError, match="no topic 'missing"):
        reader.open({f"missing-{uuid.uuid4().hex}": 0}, {})
    reader.close()


def test_before_it_is_opened_it_reads_nothing(broker: str) -> None:
    reader = AssignedReader(broker, "g")
    with pytest.raises(BusError, match="not open"):
        reader.poll(1, 0)
    with pytest.raises(BusError, match="not open"):
        reader.ask_ends()

"""Waiting for a consumer group, on a real broker."""

import threading
import uuid

import pytest

from marketstream.bus.admin import ensure_topics
from marketstream.bus.consumer import KafkaSource
from marketstream.bus.progress import caught_up
from marketstream.bus.publisher import KafkaPublisher
from marketstream.domain.errors import BusError
from marketstream.settings import Settings

pytestmark = pytest.mark.servers

SYMBOLS = ("IBM", "BAC", "MSFT", "AAPL", "GE")


@pytest.fixture
def broker(kafka_settings: Settings) -> str:
    return kafka_settings.kafka.bootstrap_servers


@pytest.fixture
def topic(broker: str) -> str:
    name = f"t-{uuid.uuid4().hex}"
    ensure_topics(broker, (name,), partitions=3)
    return name


def publish(broker: str, topic: str) -> None:
    publisher = KafkaPublisher(broker)
    for symbol in SYMBOLS:
        publisher.publish(topic, symbol, b"x")
    assert publisher.flush(20) == 0


def commit(source: KafkaSource, count: int) -> None:
    """Takes so many messages and commits them."""
    positions: dict[tuple[str, int], int] = {}
    taken = 0
    while taken < count:
        for message in source.poll(count - taken, 0.2):
            positions[message.topic, message.partition] = message.offset + 1
            taken += 1
    source.commit(positions)


def test_a_group_has_caught_up_when_it_has_committed_everything(broker: str, topic: str) -> None:
    publish(broker, topic)
    source = KafkaSource(broker, f"g-{topic}", [topic])

    assert not caught_up(broker, f"g-{topic}", topic, 0)
    commit(source, len(SYMBOLS) - 1)
    assert not caught_up(broker, f"g-{topic}", topic, 0)
    commit(source, 1)
    assert caught_up(broker, f"g-{topic}", topic, 0)

    source.close()


def test_an_empty_topic_is_done(broker: str, topic: str) -> None:
    assert caught_up(broker, f"g-{topic}", topic, 0)


def test_it_waits_until_the_group_is_there(broker: str, topic: str) -> None:
    publish(broker, topic)
    source = KafkaSource(broker, f"g-{topic}", [topic])
    behind = threading.Thread(target=commit, args=(source, len(SYMBOLS)))
    behind.start()

    assert caught_up(broker, f"g-{topic}", topic, 30)

    behind.join()
    source.close()


def test_a_topic_that_is_not_there_is_said_to_be_missing(broker: str) -> None:
    with pytest.raises(BusError):
        caught_up(broker, "g", f"none-{uuid.uuid4().hex}", 0)


def test_a_broker_that_is_away_is_said_to_be_away() -> None:
    with pytest.raises(BusError):
        caught_up("127.0.0.1:1", "g", "t", 0)

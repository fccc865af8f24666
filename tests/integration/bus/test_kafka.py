"""The publisher, the source, the topics and the inspector on a real broker."""

import time
import uuid
from collections.abc import Callable

import pytest
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from marketstream.bus.admin import consumer_lag, ensure_topics
from marketstream.bus.consumer import KafkaSource
from marketstream.bus.inspector import KafkaInspector
from marketstream.bus.publisher import KafkaPublisher
from marketstream.domain.errors import BusBackpressureError, BusError
from marketstream.ports import Message
from marketstream.settings import Settings

pytestmark = pytest.mark.servers

NOWHERE = "127.0.0.1:1"


@pytest.fixture
def broker(kafka_settings: Settings) -> str:
    return kafka_settings.kafka.bootstrap_servers


@pytest.fixture
def topic(broker: str) -> str:
    name = f"t-{uuid.uuid4().hex}"
    assert ensure_topics(broker, (name,), partitions=3) == [name]
    return name


def publish(broker: str, topic: str, keys: list[str]) -> None:
    publisher = KafkaPublisher(broker)
    for number, key in enumerate(keys):
        publisher.publish(topic, key, f"{key}:{number}".encode())
    assert publisher.flush(20) == 0


def drain(source: KafkaSource, count: int, seconds: float = 30) -> list[Message]:
    messages: list[Message] = []
    deadline = time.monotonic() + seconds
    while len(messages) < count and time.monotonic() < deadline:
        messages += source.poll(1_000, 0.2)
    assert len(messages) == count
    return messages


def eventually(check: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, f"did not happen within {seconds:g} s"


def ends(messages: list[Message]) -> dict[tuple[str, int], int]:
    positions: dict[tuple[str, int], int] = {}
    for message in messages:
        place = (message.topic, message.partition)
        positions[place] = max(positions.get(place, 0), message.offset + 1)
    return positions


def test_topics_are_created_once_with_the_promised_settings(broker: str, topic: str) -> None:
    assert ensure_topics(broker, (topic,), partitions=3) == []
    admin = AdminClient({"bootstrap.servers": broker})
    assert len(admin.list_topics(topic, timeout=10).topics[topic].partitions) == 3
    resource = ConfigResource(ResourceType.TOPIC, topic)
    settings = admin.describe_configs([resource])[resource].result(timeout=10)
    assert settings["retention.ms"].value == str(7 * 24 * 3_600 * 1_000)


def test_what_is_published_is_read_in_order_of_its_key(broker: str, topic: str) -> None:
    keys = ["IBM", "BAC", "MSFT", "IBM", "IBM", "BAC"] * 500
    publish(broker, topic, keys)
    source = KafkaSource(broker, f"g-{topic}", [topic])
    messages = drain(source, len(keys))
    source.close()
    for symbol in ("IBM", "BAC", "MSFT"):
        own = [message for message in messages if message.key == symbol]
        assert len({message.partition for message in own}) == 1
        assert [message.value.decode() for message in own] == [
            f"{symbol}:{number}" for number, key in enumerate(keys) if key == symbol
        ]


def test_a_batch_is_no_larger_than_asked(broker: str, topic: str) -> None:
    publish(broker, topic, ["IBM"] * 50)
    source = KafkaSource(broker, f"g-{topic}", [topic])
    sizes: list[int] = []
    eventually(lambda: sizes.append(len(source.poll(7, 0.2))) or sum(sizes) == 50)  # type: ignore[func-returns-value]
    source.close()
    assert max(sizes) <= 7


def test_only_what_was_committed_is_done(broker: str, topic: str) -> None:
    publish(broker, topic, ["IBM"] * 10)
    group = f"g-{topic}"
    first = KafkaSource(broker, group, [topic])
    messages = drain(first, 10)
    first.commit(ends(messages[:4]))
    first.close()
    assert consumer_lag(broker, group, (topic,)) == 6

    second = KafkaSource(broker, group, [topic])
    again = drain(second, 6)
    assert [message.value for message in again] == [message.value for message in messages[4:]]
    second.commit(ends(again))
    second.close()
    assert consumer_lag(broker, group, (topic,)) == 0


def test_a_commit_that_is_refused_raises(broker: str, topic: str) -> None:
    source = KafkaSource(broker, f"g-{topic}", [topic])
    publish(broker, topic, ["IBM"])
    drain(source, 1)
    with pytest.raises(BusError, match="commit refused"):
        source.commit({("no-such-topic", 0): 1})
    source.close()


def test_a_topic_that_is_not_there_is_no_silence(broker: str) -> None:
    source = KafkaSource(broker, "g-missing", [f"missing-{uuid.uuid4().hex}"])
    with pytest.raises(BusError, match="Unknown topic"):
        eventually(lambda: bool(source.poll(1, 0.2)))
    source.close()


def test_a_full_queue_is_felt_and_nothing_is_lost(broker: str, topic: str) -> None:
    publisher = KafkaPublisher(broker, queue_messages=100, linger_ms=0)
    accepted = refused = 0
    while refused < 3:
        try:
            publisher.publish(topic, "IBM", b"x" * 1_000)
            accepted += 1
        except BusBackpressureError:
            refused += 1
    assert publisher.flush(20) == 0
    source = KafkaSource(broker, f"g-{topic}", [topic])
    drain(source, accepted)
    assert source.poll(10, 1.0) == []
    source.close()


def test_a_broker_that_is_away_is_waited_for() -> None:
    publisher = KafkaPublisher(NOWHERE, queue_messages=10)
    for _ in range(10):
        publisher.publish("t", "k", b"v")
    with pytest.raises(BusBackpressureError) as full:
        publisher.publish("t", "k", b"v")
    assert full.value.retry_after_seconds > 0
    assert publisher.flush(0.2) == 10


def test_what_the_client_library_says_goes_into_the_log(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    publisher = KafkaPublisher(NOWHERE)
    publisher.publish("t", "k", b"v")
    deadline = time.monotonic() + 20
    while "Connection refused" not in caplog.text:
        assert time.monotonic() < deadline
        assert publisher.flush(0.1) == 1
    assert "librdkafka" in {record.name for record in caplog.records}
    assert capfd.readouterr().err == ""


def test_a_message_that_never_fits_raises_at_once(broker: str, topic: str) -> None:
    publisher = KafkaPublisher(broker)
    with pytest.raises(BusError, match="2000000 bytes"):
        publisher.publish(topic, "k", b"x" * 2_000_000)
    publisher.publish(topic, "k", b"small")  # and the next is welcome
    assert publisher.flush(20) == 0


def test_a_message_for_an_unknown_topic_is_told_to_the_caller(broker: str) -> None:
    publisher = KafkaPublisher(broker)
    publisher.publish(f"missing-{uuid.uuid4().hex}", "k", b"v")
    with pytest.raises(BusError, match="Kafka refused a message"):
        publisher.flush(60)


def test_the_inspector_sees_every_group(broker: str, topic: str) -> None:
    publish(broker, topic, ["IBM", "BAC"] * 10)
    busy, idle = (KafkaSource(broker, f"{name}-{topic}", [topic]) for name in ("busy", "idle"))
    busy.commit(ends(drain(busy, 20)))
    drain(idle, 20)  # reads and never commits
    inspector = KafkaInspector(broker)

    def lags() -> tuple[int | None, int | None]:
        lag = inspector.lag_by_group()
        return lag.get(f"busy-{topic}"), lag.get(f"idle-{topic}")

    eventually(lambda: lags() == (0, 20))
    busy.close()
    idle.close()
    publish(broker, topic, ["IBM"] * 5)
    eventually(lambda: lags()[0] == 5)


def test_the_inspector_sees_the_newest_message(broker: str, topic: str) -> None:
    inspector = KafkaInspector(broker)
    assert inspector.newest_message_ms(topic) is None
    assert inspector.newest_message_ms("no-such-topic") is None
    before = time.time() * 1_000
    publish(broker, topic, ["IBM", "BAC", "MSFT"])
    newest = inspector.newest_message_ms(topic)
    assert newest is not None
    assert before - 1_000 <= newest <= time.time() * 1_000 + 1_000


def test_who_asks_a_broker_that_is_away_is_told() -> None:
    inspector = KafkaInspector(NOWHERE, timeout_seconds=0.5)
    for question in (inspector.lag_by_group, lambda: inspector.newest_message_ms("t")):
        with pytest.raises(BusError, match="does not answer"):
            question()
    with pytest.raises(BusError, match=NOWHERE):
        consumer_lag(NOWHERE, "g", ("t",))

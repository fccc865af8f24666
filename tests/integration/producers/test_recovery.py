"""Published ticks are read back from a real Kafka, as far back as they may be in time."""

import uuid

import pytest

from marketstream.bus.admin import ensure_topics
from marketstream.bus.publisher import KafkaPublisher
from marketstream.contracts.messages import encode
from marketstream.contracts.topics import TICKS
from marketstream.domain.errors import BusError
from marketstream.domain.market import Tick
from marketstream.producers.recovery import read_recent_ticks
from marketstream.settings import Settings

pytestmark = pytest.mark.servers

START_US = 1_700_000_000_000_000


def tick(symbol: str, number: int, event_time_us: int) -> Tick:
    return Tick(
        symbol=symbol,
        price=1.0,
        size=1.0,
        event_time_us=event_time_us,
        received_time_us=START_US,
        provider="test",
        trade_id=str(number),
    )


def publish(settings: Settings, ticks: list[Tick]) -> None:
    ensure_topics(settings.kafka.bootstrap_servers, (TICKS,), settings.kafka.partitions)
    publisher = KafkaPublisher(settings.kafka.bootstrap_servers)
    publisher.publish(TICKS, "nobody", b"no tick at all")
    for each in ticks:
        publisher.publish(TICKS, each.symbol, encode(each))
    assert publisher.flush(30) == 0


@pytest.mark.parametrize(
    ("spacing_us", "at_least", "at_most"),
    [
        (1_000, 12_000, 12_000),  # 12 s in all: every tick may still matter
        (10_000, 2_001, 10_000),  # 20 s suffice; they are in the first step back, and one more is taken at most
    ],
)
def test_the_tail_is_read_as_far_as_it_may_be_in_time(
    kafka_settings: Settings, spacing_us: int, at_least: int, at_most: int
) -> None:
    symbol = uuid.uuid4().hex.upper()
    ticks = [tick(symbol, number, START_US + number * spacing_us) for number in range(12_000)]
    publish(kafka_settings, ticks)
    published = read_recent_ticks(kafka_settings.kafka.bootstrap_servers, 10.0)
    read = [each for each in published.live if each.symbol == symbol]
    assert at_least <= len(read) <= at_most
    assert read == ticks[-len(read) :]


def test_a_broker_that_is_away_is_an_error(kafka_settings: Settings) -> None:
    port = kafka_settings.kafka.controller_port  # speaks another protocol
    with pytest.raises(BusError):
        read_recent_ticks(f"127.0.0.1:{port}", 10.0)

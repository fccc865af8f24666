"""What the tests of past trades share: PostgreSQL's writer beside a real Kafka, and what is on its topics."""

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from confluent_kafka import Consumer, TopicPartition

from marketstream.bootstrap import create_topics
from marketstream.bus.consumer import KafkaSource
from marketstream.bus.publisher import KafkaPublisher
from marketstream.bus.topic_reader import TopicReader
from marketstream.contracts.messages import DeadLetter, decode_tick, encode
from marketstream.contracts.topics import DEAD_LETTERS, TICKS
from marketstream.domain.market import Tick
from marketstream.ports import Message
from marketstream.settings import Settings
from marketstream.storage.service import Flush, WriterService
from marketstream.storage.timescale.reader import TimescaleReader
from marketstream.storage.timescale.writer import TimescaleWriter
from stores import fresh_schema


@dataclass
class PastStand:
    """A Kafka whose `tick_data` is stored in a schema of this test's own, and symbols that no other test uses."""

    settings: Settings

    def put(self, *items: Tick | DeadLetter) -> None:
        """Puts trades and letters on their topics, as the producer would."""
        publisher = KafkaPublisher(self.settings.kafka.bootstrap_servers)
        for item in items:
            topic = TICKS if isinstance(item, Tick) else DEAD_LETTERS
            publisher.publish(topic, item.symbol, encode(item))
        assert publisher.flush(30) == 0

    def messages(self, topic: str, symbol: str) -> list[Message]:
        """What is on a topic for a symbol, oldest first."""
        reader = TopicReader(self.settings.kafka.bootstrap_servers, topic)
        reading = reader.reading()
        found = [each for part in reader.rounds(reading) for each in part.messages if each.key == symbol]
        assert reading.complete
        return sorted(found, key=lambda message: (message.partition, message.offset))

    def size(self, topic: str) -> int:
        """How many messages were ever put on a topic, of all symbols."""
        consumer = Consumer({"bootstrap.servers": self.settings.kafka.bootstrap_servers, "group.id": "test-size"})
        with closing(consumer):
            numbers = consumer.list_topics(topic, timeout=30).topics[topic].partitions
            return sum(consumer.get_watermark_offsets(TopicPartition(topic, number))[1] for number in numbers)

    def published(self, symbol: str) -> list[Tick]:
        """The symbol's trades on `tick_data`."""
        return [decode_tick(message.value) for message in self.messages(TICKS, symbol)]

    def stored(self, symbol: str) -> list[Tick]:
        """The symbol's trades in the table."""
        with closing(TimescaleReader(self.settings.postgres)) as reader:
            return reader.ticks(symbol, start_us=None, end_us=None, limit=1_000_000)

    def wait_stored(self, symbol: str, count: int) -> None:
        """Waits until the table has so many of the symbol's trades."""
        deadline = time.monotonic() + 60
        while (found := len(self.stored(symbol))) != count:
            assert time.monotonic() < deadline, f"{found} of {count} trades are stored"
            time.sleep(0.05)


@contextmanager
def past_stand(server_settings: Callable[..., Settings], **changes: object) -> Iterator[PastStand]:
    """A stand with the writer running."""
    settings = server_settings("kafka", "postgres")
    with fresh_schema(settings.postgres) as postgres:
        own = settings.model_copy(update={"postgres": postgres, "symbols": [new_symbol(), new_symbol()], **changes})
        create_topics(own)
        with writing(own):
            yield PastStand(own)


@contextmanager
def writing(settings: Settings) -> Iterator[None]:
    """PostgreSQL's writer, in a thread."""
    servers = settings.kafka.bootstrap_servers
    stop = threading.Event()
    service = WriterService(
        KafkaSource(servers, TimescaleWriter.name, [TICKS]),
        TimescaleWriter(settings.postgres),
        KafkaPublisher(servers),
        Flush(5_000, 0.05),
        stop,
    )
    thread = threading.Thread(target=service.run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(60)
        assert not thread.is_alive()


def new_symbol() -> str:
    """Nobody else's."""
    return f"T{secrets.token_hex(4).upper()}"

"""The whole writer with real Kafka: stores that go away, processes that die, topics that are made again, poison."""

import itertools
import random
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

from marketstream.bus.admin import consumer_lag, ensure_topics, topic_ids
from marketstream.bus.consumer import KafkaSource
from marketstream.bus.publisher import KafkaPublisher
from marketstream.contracts.messages import decode_dead_letter, encode
from marketstream.domain.market import Bar, Tick
from marketstream.domain.outcomes import Reason
from marketstream.launch.running import running
from marketstream.launch.servers import InfluxServer, PostgresServer, RedisServer
from marketstream.ports import Message, Writer
from marketstream.settings import PostgresSettings, Settings
from marketstream.storage.influx.writer import InfluxWriter
from marketstream.storage.redis.reader import RedisReader
from marketstream.storage.redis.writer import RedisWriter
from marketstream.storage.service import Flush, WriterService
from marketstream.storage.timescale.migrate import migrate
from marketstream.storage.timescale.reader import TimescaleReader
from marketstream.storage.timescale.writer import TimescaleWriter
from stores import (
    MINUTE_US,
    TOPICS,
    Contents,
    empty_redis,
    environment,
    fresh_schema,
    make_bar,
    make_tick,
    read_contents,
    read_influx,
    topic_of,
)

pytestmark = pytest.mark.servers

ALL_TOPICS = (*TOPICS, "feed_events", "dead_letter_queue")
MakeSettings = Callable[[Path], Settings]


def eventually(holds: Callable[[], bool], seconds: float, what: str) -> None:
    """Polls until it holds."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        pause.wait(0.05)


@pytest.fixture(scope="module")
def kafka(server_settings: Callable[..., Settings]) -> Settings:
    settings = server_settings("kafka")
    ensure_topics(settings.kafka.bootstrap_servers, ALL_TOPICS, 4)
    return settings


@pytest.fixture
def symbol() -> str:
    """Nobody else's, on topics that tests share."""
    return f"T{secrets.token_hex(4).upper()}"


@pytest.fixture
def publish(kafka: Settings) -> Callable[[Sequence[Tick | Bar]], None]:
    publisher = KafkaPublisher(kafka.kafka.bootstrap_servers)

    def publish_all(items: Sequence[Tick | Bar]) -> None:
        for item in items:
            publisher.publish(topic_of(item), item.symbol, encode(item))
        assert publisher.flush(20) == 0

    return publish_all


@contextmanager
def serving(kafka: Settings, writer: Writer, group: str) -> Iterator[threading.Thread]:
    """Runs the writer's loop in a thread; the block's end stops it as SIGTERM would."""
    servers = kafka.kafka.bootstrap_servers
    stop = threading.Event()
    service = WriterService(
        KafkaSource(servers, group, TOPICS), writer, KafkaPublisher(servers), Flush(500, 0.05), stop
    )
    thread = threading.Thread(target=service.run)
    thread.start()
    try:
        yield thread
    finally:
        stop.set()
        thread.join(30)
    assert not thread.is_alive()


def stream(symbol: str, start_us: int, numbers: range) -> list[Tick | Bar]:
    """A trade a second, and after each a version of its minute's bar; now and then an older one again."""
    items: list[Tick | Bar] = []
    for number in numbers:
        time_us = start_us + number * 1_000_000
        minute_us = time_us // MINUTE_US * MINUTE_US
        items.append(make_tick(time_us, symbol=symbol, sequence=number + 1, price=100 + number / 7))
        counts = (number + 1, number - 3) if number % 5 == 4 else (number + 1,)
        items += [make_bar(minute_us, max(1, count), symbol=symbol) for count in counts]
    return items


def expected(items: Sequence[Tick | Bar]) -> Contents:
    return Contents.of(
        [item for item in items if isinstance(item, Tick)], [item for item in items if isinstance(item, Bar)]
    )


def only(contents: Contents, symbol: str) -> Contents:
    return Contents(
        frozenset(trade for trade in contents.trades if trade[0] == symbol),
        {key: bar for key, bar in contents.newest_bars.items() if key[0] == symbol},
    )


def recent_us() -> int:
    return (time.time_ns() // 1_000 - 60 * MINUTE_US) // MINUTE_US * MINUTE_US


@pytest.mark.parametrize("name", ["postgres", "redis", "influxdb"])
def test_a_store_that_goes_away_and_comes_back_misses_nothing(
    kafka: Settings,
    isolated_settings: MakeSettings,
    server_settings: Callable[..., Settings],
    tmp_path: Path,
    symbol: str,
    publish: Callable[[Sequence[Tick | Bar]], None],
    name: str,
) -> None:
    if name == "influxdb":
        server_settings("influxdb")  # skips where there is none
    settings = isolated_settings(tmp_path)
    server = {"postgres": PostgresServer, "redis": RedisServer, "influxdb": InfluxServer}[name](settings)
    ids = partial(topic_ids, kafka.kafka.bootstrap_servers)
    writer: Writer = {
        "postgres": lambda: TimescaleWriter(settings.postgres),
        "redis": lambda: RedisWriter(settings.redis, TOPICS, ids),
        "influxdb": lambda: InfluxWriter(settings.influx),
    }[name]()
    reads = {
        "postgres": lambda: read_contents(TimescaleReader(settings.postgres)),
        "redis": lambda: read_contents(RedisReader(settings.redis)),
        "influxdb": lambda: read_influx(settings.influx),
    }[name]
    start_us = recent_us()
    items = stream(symbol, start_us, range(300))
    group = f"test-{secrets.token_hex(4)}"

    with serving(kafka, writer, group) as thread:
        publish(items[:150])
        with running(server, tmp_path / "first.log"):
            if name == "postgres":
                migrate(settings.postgres)
            eventually(lambda: only(reads(), symbol) == expected(items[:150]), 30, "the first half is stored")
        publish(items[150:])  # while the store is away
        with running(server, tmp_path / "second.log"):
            eventually(lambda: only(reads(), symbol) == expected(items), 30, "the second half is stored")
            assert thread.is_alive()
            eventually(lambda: lag(kafka, group) == 0, 20, "everything is committed")


def lag(kafka: Settings, group: str, topics: Sequence[str] = TOPICS) -> int:
    return consumer_lag(kafka.kafka.bootstrap_servers, group, topics)


def test_poison_is_set_aside_and_the_stream_goes_on(
    kafka: Settings,
    server_settings: Callable[..., Settings],
    symbol: str,
    publish: Callable[[Sequence[Tick | Bar]], None],
) -> None:
    settings = server_settings("kafka", "postgres")
    publisher = KafkaPublisher(kafka.kafka.bootstrap_servers)
    good = stream(symbol, recent_us(), range(50))
    undecodable = [b"", b"{", b'{"symbol":7}', b"\xff\xfe"]
    refused = make_tick(-5, symbol=symbol)  # before 1970: a tick, but of no partition

    with fresh_schema(settings.postgres) as own, closing(TimescaleReader(own)) as reader:
        publish(good[:40])
        for value in (*undecodable, encode(refused)):
            publisher.publish("tick_data", symbol, value)
        assert publisher.flush(10) == 0
        publish(good[40:])
        with serving(kafka, TimescaleWriter(own), f"test-{secrets.token_hex(4)}"):
            eventually(
                lambda: only(read_contents(reader), symbol) == expected(good), 30, "all but the poison is stored"
            )
            letters = dead_letters(kafka, symbol, 5)

    assert sorted((letter.reason, letter.raw_size_bytes) for letter in letters) == sorted(
        [(Reason.INVALID_FIELD, len(encode(refused))), *((Reason.UNDECODABLE, len(value)) for value in undecodable)]
    )
    assert {letter.provider for letter in letters} == {"timescale-writer"}


def dead_letters(kafka: Settings, symbol: str, count: int) -> list:
    source = KafkaSource(kafka.kafka.bootstrap_servers, f"test-{secrets.token_hex(4)}", ["dead_letter_queue"])
    found = []

    def enough() -> bool:
        found.extend(decode_dead_letter(m.value) for m in source.poll(100, 0.5) if m.key == symbol)
        return len(found) >= count

    try:
        eventually(enough, 30, f"{count} dead letters")
    finally:
        source.close()
    return found


@pytest.mark.timeout(900)
def test_writers_killed_again_and_again_lose_nothing_and_count_nothing_twice(
    request: pytest.FixtureRequest,
    server_settings: Callable[..., Settings],
    kafka: Settings,
    tmp_path: Path,
    symbol: str,
    publish: Callable[[Sequence[Tick | Bar]], None],
) -> None:
    names = ["redis-writer", "timescale-writer"]
    settings = server_settings("kafka", "redis", "postgres")
    cache = empty_redis(settings.redis)
    items = stream(symbol, 1_381_152_600_000_000, range(900))
    with fresh_schema(settings.postgres) as own:
        here = settings.model_copy(update={"postgres": own, "redis": cache})
        chance = random.Random(11)
        processes = {name: start(name, here, tmp_path) for name in names}
        request.addfinalizer(lambda: kill(processes.values()))
        for part in range(0, len(items), 300):
            publish(items[part : part + 300])
            name = names[part // 300 % 2]
            threading.Event().wait(chance.uniform(0.5, 2.0))  # so that it dies somewhere in the midst of its work
            processes[name].kill()
            processes[name].wait(10)
            processes[name] = start(name, here, tmp_path)
        with closing(TimescaleReader(own)) as reader, closing(RedisReader(cache)) as cached:
            eventually(lambda: only(read_contents(reader), symbol) == expected(items), 200, "all is in PostgreSQL")
            eventually(lambda: len(cached.ticks(symbol, start_us=None, end_us=None, limit=1_000)) == 900, 200, "Redis")
            read = [topic for topic in TOPICS if topic != "quote_data"]  # which only one of the two reads
            eventually(lambda: sum(lag(kafka, name, read) for name in names) == 0, 200, "all is committed")
            assert cached.ticks(symbol, start_us=None, end_us=None, limit=1_000) == [
                item for item in items if isinstance(item, Tick)
            ]
        for process in processes.values():
            process.send_signal(signal.SIGTERM)
        assert [process.wait(20) for process in processes.values()] == [0, 0]


def kill(processes: Iterable[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        process.kill()
        process.wait(10)


def start(name: str, settings: Settings, folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", "from marketstream.cli import main; main()", "run", name]
    with (folder / f"{name}.log").open("ab") as log:
        return subprocess.Popen(command, env=environment(settings), stdout=log, stderr=log)


class RecordingWriter(TimescaleWriter):
    """Remembers the next offset after each partition's last stored message."""

    def __init__(self, settings: PostgresSettings) -> None:
        super().__init__(settings)
        self.stored: dict[tuple[str, int], int] = {}

    def write(self, batch: Sequence[Message]) -> None:
        super().write(batch)
        self.stored |= {(message.topic, message.partition): message.offset + 1 for message in batch}


def committed(kafka: Settings, group: str, positions: Iterable[tuple[str, int]]) -> dict[tuple[str, int], int]:
    consumer = Consumer({"bootstrap.servers": kafka.kafka.bootstrap_servers, "group.id": group})
    try:
        found = consumer.committed([TopicPartition(topic, partition) for topic, partition in positions], timeout=10)
        return {(each.topic, each.partition): each.offset for each in found}
    finally:
        consumer.close()


def test_a_stopped_writer_has_committed_all_it_stored(
    kafka: Settings,
    server_settings: Callable[..., Settings],
    symbol: str,
    publish: Callable[[Sequence[Tick | Bar]], None],
) -> None:
    settings = server_settings("kafka", "postgres")
    group = f"test-{secrets.token_hex(4)}"
    publish(stream(symbol, 1_381_152_600_000_000, range(30)))
    with fresh_schema(settings.postgres) as own:
        writer = RecordingWriter(own)
        with serving(kafka, writer, group):
            eventually(lambda: len(writer.stored) > 0, 30, "something is stored")  # and then stopped in full flight

    assert committed(kafka, group, writer.stored) == writer.stored


def test_a_topic_made_again_is_told_from_the_old_one(kafka: Settings) -> None:
    servers = kafka.kafka.bootstrap_servers
    topic = f"test-{secrets.token_hex(4)}"
    admin = AdminClient({"bootstrap.servers": servers})
    seen = []
    for _ in range(2):
        ensure_topics(servers, (topic,), 1)
        seen.append(topic_ids(servers, [topic])[topic])
        assert topic_ids(servers, [topic])[topic] == seen[-1]
        admin.delete_topics([topic])[topic].result(10)
        eventually(lambda: topic not in admin.list_topics(timeout=5).topics, 20, "the topic is gone")

    assert seen[0] != seen[1]


def test_while_held_the_member_stays_and_then_goes_on_where_it_was(kafka: Settings) -> None:
    servers = kafka.kafka.bootstrap_servers
    topic = f"test-{secrets.token_hex(4)}"
    ensure_topics(servers, (topic,), 2)
    publisher = KafkaPublisher(servers)
    sent = [f"{number}".encode() for number in range(400)]
    for value, key in zip(sent, itertools.cycle("abcd")):
        publisher.publish(topic, key, value)
    assert publisher.flush(10) == 0
    source = KafkaSource(servers, f"test-{secrets.token_hex(4)}", [topic])
    taken: list[bytes] = []

    def take() -> bool:
        taken.extend(message.value for message in source.poll(90, 0.2))
        source.hold(0.02)
        return len(taken) >= len(sent)

    try:
        eventually(take, 30, "all messages")
        source.hold(0.5)
        assert source.poll(10, 0.2) == []
    finally:
        source.close()
    assert sorted(taken, key=int) == sent

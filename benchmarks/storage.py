"""How fast the stores take data, and what the Redis writer costs and adds at a steady rate.

Rows a second into PostgreSQL by the writer's COPY and, for comparison, by execute_values; messages a second into Redis;
then the Redis writer's own process under 1,000 ticks and 3,000 bar updates a second: its share of a core, and the time
from a tick's hand-over to Kafka until it is readable in Redis. Starts servers of its own on free ports.
"""

import argparse
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from threading import Event, Thread

import psutil
import redis
from psycopg2.extras import execute_values

from marketstream.bus.admin import ensure_topics
from marketstream.bus.publisher import KafkaPublisher
from marketstream.contracts.messages import decode_tick, encode
from marketstream.contracts.topics import all_topics
from marketstream.domain.market import Bar, Tick
from marketstream.launch.running import running
from marketstream.launch.secrets import ensure_secrets
from marketstream.launch.servers import KafkaServer, PostgresServer, RedisServer
from marketstream.ports import Message, Writer
from marketstream.settings import PostgresSettings, Settings, load_settings
from marketstream.storage.main import input_topics
from marketstream.storage.redis.writer import RedisWriter
from marketstream.storage.timescale.connection import connect
from marketstream.storage.timescale.migrate import migrate
from marketstream.storage.timescale.writer import TimescaleWriter

SYMBOLS = [f"S{number:02d}USDT" for number in range(20)]
INTERVALS_US = {"1min": 60_000_000, "5min": 300_000_000, "15min": 900_000_000}
START_US = 1_381_152_600_000_000
TICKS_PER_SECOND = 1_000
PERCENTILES = (50, 95, 99, 99.9)
CHANCE = random.Random(7)  # noqa: S311  # figures, no secret

EXECUTE_VALUES = """
    insert into tick_data (symbol, event_time, received_time, price, size, provider, trade_id, sequence, exchange, side,
                           asset_class, conditions)
    values %s on conflict do nothing
"""
EXECUTE_VALUES_ROW = """(
    %s, timestamptz 'epoch' + %s * interval '1 microsecond', timestamptz 'epoch' + %s * interval '1 microsecond',
    %s, %s, %s, %s, %s, %s, %s, %s, %s::text[])"""


def isolated(data_dir: Path) -> Settings:
    """Settings on free ports."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(4)]
        for listener in sockets:
            listener.bind(("127.0.0.1", 0))
        kafka, controller, postgres, cache = (listener.getsockname()[1] for listener in sockets)
    ensure_secrets(data_dir)
    return load_settings(
        data_dir=data_dir,
        kafka={"port": kafka, "controller_port": controller},
        postgres={"port": postgres},
        redis={"port": cache},
    )


def make_tick(number: int) -> Tick:
    """One of a thousand trades a second over all symbols."""
    return Tick(
        symbol=SYMBOLS[number % len(SYMBOLS)],
        price=round(100 + CHANCE.gauss(0, 1), 2),
        size=round(CHANCE.expovariate(1), 4),
        event_time_us=START_US + number * 1_000,
        received_time_us=time.time_ns() // 1_000,
        provider="binance",
        trade_id=str(number),
        sequence=number,
        asset_class="crypto",
        side="buy",
    )


def bars_of(tick: Tick) -> Iterator[Bar]:
    """A version of each interval's bar, as Spark emits them for every trade."""
    for name, length in INTERVALS_US.items():
        start_us = tick.event_time_us // length * length
        yield Bar(
            symbol=tick.symbol,
            interval=name,
            start_us=start_us,
            end_us=start_us + length,
            open=tick.price,
            high=tick.price,
            low=tick.price,
            close=tick.price,
            volume=tick.size,
            vwap=tick.price,
            trade_count=tick.sequence + 1,
            last_event_time_us=tick.event_time_us,
            last_received_time_us=tick.received_time_us,
        )


def topic_of(item: Tick | Bar) -> str:
    """Where it is published."""
    return "tick_data" if isinstance(item, Tick) else f"aggregated_data_{item.interval}"


def messages_of(items: Sequence[Tick | Bar]) -> list[Message]:
    """As they come from the broker, one partition per topic."""
    offsets: dict[str, int] = {}
    messages = []
    for item in items:
        topic = topic_of(item)
        offsets[topic] = offsets.get(topic, -1) + 1
        messages.append(Message(topic, 0, offsets[topic], item.symbol, encode(item), 0))
    return messages


def rate(count: int, run: Callable[[], None]) -> float:
    """How many a second."""
    begun = time.perf_counter()
    run()
    return count / (time.perf_counter() - begun)


def write_rate(writer: Writer, messages: Sequence[Message], size: int) -> float:
    """Messages a second through a writer in batches of this size, decoding included."""

    def write_all() -> None:
        for index in range(0, len(messages), size):
            writer.write(messages[index : index + size])

    writer.setup()
    try:
        return rate(len(messages), write_all)
    finally:
        writer.close()


def execute_values_rate(settings: PostgresSettings, ticks: Sequence[Tick], size: int) -> float:
    """Ticks a second into the same table by psycopg2's execute_values, decoding left out."""
    connection = connect(settings, "writer", statement_seconds=60)

    def insert_all() -> None:
        for index in range(0, len(ticks), size):
            rows = [tick_values(tick) for tick in ticks[index : index + size]]
            with connection, connection.cursor() as cursor:
                execute_values(cursor, EXECUTE_VALUES, rows, template=EXECUTE_VALUES_ROW, page_size=1_000)

    with closing(connection):
        return rate(len(ticks), insert_all)


def tick_values(tick: Tick) -> tuple[object, ...]:
    """In the statement's order."""
    names = "symbol event_time_us received_time_us price size provider trade_id sequence exchange side asset_class"
    return (*(getattr(tick, name) for name in names.split()), list(tick.conditions))


def postgres_rates(settings: Settings, count: int) -> dict[str, float]:
    """Ticks a second by way and batch size; each run has new trades of the same day."""
    migrate(settings.postgres)
    numbers = iter(range(10**9))
    figures = {}

    def new_ticks(how_many: int) -> list[Tick]:
        return [make_tick(next(numbers)) for _ in range(how_many)]

    write_rate(TimescaleWriter(settings.postgres), messages_of(new_ticks(1_000)), 1_000)  # makes the day's partition
    for size in (500, 5_000):
        writer = TimescaleWriter(settings.postgres)
        figures[f"PostgreSQL, writer (decode, COPY, insert), batches of {size}"] = write_rate(
            writer, messages_of(new_ticks(count)), size
        )
        figures[f"PostgreSQL, execute_values (no decoding), batches of {size}"] = execute_values_rate(
            settings.postgres, new_ticks(count), size
        )
    ticks = new_ticks(count // 3)
    bars = messages_of([bar for tick in ticks for bar in bars_of(tick)])
    figures["PostgreSQL, writer, bar updates, batches of 5000"] = write_rate(
        TimescaleWriter(settings.postgres), bars, 5_000
    )
    return figures


def redis_rates(settings: Settings, count: int) -> dict[str, float]:
    """Messages a second by kind and batch size."""
    ticks = [make_tick(number) for number in range(count)]
    bars = [bar for tick in ticks[: count // 3] for bar in bars_of(tick)]
    figures = {}
    for kind, messages in (("ticks", messages_of(ticks)), ("bar updates", messages_of(bars))):
        for size in (10, 500, 5_000):
            part = messages[: size * 500]
            with closing(redis_client(settings)) as client:
                client.flushdb()
            writer = RedisWriter(settings.redis, input_topics(settings), lambda topics: dict.fromkeys(topics, "same"))
            figures[f"Redis, {kind}, batches of {size}"] = write_rate(writer, part, size)
    return figures


def redis_client(settings: Settings) -> redis.Redis:
    """Straight to the server."""
    return redis.Redis(port=settings.redis.port, password=settings.redis.password.get_secret_value())


class Load:
    """Publishes ticks and bar updates at an even rate, and remembers when it handed over each tick of one symbol."""

    def __init__(self, settings: Settings) -> None:
        self._publisher = KafkaPublisher(settings.kafka.bootstrap_servers)
        self._stop = Event()
        self._thread = Thread(target=self._run)
        self.sent_us: list[int] = []  # of SYMBOLS[0], in order

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._publisher.flush(10)

    def _run(self) -> None:
        begun = time.monotonic()
        number = 0
        while not self._stop.is_set():
            due = int((time.monotonic() - begun) * TICKS_PER_SECOND)
            while number < due:
                tick = make_tick(number)
                if number % len(SYMBOLS) == 0:
                    self.sent_us.append(tick.received_time_us)
                for item in (tick, *bars_of(tick)):
                    self._publisher.publish(topic_of(item), item.symbol, encode(item))
                number += 1
            self._stop.wait(0.001)


def steady(settings: Settings, seconds: float) -> dict[str, float]:
    """The Redis writer's process under the load: its share of a core, and milliseconds from hand-over to readable."""
    ensure_topics(settings.kafka.bootstrap_servers, all_topics(settings.intervals), settings.kafka.partitions)
    with closing(redis_client(settings)) as client:
        client.flushdb()
        with Load(settings) as load, writer_process(settings) as process:
            watch(client, load, 10.0)  # warm-up
            before = process.cpu_times()
            latencies = watch(client, load, seconds)
            after = process.cpu_times()
    used = (after.user + after.system) - (before.user + before.system)
    ordered = sorted(latencies)
    figures = {"Redis writer at 1,000 ticks/s + 3,000 bar updates/s, % of a core": 100 * used / seconds}
    for percentile in PERCENTILES:
        place = min(len(ordered) - 1, int(len(ordered) * percentile / 100))
        figures[f"Redis writer, hand-over to Kafka to readable, p{percentile:g}, ms"] = ordered[place]
    return figures


def watch(client: redis.Redis, load: Load, seconds: float) -> list[float]:
    """Milliseconds until each of the symbol's ticks, or a later one, was seen."""
    key = f"latest_price:{SYMBOLS[0]}"
    seen = len(load.sent_us)
    latencies: list[float] = []
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = client.get(key)
        now_us = time.time_ns() // 1_000
        newest = decode_tick(value).sequence // len(SYMBOLS) if value else -1
        latencies += [(now_us - sent_us) / 1_000 for sent_us in load.sent_us[seen : newest + 1]]
        seen = max(seen, newest + 1)
        time.sleep(0.0005)
    return latencies


@contextmanager
def writer_process(settings: Settings) -> Iterator[psutil.Process]:
    """`marketstream run redis-writer` for as long as the block lasts."""
    environment = {
        **os.environ,
        "MARKETSTREAM_DATA_DIR": str(settings.data_dir),
        "MARKETSTREAM_KAFKA__PORT": str(settings.kafka.port),
        "MARKETSTREAM_REDIS__PORT": str(settings.redis.port),
    }
    command = [sys.executable, "-c", "from marketstream.cli import main; main()", "run", "redis-writer"]
    process = subprocess.Popen(command, env=environment)
    try:
        yield psutil.Process(process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000, help="ticks per run")
    parser.add_argument("--seconds", type=float, default=30.0, help="of the steady load")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        settings = isolated(Path(folder))
        figures: dict[str, float] = {}
        with running(PostgresServer(settings), Path(folder) / "postgres.log"):
            figures |= postgres_rates(settings, options.count)
        with running(RedisServer(settings), Path(folder) / "redis.log"):
            figures |= redis_rates(settings, options.count)
            with running(KafkaServer(settings), Path(folder) / "kafka.log"):
                figures |= steady(settings, options.seconds)
    for name, figure in figures.items():
        print(f"{name:<75} {figure:>12,.1f}" if figure < 1_000 else f"{name:<75} {figure:>12,.0f}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()

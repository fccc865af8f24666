"""What the Redis writer costs and adds under a steady load, watched from outside."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from threading import Event, Thread

import psutil
import redis
from storage_kit.samples import SYMBOLS, TICKS_PER_SECOND, bars_of, make_tick, topic_of

from marketstream.bus.admin import ensure_topics
from marketstream.bus.publisher import KafkaPublisher
from marketstream.contracts.messages import decode_tick, encode
from marketstream.contracts.topics import all_topics
from marketstream.settings import Settings

PERCENTILES = (50, 95, 99, 99.9)


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
def writer_process(settings: Settings, writer: str = "redis-writer") -> Iterator[psutil.Process]:
    """`marketstream run <writer>` for as long as the block lasts."""
    given = {
        "DATA_DIR": str(settings.data_dir),
        "KAFKA__PORT": str(settings.kafka.port),
        "POSTGRES__PORT": str(settings.postgres.port),
        "REDIS__PORT": str(settings.redis.port),
        "INFLUX__PORT": str(settings.influx.port),
    }
    environment = os.environ | {f"MARKETSTREAM_{name}": value for name, value in given.items()}
    command = [sys.executable, "-c", "from marketstream.cli import main; main()", "run", writer]
    process = subprocess.Popen(command, env=environment)
    try:
        yield psutil.Process(process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)

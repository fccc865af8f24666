"""Where the milliseconds go: socket → tick in Redis, bar in Redis through Spark, bar over REST, both in PostgreSQL.

Starts a whole platform of its own, feeds it an even stream of generated trades through the replay server, and looks at
every store from outside, as a user would. A tick counts as visible in a store at the first look that shows it or a
later one of its symbol; a bar, at the first look whose trade count includes the tick. Looks have a pause between them
(stated in the report), which is part of the figure. Receive times are the ticks' own `received_time_us`.
"""

import argparse
import bisect
import json
import os
import platform as machine
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg2
import redis
from confluent_kafka import Consumer, TopicPartition

from marketstream.contracts.messages import decode_bar, decode_tick
from marketstream.domain.market import Tick
from marketstream.settings import Settings
from marketstream.testing.platform import Platform

SYMBOLS = [f"S{number:02d}USDT" for number in range(1, 21)]
WINDOW = "1min"
# Looking costs processor time that the platform then lacks: seldom enough to matter little, often enough to tell.
_REST_PAUSE_SECONDS = 0.025
_POSTGRES_PAUSE_SECONDS = 0.05
PERCENTILES = (50, 95, 99, 99.9)


@dataclass
class Watch:
    """What was seen of one symbol in one place: at each look, a rising mark and the time of the look in µs."""

    marks: list[Any] = field(default_factory=list)
    seen_us: list[int] = field(default_factory=list)

    def look(self, mark: Any) -> None:
        """Remembers the mark if it is newer than all before."""
        if not self.marks or mark > self.marks[-1]:
            self.marks.append(mark)
            self.seen_us.append(time.time_ns() // 1_000)

    def first_at_or_after(self, mark: Any) -> int | None:
        """When this mark, or one past it, was first seen; None for those before the first look."""
        index = bisect.bisect_left(self.marks, mark)
        return self.seen_us[index] if 0 < index < len(self.marks) else None


Watches = dict[str, dict[str, Watch]]


def watch_redis(settings: Settings, watches: Watches, stop: threading.Event, pause: float) -> None:
    """Looks at every symbol's latest tick and bar."""
    client = redis.Redis(
        host=settings.redis.host, port=settings.redis.port, password=settings.redis.password.get_secret_value()
    )
    keys = [f"latest_price:{symbol}" for symbol in SYMBOLS] + [f"aggregated:{symbol}:{WINDOW}" for symbol in SYMBOLS]
    before: list[bytes | None] = [None] * len(keys)
    while not stop.wait(pause):
        values = client.mget(keys)
        for index, (value, old) in enumerate(zip(values, before, strict=True)):
            if value is None or value == old:
                continue
            symbol = SYMBOLS[index % len(SYMBOLS)]
            message = json.loads(value)
            if index < len(SYMBOLS):
                watches["redis tick"][symbol].look((message["event_time_us"], message["sequence"]))
            else:
                watches["redis bar"][symbol].look((message["start_us"], message["trade_count"]))
        before = values


def watch_rest(settings: Settings, watches: Watches, stop: threading.Event, pause: float) -> None:
    """Asks for one symbol's newest bar again and again."""
    url = f"http://{settings.serving.host}:{settings.serving.api_port}/api/v1/aggregated/{SYMBOLS[0]}"
    with httpx.Client(timeout=10) as client:
        while not stop.wait(pause):
            bars = client.get(url, params={"window": WINDOW, "limit": 1}).raise_for_status().json()["bars"]
            for bar in bars:
                watches["rest bar"][SYMBOLS[0]].look((bar["start_us"], bar["trade_count"]))


def watch_postgres(settings: Settings, watches: Watches, stop: threading.Event, pause: float) -> None:
    """Asks for one symbol's newest tick and bar again and again."""
    options = settings.postgres
    connection = psycopg2.connect(
        host=options.host,
        port=options.port,
        dbname=options.database,
        user=options.reader,
        password=options.reader_password.get_secret_value(),
    )
    connection.autocommit = True
    newest_tick = (
        "select (extract(epoch from event_time) * 1000000)::bigint, sequence from tick_data "
        "where symbol = %s and event_time > now() - interval '2 minutes' "
        "order by event_time desc, sequence desc limit 1"
    )
    newest_bar = (
        "select (extract(epoch from start_time) * 1000000)::bigint, trade_count from aggregated_data "
        "where symbol = %s and interval = %s and start_time > now() - interval '5 minutes' "
        "order by start_time desc limit 1"
    )
    with connection.cursor() as cursor:
        while not stop.wait(pause):
            cursor.execute(newest_tick, (SYMBOLS[0],))
            for row in cursor.fetchall():
                watches["postgres tick"][SYMBOLS[0]].look(tuple(row))
            cursor.execute(newest_bar, (SYMBOLS[0], WINDOW))
            for row in cursor.fetchall():
                watches["postgres bar"][SYMBOLS[0]].look(tuple(row))
    connection.close()


def read_topic(settings: Settings, topic: str, since_us: int) -> list[tuple[int, bytes]]:
    """Everything on a topic since a moment: (Kafka's create time in ms, value)."""
    consumer = Consumer({"bootstrap.servers": settings.kafka.bootstrap_servers, "group.id": "latency-benchmark"})
    partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    starts = consumer.offsets_for_times(
        [TopicPartition(topic, partition, since_us // 1_000) for partition in partitions], timeout=10
    )
    ends = {p: consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=10)[1] for p in partitions}
    consumer.assign(starts)
    waiting = {start.partition for start in starts if 0 <= start.offset < ends[start.partition]}
    messages = []
    while waiting:
        for message in consumer.consume(5_000, timeout=1):
            if message.error() is None:
                messages.append((message.timestamp()[1], message.value()))
                if message.offset() >= ends[message.partition()] - 1:
                    waiting.discard(message.partition())
    consumer.close()
    return messages


def report(name: str, values: list[float], note: str = "") -> dict[str, float]:
    """Prints one line of percentiles and returns them."""
    if not values:
        print(f"{name:<46} no samples")
        return {}
    ordered = sorted(values)
    figures = {f"p{p:g}": ordered[min(len(ordered) - 1, int(len(ordered) * p / 100))] for p in PERCENTILES}
    shown = "  ".join(f"{label} {value:8.1f}" for label, value in figures.items())
    print(f"{name:<46} {shown}  max {ordered[-1]:8.1f} ms  n={len(ordered)} {note}")
    return figures | {"max": ordered[-1], "n": len(ordered)}


def ordinals(ticks: list[Tick]) -> dict[tuple[str, int], tuple[int, int]]:
    """For each (symbol, sequence): its bar's start and the bar's trade count once it is in."""
    counted: dict[tuple[str, int], int] = {}
    found = {}
    for tick in sorted(ticks, key=lambda tick: tick.order):
        start = tick.event_time_us - tick.event_time_us % 60_000_000
        counted[tick.symbol, start] = counted.get((tick.symbol, start), 0) + 1
        found[tick.symbol, tick.sequence] = (start, counted[tick.symbol, start])
    return found


def measure(settings: Settings, warm_up: float, seconds: float, pause: float) -> dict[str, Any]:
    """Watches for a while, then works out every tick's way."""
    places = ("redis tick", "redis bar", "rest bar", "postgres tick", "postgres bar")
    watches: Watches = {place: {symbol: Watch() for symbol in SYMBOLS} for place in places}
    print(f"warming up for {warm_up:g} s …", flush=True)
    time.sleep(warm_up)
    stop = threading.Event()
    began_us = time.time_ns() // 1_000
    watchers: list[tuple[Callable[..., None], float]] = [
        (watch_redis, pause),
        (watch_rest, _REST_PAUSE_SECONDS),
        (watch_postgres, _POSTGRES_PAUSE_SECONDS),
    ]
    threads = [threading.Thread(target=watch, args=(settings, watches, stop, each)) for watch, each in watchers]
    psutil.cpu_times_percent()
    for thread in threads:
        thread.start()
    print(f"measuring for {seconds:g} s …", flush=True)
    time.sleep(seconds)
    stop.set()
    for thread in threads:
        thread.join()
    ended_us = time.time_ns() // 1_000
    used = psutil.cpu_times_percent()
    print(f"processors meanwhile: {used.idle:.0f} % idle, {used.steal:.0f} % taken by the machine's other guests")
    time.sleep(3)
    # A minute more than was watched, so that a bar's earlier trades are counted too.
    stamped = [(at, decode_tick(value)) for at, value in read_topic(settings, "tick_data", began_us - 61_000_000)]
    bars = [(at, decode_bar(value)) for at, value in read_topic(settings, f"aggregated_data_{WINDOW}", began_us)]
    return evaluate(stamped, bars, watches, began_us + 1_000_000, ended_us - 2_000_000)


def evaluate(stamped: list, bars: list, watches: Watches, began_us: int, ended_us: int) -> dict[str, Any]:
    """Prints and returns the percentiles of each stage and place."""
    ordinal = ordinals([tick for _, tick in stamped])
    inside = [(at, tick) for at, tick in stamped if began_us <= tick.received_time_us < ended_us]
    delays: dict[str, list[float]] = {place: [] for place in watches}
    for _, tick in inside:
        for place, by_symbol in watches.items():
            mark = tick.order if place.endswith("tick") else ordinal[tick.symbol, tick.sequence]
            seen = by_symbol[tick.symbol].first_at_or_after(mark)
            if seen is not None:
                delays[place].append((seen - tick.received_time_us) / 1_000)
    span = (ended_us - began_us) / 1e6
    figures: dict[str, Any] = {"ticks_per_second": len(inside) / span}
    print(f"\n{len(inside)} ticks in {span:.0f} s: {len(inside) / span:.0f} a second over {len(SYMBOLS)} symbols\n")
    print("from the socket's receive to:")
    figures["redis tick"] = report("(a) tick in Redis", delays["redis tick"], "p99 ≤ 20?")
    figures["redis bar"] = report("(b) bar with it in Redis, through Spark", delays["redis bar"], "p99 ≤ 100?")
    figures["rest bar"] = report("(c) bar with it over REST", delays["rest bar"])
    figures["postgres tick"] = report("(d) tick in PostgreSQL", delays["postgres tick"], "p99 ≤ 1000?")
    figures["postgres bar"] = report("(d) bar with it in PostgreSQL", delays["postgres bar"], "p99 ≤ 1000?")
    print("\nby stage:")
    produced = [at - tick.received_time_us / 1_000 for at, tick in inside]
    figures["publish"] = report("event time → socket (the feed)", feed_delay(inside))
    figures["socket to kafka"] = report("socket → handed to Kafka (ms clock)", produced)
    through = [at - bar.last_received_time_us / 1_000 for at, bar in bars if bar.last_received_time_us >= began_us]
    figures["socket to bar"] = report("socket → bar handed to Kafka by Spark (ms clock)", through)
    return figures


def feed_delay(inside: list) -> list[float]:
    """How far behind its event time each tick was received."""
    return [(tick.received_time_us - tick.event_time_us) / 1_000 for _, tick in inside]


def main() -> None:
    """Runs the benchmark and prints its report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=1_000, help="ticks a second")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--warm-up", type=float, default=60)
    parser.add_argument("--pause", type=float, default=0.002, help="seconds between looks at Redis")
    parser.add_argument("--trigger", default="realtime")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--keep", type=Path, help="keep the platform's data and logs here")
    options = parser.parse_args()
    environment = {
        "SYMBOLS": ",".join(SYMBOLS),
        "PROVIDERS": "binance",
        "REPLAY__TICKS_PER_SECOND": str(options.rate),
        "REPLAY__ARRIVALS": "even",
        "STREAMING__TRIGGER": options.trigger,
    }
    print(f"{machine.processor() or machine.machine()}, {os.cpu_count()} cores, Python {sys.version.split()[0]}")
    with tempfile.TemporaryDirectory(prefix="marketstream-latency-") as scratch:
        folder = (options.keep or Path(scratch)).absolute() / "data"
        folder.parent.mkdir(parents=True, exist_ok=True)
        running = Platform(folder, environment)
        running.environment["MARKETSTREAM_BINANCE__WEBSOCKET_URL"] = (
            f"ws://127.0.0.1:{running.environment['MARKETSTREAM_REPLAY__PORT']}"
        )
        with running:
            figures = measure(running.settings, options.warm_up, options.seconds, options.pause)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()

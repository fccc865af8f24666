"""How fast the stores take data, how a writer catches up that was away, what the Redis writer adds at a steady rate.

Rows a second into PostgreSQL by the writer's COPY and, for comparison, by execute_values; messages a second into
InfluxDB and Redis; then the Redis writer's own process under 1,000 ticks and 3,000 bar updates a second: its share of a
core, and the time from a tick's hand-over to Kafka until it is readable in Redis. `--catch-up N` instead puts N ticks
onto `tick_data` and starts each writer's process on them: messages a second from Kafka to the store's commit, and its
memory meanwhile; it fails where memory grows. Starts servers of its own on free ports.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psutil
from common.broker import make_topics
from common.machine import cpu_name
from psycopg2.extras import execute_values
from storage_kit import catch_up as catching
from storage_kit.samples import bars_of, make_tick, messages_of
from storage_kit.steady import redis_client, steady

from marketstream.contracts import tables
from marketstream.contracts.topics import all_topics
from marketstream.domain.market import Tick
from marketstream.launch.running import running
from marketstream.launch.secrets import ensure_secrets
from marketstream.launch.servers import InfluxServer, KafkaServer, PostgresServer, RedisServer, Server
from marketstream.ports import Message, Writer
from marketstream.settings import PostgresSettings, Settings, load_settings
from marketstream.storage.influx.writer import InfluxWriter
from marketstream.storage.main import input_topics
from marketstream.storage.redis.writer import RedisWriter
from marketstream.storage.timescale.connection import connect
from marketstream.storage.timescale.migrate import migrate
from marketstream.storage.timescale.writer import TimescaleWriter
from marketstream.testing.platform import free_ports

AIMS = {"timescale-writer": 60_000, "redis-writer": 29_000}
WRITERS = ("timescale-writer", "redis-writer", "influx-writer")


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
    kafka, controller, postgres, cache, influx = free_ports(5)
    ensure_secrets(data_dir)
    return load_settings(
        data_dir=data_dir,
        kafka={"port": kafka, "controller_port": controller, "metrics_port": 0},
        postgres={"port": postgres},
        redis={"port": cache},
        influx={"port": influx},
    )


@contextmanager
def served(settings: Settings, kind: type[Server]) -> Iterator[catching.Place]:
    """The server, for as long as the block lasts."""
    server = kind(settings)
    with running(server, settings.data_dir / f"{server.name}.log") as process:
        yield catching.Place(psutil.Process(process.pid), server.directory)


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


def influx_rates(settings: Settings, count: int) -> dict[str, float]:
    """Messages a second by kind."""
    ticks = [make_tick(number) for number in range(count)]
    bars = [bar for tick in ticks[: count // 3] for bar in bars_of(tick)]
    kinds = {"ticks": messages_of(ticks), "bar updates": messages_of(bars)}
    return {
        f"InfluxDB, {kind}, batches of 5000": write_rate(InfluxWriter(settings.influx), messages, 5_000)
        for kind, messages in kinds.items()
    }


def rates(settings: Settings, options: argparse.Namespace) -> dict[str, float]:
    """Every store's figures, and the Redis writer's under a steady load."""
    figures: dict[str, float] = {}
    with served(settings, PostgresServer):
        figures |= postgres_rates(settings, options.count)
    with served(settings, InfluxServer):
        figures |= influx_rates(settings, options.count)
    with served(settings, RedisServer):
        figures |= redis_rates(settings, options.count)
        with served(settings, KafkaServer):
            figures |= steady(settings, options.seconds)
    for name, figure in figures.items():
        print(f"{name:<75} {figure:>12,.1f}" if figure < 1_000 else f"{name:<75} {figure:>12,.0f}")
    return figures


def catch_up(settings: Settings, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Each writer in turn, on the same backlog, with nothing but the broker and its store beside it."""
    found: list[dict[str, Any]] = []
    with served(settings, KafkaServer) as broker:
        make_topics(settings, all_topics(settings.intervals))
        rate = catching.fill(settings, options.catch_up)
        size = broker.bytes_on_disk() / options.catch_up
        print(f"{options.catch_up:,} ticks put onto tick_data at {rate:,.0f}/s, {size:.0f} bytes each", flush=True)
        for writer in options.writers.split(","):
            with store_of(writer, settings) as store:
                caught = catching.catch_up(settings, writer, options.catch_up, store, broker)
                stored = stored_ticks(settings.postgres) if writer == "timescale-writer" else None
            found.append(catching.report(caught, stored) | {"broker_bytes": size})
            if aim := AIMS.get(writer):
                verdict = "reached" if found[-1]["ticks_per_second"] >= aim else "MISSED"
                print(f"  aim {aim:,} ticks/s: {verdict}", flush=True)
    if not all(each["flat"] and each["stored"] in (None, options.catch_up) for each in found):
        raise SystemExit("a writer's memory grew, or its store has not everything")
    return found


@contextmanager
def store_of(writer: str, settings: Settings) -> Iterator[catching.Place]:
    """The writer's store, running and ready."""
    kinds = {"timescale-writer": PostgresServer, "redis-writer": RedisServer, "influx-writer": InfluxServer}
    with served(settings, kinds[writer]) as place:
        if writer == "timescale-writer":
            migrate(settings.postgres)
        yield place


def stored_ticks(settings: PostgresSettings) -> int:
    """How many ticks PostgreSQL has."""
    with closing(connect(settings, "writer", statement_seconds=600)) as connection, connection.cursor() as cursor:
        cursor.execute(f"select count(*) from {tables.TICKS}")  # noqa: S608  # a name of our own
        row = cursor.fetchone()
    return int(row[0]) if row else 0


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000, help="ticks per run")
    parser.add_argument("--seconds", type=float, default=30.0, help="of the steady load")
    parser.add_argument("--catch-up", type=int, help="instead: let writers work off so many ticks")
    parser.add_argument("--writers", default=",".join(WRITERS), help="which catch up, in order")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    options = parser.parse_args()
    print(f"{cpu_name()}, {os.cpu_count()} cores", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        settings = isolated(Path(folder))
        figures = catch_up(settings, options) if options.catch_up else rates(settings, options)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()

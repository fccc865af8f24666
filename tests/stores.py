"""What the storage tests share: messages made by hand, stores of a test's own, and what is in them afterwards."""

import os
import random
import secrets
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import redis
from influxdb_client.client.influxdb_client import InfluxDBClient
from psycopg2 import errors
from psycopg2.extensions import connection as Connection  # noqa: N812  # a class under a lower-case name

from marketstream.analytics.parameters import IndicatorParameters
from marketstream.contracts.messages import FeedEvent, FeedGap, decode_bar, decode_indicators, decode_tick, encode
from marketstream.domain.indicators import Indicators
from marketstream.domain.interval import Interval
from marketstream.domain.market import Bar, Cancel, Quote, Tick
from marketstream.ports import MarketReader, Message, Writer
from marketstream.settings import InfluxSettings, PostgresSettings, RedisSettings, Settings
from marketstream.storage.influx.writer import InfluxWriter
from marketstream.storage.redis.reader import RedisReader
from marketstream.storage.redis.writer import RedisWriter
from marketstream.storage.timescale.connection import connect
from marketstream.storage.timescale.migrate import migrate
from marketstream.storage.timescale.reader import TimescaleReader
from marketstream.storage.timescale.writer import TimescaleWriter

MINUTE_US = 60_000_000
TOPICS = (
    "tick_data",
    "aggregated_data_1min",
    "aggregated_data_5min",
    "provider_bars",
    "technical_indicators",
    "quote_data",
    "trade_cancels",
)
REDIS_DATABASE = 9  # the tests' own of a Redis that others use too
CLOSED_PORT = 1
INDICATOR_NAMES = IndicatorParameters().names


def make_tick(time_us: int, *, symbol: str = "IBM", sequence: int = 0, **changes: Any) -> Tick:
    fields = {
        "symbol": symbol,
        "price": 182.27,
        "size": 100.0,
        "event_time_us": time_us,
        "received_time_us": time_us + 20_000,
        "provider": "polygon",
        "trade_id": f"{time_us}-{sequence}",
        "sequence": sequence,
    }
    return Tick(**{**fields, **changes})


def make_bar(start_us: int, trade_count: int, *, symbol: str = "IBM", **changes: Any) -> Bar:
    fields = {
        "symbol": symbol,
        "interval": "1min",
        "start_us": start_us,
        "end_us": start_us + MINUTE_US,
        "open": 182.0,
        "high": 183.0 + trade_count,
        "low": 181.0,
        "close": 182.0 + trade_count / 7,
        "volume": 100.0 * trade_count,
        "vwap": 182.1,
        "trade_count": trade_count,
        "last_event_time_us": start_us + 1,
        "last_received_time_us": start_us + 20_000,
    }
    return Bar(**{**fields, **changes})


def make_provider_bar(start_us: int, received_us: int, **changes: Any) -> Bar:
    """As Finazon sends it: neither trades nor vwap; its revision is when it was received."""
    fields = {
        "provider": "finazon",
        "vwap": None,
        "volume": 1_234.5,
        "trade_count": 0,
        "last_received_time_us": received_us,
    }
    return replace(
        make_bar(start_us, 1), **{**fields, "revision": received_us, "high": 183.0, "close": 182.0, **changes}
    )


def make_indicators(bar: Bar, **values: float) -> Indicators:
    """Of this bar: the given values, else such as follow from it."""
    return Indicators.of(bar, values or {"sma_20": bar.close - 1 / 3, "volatility": bar.volume / 7e6})


def make_cancel(tick: Tick, **changes: Any) -> Cancel:
    """Takes this trade back, by its id unless told otherwise."""
    names = ("symbol", "price", "size", "event_time_us", "provider", "trade_id", "asset_class")
    fields = {name: getattr(tick, name) for name in names}
    return Cancel(**{**fields, "received_time_us": tick.received_time_us + 5_000_000, **changes})


def make_quote(time_us: int, *, symbol: str = "IBM", **changes: Any) -> Quote:
    fields = {
        "symbol": symbol,
        "bid_price": 182.26,
        "bid_size": 300.0,
        "ask_price": 182.28,
        "ask_size": 200.0,
        "event_time_us": time_us,
        "received_time_us": time_us + 20_000,
        "provider": "polygon",
    }
    return Quote(**{**fields, **changes})


def make_gap(start_us: int, end_us: int, **changes: Any) -> FeedGap:
    fields = {
        "gap_id": f"binance|IBM|{start_us}",
        "provider": "binance",
        "symbol": "IBM",
        "start_us": start_us,
        "end_us": end_us,
        "first_id": None,
        "last_id": None,
        "missing": None,
        "filled": 0,
        "state": "open",
        "detail": "",
        "opened_us": end_us,
        "updated_us": end_us,
    }
    return FeedGap(**{**fields, **changes})


def make_event(time_us: int, kind: str = "connected", **changes: Any) -> FeedEvent:
    fields = {"kind": kind, "provider": "binance", "detail": f"{kind} now", "time_us": time_us}
    return FeedEvent(**{**fields, **changes})


def gap_event(gap: FeedGap) -> FeedEvent:
    return make_event(gap.updated_us, "gap", provider=gap.provider, gap=gap)


Item = Tick | Bar | Indicators | Quote | FeedEvent | Cancel


class Log:
    """Numbers messages as the broker would: one partition per topic unless told otherwise."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self._next: dict[tuple[str, int], int] = {}

    def add(self, *items: Item, partition: int = 0) -> list[Message]:
        return [self.add_raw(topic_of(item), key_of(item), encode(item), partition=partition) for item in items]

    def add_raw(self, topic: str, key: str, value: bytes, *, partition: int = 0) -> Message:
        offset = self._next.get((topic, partition), 0)
        self._next[topic, partition] = offset + 1
        message = Message(topic, partition, offset, key, value, 1_700_000_000_000)
        self.messages.append(message)
        return message


def topic_of(item: Item) -> str:
    match item:
        case Tick():
            return "tick_data"
        case Quote():
            return "quote_data"
        case Cancel():
            return "trade_cancels"
        case FeedEvent():
            return "feed_events"
        case Indicators():
            return "technical_indicators"
    return "provider_bars" if item.provider else f"aggregated_data_{item.interval}"


def key_of(item: Item) -> str:
    return item.provider if isinstance(item, FeedEvent) else item.symbol


@dataclass(frozen=True)
class Contents:
    """What every store can tell: its trades as numbers, and each symbol and interval's newest bar and indicators."""

    trades: frozenset[tuple[str, int, float, float]]
    newest_bars: Mapping[tuple[str, str], "Numbers"]
    newest_indicators: Mapping[tuple[str, str], "Values"] = field(default_factory=dict)

    @classmethod
    def of(cls, ticks: Iterable[Tick], bars: Iterable[Bar], indicators: Iterable[Indicators] = ()) -> "Contents":
        newest: dict[tuple[str, str], Bar] = {}
        for bar in bars:
            known = newest.get((bar.symbol, bar.interval))
            if known is None or bar.version > known.version:
                newest[bar.symbol, bar.interval] = bar
        trades = frozenset((tick.symbol, tick.event_time_us, tick.price, tick.size) for tick in ticks)
        said: dict[tuple[str, str], Indicators] = {}
        for each in indicators:
            key = (each.symbol, each.interval)
            if key not in said or each.version >= said[key].version:
                said[key] = each
        return cls(
            trades,
            {key: _numbers(bar) for key, bar in newest.items()},
            {key: _values(each) for key, each in said.items()},
        )

    @classmethod
    def expected(cls, messages: Iterable[Message]) -> "Contents":
        ticks = [decode_tick(message.value) for message in messages if message.topic == "tick_data"]
        carry_bars = ("aggregated_data", "provider_bars")
        bars = [decode_bar(message.value) for message in messages if message.topic.startswith(carry_bars)]
        said = [decode_indicators(message.value) for message in messages if message.topic == "technical_indicators"]
        return cls.of(ticks, bars, said)


Values = tuple[int, int, float, str, frozenset[tuple[str, float]]]
Numbers = tuple[int, float, float, float, float, float, float | None, int, str]


def _numbers(bar: Bar) -> Numbers:
    prices = (bar.open, bar.high, bar.low, bar.close)
    return (bar.start_us, *prices, bar.volume, bar.vwap, bar.trade_count, bar.provider or "")


def _values(said: Indicators) -> Values:
    return (said.start_us, said.trade_count, said.close, said.provider or "", frozenset(said.values.items()))


@dataclass(frozen=True)
class Store:
    """One store as its tests see it."""

    writer: Callable[[], Writer]
    unreachable_writer: Callable[[], Writer]
    contents: Callable[[], Contents]


def topic_ids(topics: Sequence[str]) -> dict[str, str]:
    """Identities of topics that are never made again."""
    return {topic: f"id of {topic}" for topic in topics}


def environment(settings: Settings) -> dict[str, str]:
    """What a process of the platform needs to find the same servers."""
    return {
        **os.environ,
        "MARKETSTREAM_DATA_DIR": str(settings.data_dir),
        "MARKETSTREAM_KAFKA__PORT": str(settings.kafka.port),
        "MARKETSTREAM_POSTGRES__PORT": str(settings.postgres.port),
        "MARKETSTREAM_POSTGRES__SCHEMA_NAME": settings.postgres.schema_name,
        "MARKETSTREAM_REDIS__PORT": str(settings.redis.port),
        "MARKETSTREAM_REDIS__DATABASE": str(settings.redis.database),
        "MARKETSTREAM_INFLUX__PORT": str(settings.influx.port),
        "MARKETSTREAM_INFLUX__BUCKET": settings.influx.bucket,
        "MARKETSTREAM_STREAMING__INTERVALS": "1min,5min",
    }


@contextmanager
def fresh_schema(settings: PostgresSettings) -> Iterator[PostgresSettings]:
    """Settings with a migrated schema of their own."""
    own = settings.model_copy(update={"schema_name": f"test_{secrets.token_hex(6)}"})
    with as_owner(settings) as connection, connection.cursor() as cursor:
        cursor.execute(f"create schema {own.schema_name}")
    migrate(own)
    yield own
    with as_owner(settings) as connection:
        drop_schema(connection, own.schema_name)


def drop_schema(connection: Connection, name: str) -> None:
    with connection.cursor() as cursor:
        for again in (True, True, False):
            try:
                cursor.execute(f"drop schema {name} cascade")
                return
            except (errors.DeadlockDetected, errors.InternalError_):  # with a job of TimescaleDB's that has just begun
                if not again:
                    raise


@contextmanager
def as_owner(settings: PostgresSettings) -> Iterator[Connection]:
    with closing(connect(settings, "owner", statement_seconds=30)) as connection:
        connection.autocommit = True
        yield connection


@contextmanager
def timescale_store(settings: PostgresSettings) -> Iterator[Store]:
    with fresh_schema(settings) as own, closing(TimescaleReader(own)) as reader:
        away = own.model_copy(update={"port": CLOSED_PORT})
        yield Store(lambda: TimescaleWriter(own), lambda: TimescaleWriter(away), lambda: read_contents(reader))


@contextmanager
def redis_store(settings: RedisSettings) -> Iterator[Store]:
    own = empty_redis(settings)
    away = own.model_copy(update={"port": CLOSED_PORT})
    with closing(RedisReader(own)) as reader:
        yield Store(
            lambda: RedisWriter(own, TOPICS, topic_ids),
            lambda: RedisWriter(away, TOPICS, topic_ids),
            lambda: read_contents(reader),
        )


@contextmanager
def influx_store(settings: InfluxSettings) -> Iterator[Store]:
    own = settings.model_copy(update={"bucket": f"test-{uuid.uuid4().hex}"})
    away = own.model_copy(update={"port": CLOSED_PORT})
    yield Store(lambda: InfluxWriter(own), lambda: InfluxWriter(away), lambda: read_influx(own))


def empty_redis(settings: RedisSettings) -> RedisSettings:
    own = settings.model_copy(update={"database": REDIS_DATABASE})
    with closing(redis_client(own)) as client:
        client.flushdb()
    return own


def redis_client(settings: RedisSettings) -> "redis.Redis[bytes]":
    return redis.Redis(
        host=settings.host,
        port=settings.port,
        db=settings.database,
        password=settings.password.get_secret_value() or None,
    )


def read_contents(reader: MarketReader) -> Contents:
    ticks: list[Tick] = []
    bars: list[Bar] = []
    said: list[Indicators] = []
    for symbol in reader.symbols():
        ticks += reader.ticks(symbol, start_us=None, end_us=None, limit=100_000)
        for name in ("1min", "5min"):
            bars += reader.bars(symbol, Interval.parse(name), start_us=None, end_us=None, limit=1)
            said += reader.indicators(symbol, Interval.parse(name), start_us=None, end_us=None, limit=1)
    return Contents.of(ticks, bars, said)


def flux_rows(settings: InfluxSettings, measurement: str) -> list[dict[str, Any]]:
    """Every point of a measurement, one row with its tags and fields each."""
    query = f"""
        from(bucket: "{settings.bucket}") |> range(start: 1970-01-01T00:00:00Z, stop: 2100-01-01T00:00:00Z)
          |> filter(fn: (r) => r._measurement == "{measurement}")
          |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")
          |> map(fn: (r) => ({{r with time_ns: int(v: r._time)}}))
    """
    token = settings.token.get_secret_value()
    with InfluxDBClient(settings.url, token, timeout=120_000, org=settings.organisation) as client:
        return [record.values for table in client.query_api().query(query) for record in table.records]


def read_influx(settings: InfluxSettings) -> Contents:
    trades = frozenset(
        (row["symbol"], row["time_ns"] // 1_000, row["price"], row["size"])
        for row in flux_rows(settings, "tick_metrics")
    )
    newest: dict[tuple[str, str], Numbers] = {}
    for row in flux_rows(settings, "aggregated_metrics"):
        names = ("open", "high", "low", "close", "volume", "vwap", "trade_count")
        provider = row.get("provider") or ""  # an empty text comes back as none
        bar = (row["time_ns"] // 1_000, *(row.get(name) for name in names), provider)
        key = (row["symbol"], row["interval"])
        newest[key] = max(newest.get(key, bar), bar, key=lambda numbers: numbers[0])
    said: dict[tuple[str, str], Values] = {}
    for row in flux_rows(settings, "technical_indicators"):
        names = (name for name in row if name in INDICATOR_NAMES and row[name] is not None)
        values = frozenset((name, row[name]) for name in names)
        each = (row["time_ns"] // 1_000, row["trade_count"], row["close"], row.get("provider") or "", values)
        key = (row["symbol"], row["interval"])
        said[key] = max(said.get(key, each), each, key=lambda numbers: numbers[0])
    return Contents(trades, newest, said)


def shuffled_runs(messages: Sequence[Message], chance: random.Random) -> Iterator[Sequence[Message]]:
    """Batches as a consumer that dies now and then would take them: in order, some again, none left out."""
    position = 0
    while position < len(messages):
        size = chance.randint(1, 40)
        yield messages[position : position + size]
        died_before_commit = chance.random() < 0.4
        position = max(0, position - chance.randint(0, 30)) if died_before_commit else position + size

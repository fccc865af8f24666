"""However messages are cut into batches, and whoever dies when, the stores end up as a plain recomputation says."""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from marketstream.contracts.messages import decode_bar, decode_indicators, decode_tick
from marketstream.domain.indicators import Indicators
from marketstream.domain.interval import Interval
from marketstream.domain.market import Bar, Tick
from marketstream.ports import Writer
from marketstream.settings import PostgresSettings, RedisSettings, Settings
from marketstream.storage.redis.reader import RedisReader
from marketstream.storage.redis.writer import RedisWriter
from marketstream.storage.timescale.reader import TimescaleReader
from marketstream.storage.timescale.writer import TimescaleWriter
from stores import (
    MINUTE_US,
    TOPICS,
    Log,
    as_owner,
    empty_redis,
    fresh_schema,
    make_bar,
    make_indicators,
    make_provider_bar,
    make_tick,
    redis_client,
    topic_ids,
)

pytestmark = pytest.mark.servers

START_US = 1_381_152_600_000_000
SYMBOLS = ("IBM", "BAC")
MINUTE = Interval.parse("1min")
relaxed = hypothesis_settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)

# (symbol, seconds after the start, sequence): times and sequences collide often, and trades come late.
trades = st.tuples(st.sampled_from(SYMBOLS), st.integers(0, 6), st.integers(0, 3))
# (symbol, minute, trade count, final, revision): versions come in any order, as after Spark's replays.
versions = st.tuples(st.sampled_from(SYMBOLS), st.integers(0, 2), st.integers(1, 4), st.booleans(), st.integers(0, 1))
# (symbol, minute, received, final, provider): what providers make of the same minutes.
provider_versions = st.tuples(
    st.sampled_from(SYMBOLS), st.integers(0, 2), st.integers(0, 3), st.booleans(), st.just("finazon")
)
mixtures = st.lists(st.one_of(trades, versions, provider_versions), min_size=1, max_size=60)
seeds = st.integers(0, 2**32)


def log_of(mixture: Sequence[tuple]) -> Log:
    """Numbers the messages; a symbol has its partition, as the partitioner sees to."""
    log = Log()
    for number, item in enumerate(mixture):
        partition = SYMBOLS.index(item[0])
        if len(item) == 3:
            symbol, second, sequence = item
            time_us = START_US + second * 1_000_000
            log.add(make_tick(time_us, symbol=symbol, sequence=sequence, trade_id=f"{number}"), partition=partition)
        elif item[-1] == "finazon":
            symbol, minute, second, final, _ = item
            received_us = START_US + second
            changes = {"symbol": symbol, "final": final, "volume": 1.0 + second}
            bar = make_provider_bar(START_US + minute * MINUTE_US, received_us, **changes)
            log.add(bar, make_indicators(bar, sma_20=float(number)), partition=partition)
        else:
            symbol, minute, count, final, revision = item
            bar = make_bar(START_US + minute * MINUTE_US, count, symbol=symbol, final=final, revision=revision)
            log.add(bar, make_indicators(bar, sma_20=float(number)), partition=partition)
    return log


def consume(log: Log, writer: Callable[[], Writer], seed: int) -> None:
    """Takes the messages in batches of any size; now and then dies after storing and begins again a little earlier."""
    chance = random.Random(seed)
    current = writer()
    current.setup()
    position = 0
    while position < len(log.messages):
        size = chance.randint(1, 15)
        current.write(log.messages[position : position + size])
        if chance.random() < 0.3:
            current.close()
            current = writer()
            current.setup()
            position = max(0, position - chance.randint(0, 10))
        else:
            position += size
    current.close()


def expected_ticks(log: Log, symbol: str) -> list[Tick]:
    """By (event time, sequence), and by arrival where these are equal."""
    ticks = [decode_tick(message.value) for message in log.messages if message.topic == "tick_data"]
    return sorted((tick for tick in ticks if tick.symbol == symbol), key=lambda tick: tick.order)


def expected_bars(log: Log, symbol: str) -> list[Bar]:
    newest: dict[int, Bar] = {}
    for message in log.messages:
        if message.topic in ("tick_data", "technical_indicators") or message.key != symbol:
            continue
        bar = decode_bar(message.value)
        known = newest.get(bar.start_us, bar)
        newest[bar.start_us] = max(known, bar, key=_rank)
    return [newest[start] for start in sorted(newest)]


def expected_indicators(log: Log, symbol: str) -> list[Indicators]:
    newest: dict[int, Indicators] = {}
    for message in log.messages:
        if message.topic == "technical_indicators" and message.key == symbol:
            said = decode_indicators(message.value)
            newest[said.start_us] = max(said, newest.get(said.start_us, said), key=_rank)  # the later of equals
    return [newest[start] for start in sorted(newest)]


def _rank(bar: Bar | Indicators) -> tuple[int, ...]:
    """A bar made here is above any provider's; by trades among the former, by when received among the latter."""
    if bar.provider is None:
        return (1, bar.trade_count, bar.final, bar.revision)
    return (0, bar.final, bar.last_received_time_us)


@pytest.fixture(scope="module")
def schema(server_settings: Callable[..., Settings]) -> Iterator[PostgresSettings]:
    with fresh_schema(server_settings("postgres").postgres) as own:
        yield own


@pytest.fixture(scope="module")
def cache(server_settings: Callable[..., Settings]) -> RedisSettings:
    return server_settings("redis").redis


@relaxed
@given(mixture=mixtures, seed=seeds)
def test_postgresql_ends_up_the_same(schema: PostgresSettings, mixture: Sequence[tuple], seed: int) -> None:
    log = log_of(mixture)
    with as_owner(schema) as connection, connection.cursor() as cursor:
        cursor.execute("truncate tick_data, aggregated_data, technical_indicators")

    consume(log, lambda: TimescaleWriter(schema), seed)

    with closing(TimescaleReader(schema)) as reader:
        for symbol in SYMBOLS:
            found = reader.ticks(symbol, start_us=None, end_us=None, limit=1_000)
            assert sorted(found, key=lambda tick: (tick.order, int(tick.trade_id))) == expected_ticks(log, symbol)
            assert [tick.order for tick in found] == sorted(tick.order for tick in found)
            assert reader.bars(symbol, MINUTE, start_us=None, end_us=None, limit=100) == expected_bars(log, symbol)
            said = reader.indicators(symbol, MINUTE, start_us=None, end_us=None, limit=100)
            assert said == expected_indicators(log, symbol)


@relaxed
@given(mixture=mixtures, seed=seeds)
def test_redis_ends_up_the_same(cache: RedisSettings, mixture: Sequence[tuple], seed: int) -> None:
    log = log_of(mixture)
    own = empty_redis(cache)

    consume(log, lambda: RedisWriter(own, TOPICS, topic_ids), seed)

    with closing(RedisReader(own)) as reader, closing(redis_client(own)) as client:
        for symbol in SYMBOLS:
            ticks = expected_ticks(log, symbol)
            assert reader.ticks(symbol, start_us=None, end_us=None, limit=1_000) == ticks
            assert reader.latest(symbol) == (ticks[-1] if ticks else None)
            assert int(client.get(f"message_count:{symbol}") or 0) == len(ticks)
            assert reader.bars(symbol, MINUTE, start_us=None, end_us=None, limit=1) == expected_bars(log, symbol)[-1:]
            said = reader.indicators(symbol, MINUTE, start_us=None, end_us=None, limit=1)
            assert said == expected_indicators(log, symbol)[-1:]


@relaxed
@given(mixture=mixtures, seed=seeds)
def test_postgresql_does_not_mind_the_order_either(
    schema: PostgresSettings, mixture: Sequence[tuple], seed: int
) -> None:
    log = log_of(mixture)
    shuffled = Log()
    shuffled.messages = random.Random(seed).sample(log.messages, len(log.messages))
    with as_owner(schema) as connection, connection.cursor() as cursor:
        cursor.execute("truncate tick_data, aggregated_data, technical_indicators")

    consume(shuffled, lambda: TimescaleWriter(schema), seed)

    with closing(TimescaleReader(schema)) as reader:
        for symbol in SYMBOLS:
            found = reader.ticks(symbol, start_us=None, end_us=None, limit=1_000)
            assert sorted(found, key=lambda tick: (tick.order, int(tick.trade_id))) == expected_ticks(log, symbol)
            assert reader.bars(symbol, MINUTE, start_us=None, end_us=None, limit=100) == expected_bars(log, symbol)

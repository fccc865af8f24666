"""Newest ticks for an event loop, from a real Redis: many callers share one question."""

import asyncio
import time
from contextlib import closing

import pytest

from marketstream.domain.errors import StoreUnavailableError
from marketstream.settings import Settings
from marketstream.storage.redis.latest import RedisLatestReader
from marketstream.storage.redis.writer import RedisWriter
from stores import CLOSED_PORT, TOPICS, Log, empty_redis, make_tick, redis_client, topic_ids

pytestmark = pytest.mark.servers


async def test_everybody_is_told_the_newest_by_few_questions(redis_settings: Settings) -> None:
    settings = empty_redis(redis_settings.redis)
    ticks = [make_tick(time.time_ns() // 1_000, symbol=f"S{number}") for number in range(20)]
    with closing(RedisWriter(settings, TOPICS, topic_ids)) as writer:
        writer.setup()
        writer.write(Log().add(*ticks))
    reader = RedisLatestReader(settings)
    symbols = [*(tick.symbol for tick in ticks), "NONE"] * 30
    with closing(redis_client(settings)) as client:
        client.config_resetstat()
        found = await asyncio.gather(*(reader.latest(symbol) for symbol in symbols))
        asked = client.info("commandstats")["cmdstat_mget"]["calls"]
    assert found == [*ticks, None] * 30
    assert asked == 1
    await reader.close()


async def test_who_gives_up_takes_nobody_along(redis_settings: Settings) -> None:
    reader = RedisLatestReader(empty_redis(redis_settings.redis))
    waiting = [asyncio.create_task(reader.latest("S1")) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    assert await asyncio.gather(*waiting[1:]) == [None, None]
    assert await reader.latest("S1") is None
    await reader.close()


async def test_a_redis_that_is_away_is_said_to_be_away_and_asked_again(redis_settings: Settings) -> None:
    reader = RedisLatestReader(redis_settings.redis.model_copy(update={"port": CLOSED_PORT}))
    for _ in range(2):
        outcomes = await asyncio.gather(*(reader.latest(f"S{n}") for n in range(5)), return_exceptions=True)
        assert all(isinstance(each, StoreUnavailableError) for each in outcomes)
    await reader.close()

"""An empty Redis, its writer and its reader. Tests of other stores have fixtures of their own by these names."""

from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from marketstream.settings import RedisSettings, Settings
from marketstream.storage.redis.reader import RedisReader
from marketstream.storage.redis.writer import RedisWriter
from stores import TOPICS, empty_redis, topic_ids


@pytest.fixture
def cache(server_settings: Callable[..., Settings]) -> RedisSettings:
    return empty_redis(server_settings("redis").redis)


@pytest.fixture
def writer(cache: RedisSettings) -> Iterator[RedisWriter]:
    with closing(RedisWriter(cache, TOPICS, topic_ids)) as opened:
        opened.setup()
        yield opened


@pytest.fixture
def reader(cache: RedisSettings) -> Iterator[RedisReader]:
    with closing(RedisReader(cache)) as opened:
        yield opened

"""The WebSocket process over real Kafka, Redis and PostgreSQL."""

import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import orjson
import pytest

from listening import Listener, listening
from marketstream.bootstrap import create_topics
from marketstream.bus.admin import ensure_topics
from marketstream.bus.publisher import KafkaPublisher
from marketstream.contracts.messages import encode
from marketstream.domain.interval import Interval
from marketstream.domain.market import Tick
from marketstream.settings import Settings
from marketstream.testing.platform import eventually
from marketstream.testing.samples import sample_bars, sample_ticks
from served import StoredMarket, served, stored_market

pytestmark = pytest.mark.servers
MINUTE_US = 60_000_000


@pytest.fixture(scope="module")
def market(server_settings: Callable[..., Settings]) -> Iterator[StoredMarket]:
    """Ten minutes of trades that ended two minutes ago, in the stores; and the topics."""
    server_settings("kafka", "postgres", "redis")
    now_us = time.time_ns() // 1_000
    with stored_market(server_settings) as stored:
        ticks = sample_ticks("BTCUSDT", start_us=now_us - 12 * MINUTE_US, end_us=now_us - 2 * MINUTE_US, price=65_000)
        stored.add(list(ticks))
        create_topics(stored.settings)
        yield stored


@pytest.fixture(scope="module")
def address(market: StoredMarket, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    settings = market.settings
    log = tmp_path_factory.mktemp("websocket") / "websocket.log"
    with served("websocket", settings, settings.serving.websocket_port, log) as url:
        eventually(lambda: ready(url), within_seconds=30, what="Kafka is read")
        yield url
        assert "Traceback" not in log.read_text()
        assert "signals" not in log.read_text()


def ready(url: str) -> bool:
    return httpx.get(f"{url}/health/ready", timeout=5).status_code == 200


@asynccontextmanager
async def listener(address: str) -> AsyncIterator[Listener]:
    async with listening(address.replace("http", "ws")) as client:
        yield client


def publish(settings: Settings, *messages: tuple[str, str, bytes]) -> None:
    publisher = KafkaPublisher(settings.kafka.bootstrap_servers)
    for topic, key, value in messages:
        publisher.publish(topic, key, value)
    assert publisher.flush(20) == 0


def new_ticks(count: int) -> list[Tick]:
    now_us = time.time_ns() // 1_000
    return list(sample_ticks("BTCUSDT", start_us=now_us, end_us=now_us + count * 20_000, per_second=100, seed=now_us))


async def test_stores_then_kafka_without_a_hole(address: str, market: StoredMarket) -> None:
    async with listener(address) as client:
        snapshot = await client.subscribe("BTCUSDT", channels=["ticks", "bars"], history=20, intervals=["1min"])
        ticks = [update["data"]["trade_id"] for update in snapshot if update["channel"] == "ticks"]
        assert ticks == [tick.trade_id for tick in market.ticks["BTCUSDT"][-20:]]
        bars = [update["data"]["start_us"] for update in snapshot if update["channel"] == "bars"]
        assert bars == [bar.start_us for bar in market.bars("BTCUSDT", Interval.parse("1min"))][-20:]
        fresh = new_ticks(20)
        (bar,) = list(sample_bars(fresh[:1], Interval.parse("1min")))
        publish(
            market.settings,
            *(("tick_data", "BTCUSDT", encode(tick)) for tick in fresh),
            ("aggregated_data_1min", "BTCUSDT", encode(bar)),
        )
        heard = await client.updates(len(fresh) + 1)
        assert [one["data"] for one in heard if one["channel"] == "ticks"] == [
            orjson.loads(encode(tick)) for tick in fresh
        ]
        assert [one["data"] for one in heard if one["channel"] == "bars"] == [orjson.loads(encode(bar))]
        async with listener(address) as later:  # its snapshot is the stream's, which no store has
            (newest,) = await later.subscribe("BTCUSDT")
            assert newest["data"] == orjson.loads(encode(max(fresh, key=lambda tick: tick.order)))


async def test_a_topic_that_appears_is_read_from_its_beginning(address: str, market: StoredMarket) -> None:
    async with listener(address) as client:
        await client.subscribe("BTCUSDT", channels=["signals"])
        ensure_topics(market.settings.kafka.bootstrap_servers, ("signals",), 2)
        publish(market.settings, ("signals", "BTCUSDT", b'{"symbol":"BTCUSDT","action":"buy"}'))
        (signal_,) = await client.updates(1)
        assert signal_["data"] == {"symbol": "BTCUSDT", "action": "buy"}


async def test_what_is_no_message_is_counted_and_stops_nothing(address: str, market: StoredMarket) -> None:
    async with listener(address) as client:
        await client.subscribe("BTCUSDT")
        (tick,) = new_ticks(20)[:1]
        publish(market.settings, ("tick_data", "BTCUSDT", b"nonsense"), ("tick_data", "BTCUSDT", encode(tick)))
        (update,) = await client.updates(1)
        assert update["data"]["trade_id"] == tick.trade_id


def test_the_documented_example_runs(address: str, market: StoredMarket) -> None:
    text = (Path(__file__).parents[3] / "docs" / "how-to" / "stream-with-websocket.md").read_text()
    code = text.split("```python\n")[1].split("```")[0].replace("count=20", "count=4")
    variables = {**os.environ, "MARKETSTREAM_WEBSOCKET_URL": address.replace("http", "ws")}
    with subprocess.Popen([sys.executable, "-c", code], env=variables, stdout=subprocess.PIPE, text=True) as example:
        assert example.stdout is not None
        lines = [example.stdout.readline().split()[:2] for _ in range(2)]
        assert lines == [["snapshot", "bars"], ["snapshot", "ticks"]]
        publish(market.settings, *(("tick_data", "BTCUSDT", encode(tick)) for tick in new_ticks(20)))
        lines = [example.stdout.readline().split()[:2] for _ in range(2)]
        assert lines == [["updates", "ticks"]] * 2
        assert example.wait(30) == 0

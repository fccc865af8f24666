"""GraphQL in REST's process over real Kafka, Redis and PostgreSQL."""

import time
from collections.abc import AsyncIterator, Callable, Iterator

import httpx
import pytest

from graphql_asking import BAR, ORIGIN, TICK, Asking, renamed
from graphql_listening import subscriber
from marketstream.bootstrap import create_topics
from marketstream.bus.publisher import KafkaPublisher
from marketstream.contracts.messages import encode
from marketstream.domain.interval import Interval
from marketstream.domain.market import Tick
from marketstream.settings import Settings
from marketstream.testing.samples import sample_bars, sample_ticks
from served import StoredMarket, served, stored_market

pytestmark = pytest.mark.servers
MINUTE_US = 60_000_000
SYMBOLS = ("BTCUSDT", "ETHUSDT")


@pytest.fixture(scope="module")
def market(server_settings: Callable[..., Settings]) -> Iterator[StoredMarket]:
    """Ten minutes of trades of two symbols that ended two minutes ago, in the stores; and the topics."""
    server_settings("kafka", "postgres", "redis")
    now_us = time.time_ns() // 1_000
    with stored_market(server_settings) as stored:
        for symbol in SYMBOLS:
            ticks = sample_ticks(symbol, start_us=now_us - 12 * MINUTE_US, end_us=now_us - 2 * MINUTE_US)
            stored.add(list(ticks))
        create_topics(stored.settings)
        yield stored


@pytest.fixture(scope="module")
def address(market: StoredMarket, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    settings = market.settings
    log = tmp_path_factory.mktemp("api") / "api.log"
    with served("api", settings, settings.serving.api_port, log, MARKETSTREAM_GRAPHQL__LINGER_SECONDS="0") as url:
        yield url
    assert "Traceback" not in log.read_text()


@pytest.fixture
async def asking(address: str) -> AsyncIterator[Asking]:
    async with httpx.AsyncClient(base_url=address, timeout=30) as client:
        yield Asking(client)


async def test_both_ask_the_same_stores(asking: Asking) -> None:
    query = f"""query ($names: [String!]!) {{ symbols(names: $names) {{ name
      latest {{ source tick {{ {TICK} }} }}
      ticks(limit: 50) {{ source nodes {{ {TICK} }} cancelled {{ provider tradeId }} }}
      bars(limit: 8, window: "1min") {{ source window nodes {{ {BAR} }} }}
      filled: bars(limit: 20, window: "1min", fill: PREVIOUS) {{ nodes {{ {BAR} filled }} }}
      indicators(limit: 3) {{ {ORIGIN} nodes {{ values }} }} }} }}"""
    said = (await asking.data(query, names=list(SYMBOLS)))["symbols"]
    assert [one["name"] for one in said] == list(SYMBOLS)
    for one in said:
        latest = renamed(await asking.rest(f"latest/{one['name']}"))
        assert one["latest"] == {name: latest[name] for name in ("source", "tick")}
        ticks = renamed(await asking.rest(f"ticks/{one['name']}", limit=50))
        assert one["ticks"] == {"source": ticks["source"], "nodes": ticks["ticks"], "cancelled": ticks["cancelled"]}
        bars = renamed(await asking.rest(f"aggregated/{one['name']}", limit=8))
        assert one["bars"] == {"source": bars["source"], "window": "1min", "nodes": bars["bars"]}
        assert len(bars["bars"]) == 8
        filled = renamed(await asking.rest(f"aggregated/{one['name']}", limit=20, fill="previous"))
        assert one["filled"]["nodes"] == filled["bars"]
        assert one["indicators"]["nodes"] == []


async def test_subscriptions_tell_what_kafka_brings(address: str, market: StoredMarket) -> None:
    port = httpx.URL(address).port
    assert port is not None
    told: list[Tick] = []  # of bars only such are told as hold more than the one before
    for _ in range(2):  # Kafka is read anew for the second
        async with subscriber(port) as client:
            await client.subscribe(f'subscription {{ ticks(symbols: ["BTCUSDT"]) {{ snapshot ticks {{ {TICK} }} }} }}')
            first = await client.next()
            assert first["snapshot"]
            assert len(first["ticks"]) == 1
            await client.subscribe('subscription { bars(symbols: ["BTCUSDT"]) { bars { startUs close } } }', "bars")
            await client.next("bars")
            now_us = time.time_ns() // 1_000
            fresh = list(sample_ticks("BTCUSDT", start_us=now_us, end_us=now_us + 400_000, per_second=50, seed=now_us))
            told += fresh
            (*_, bar) = sample_bars(told, Interval.parse("1min"))
            publisher = KafkaPublisher(market.settings.kafka.bootstrap_servers)
            for tick in fresh:
                publisher.publish("tick_data", "BTCUSDT", encode(tick))
            publisher.publish("aggregated_data_1min", "BTCUSDT", encode(bar))
            assert publisher.flush(20) == 0
            heard: set[str] = set()
            while not {tick.trade_id for tick in fresh} <= heard:
                heard |= {tick["tradeId"] for tick in (await client.next())["ticks"]}
            while {"startUs": bar.start_us, "close": bar.close} not in (await client.next("bars"))["bars"]:
                pass

"""Subscriptions over real sockets: snapshots, updates, bounds, and who may."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
from websockets.asyncio.client import connect

from doors import Door
from graphql_asking import BAR, TICK, camel
from graphql_listening import Serving, small_socket, subscriber, until
from marketstream.domain.interval import Interval
from marketstream.domain.market import Tick
from marketstream.serving.access.principal import Role
from marketstream.serving.market_data import MarketData
from marketstream.settings import WebSocketSettings
from marketstream.testing.fake_readers import InMemoryMarketReader
from stores import Log, make_bar, make_indicators, make_tick

TICKS = f"subscription ($s: [String!]!) {{ ticks(symbols: $s) {{ snapshot dropped conflated ticks {{ {TICK} }} }} }}"
PRICES = (
    "subscription ($s: [String!]!, $ms: Int = 0) { ticks(symbols: $s, conflateMs: $ms) { snapshot ticks { price } } }"
)
BARS = f'subscription {{ bars(symbols: ["IBM"]) {{ snapshot bars {{ {BAR} }} }} }}'
MINUTE_US = 60_000_000


@pytest.fixture
def cache() -> InMemoryMarketReader:
    return InMemoryMarketReader()


@pytest.fixture
def market_data(cache: InMemoryMarketReader) -> MarketData:
    intervals = [Interval.parse("1min"), Interval.parse("5min")]
    return MarketData(
        cache, InMemoryMarketReader(), symbols=["BTCUSDT", "IBM"], intervals=intervals, stale_after_seconds=30.0
    )


@pytest.fixture
async def serving(market_data: MarketData) -> AsyncIterator[Serving]:
    async with Serving(market_data, graphql={"linger_seconds": 0.0}).running() as running:
        yield running


def tick(number: int, **changes: Any) -> Tick:
    now_us = time.time_ns() // 1_000
    return make_tick(now_us, trade_id=str(number), received_time_us=now_us, price=100.0 + number, **changes)


def named(item: Any) -> dict[str, Any]:
    """A value as GraphQL has it."""
    return {camel(name): value for name, value in orjson.loads(orjson.dumps(item)).items()}


async def test_the_newest_comes_first_then_every_update(serving: Serving, cache: InMemoryMarketReader) -> None:
    before = make_tick(1_700_000_000_000_000, trade_id="before")
    cache.add(before)
    log = Log()
    async with subscriber(serving.port) as client:
        await client.subscribe(TICKS, s=["ibm"])
        first = await client.next()
        assert first == {"snapshot": True, "dropped": 0, "conflated": 0, "ticks": [named(before)]}
        sent = [tick(number) for number in range(250)]
        serving.stream.take(log.add(tick(1, symbol="BTCUSDT"), *sent))
        heard: list[Any] = []
        while len(heard) < len(sent):
            event = await client.next()
            assert (event["snapshot"], event["dropped"]) == (False, 0)
            assert len(event["ticks"]) <= 100
            heard += event["ticks"]
        assert heard == [named(each) for each in sent]
        await client.say("complete", id="1")
    await until(lambda: not serving.stream.open)


async def test_bars_and_indicators_come_in_their_newest_version(serving: Serving, cache: InMemoryMarketReader) -> None:
    start_us = time.time_ns() // 60_000_000_000 * MINUTE_US
    old = make_bar(start_us - MINUTE_US, 3, final=True)
    cache.add(old, make_indicators(old))
    log = Log()
    async with subscriber(serving.port) as client:
        await client.subscribe(BARS, "bars")
        await client.subscribe(
            'subscription { indicators(symbols: ["IBM"], windows: ["1min"]) { indicators { startUs values } } }', "said"
        )
        assert (await client.next("bars"))["bars"] == [named(old)]
        assert [each["startUs"] for each in (await client.next("said"))["indicators"]] == [old.start_us]
        newest = make_bar(start_us, 1)
        serving.stream.take(log.add(newest, make_indicators(newest, sma_20=1.5)))
        assert (await client.next("bars"))["bars"] == [named(newest)]
        assert await client.next("said") == {"indicators": [{"startUs": start_us, "values": {"sma_20": 1.5}}]}


async def test_kafka_is_read_while_somebody_listens(serving: Serving) -> None:
    assert not serving.streams
    async with subscriber(serving.port) as one:
        assert not serving.streams
        await one.subscribe(PRICES, s=["IBM"])
        await one.next()
        async with subscriber(serving.port) as two:
            await two.subscribe(PRICES, s=["BTCUSDT"])
            await two.next()
            assert len(serving.streams) == 1
            assert {"tick_data", "technical_indicators", "aggregated_data_1min"} <= set(serving.stream.since_ms)
            assert "alerts" not in serving.stream.since_ms
        assert serving.stream.open
    await until(lambda: not serving.stream.open)
    assert not serving.updates.running
    async with subscriber(serving.port) as again:
        await again.subscribe(PRICES, s=["IBM"])
        await again.next()
        assert len(serving.streams) == 2


async def test_conflated_prices_are_the_newest(serving: Serving) -> None:
    async with subscriber(serving.port) as client:
        await client.subscribe(PRICES, s=["IBM"], ms=50)
        assert (await client.next())["snapshot"]
        serving.stream.take(Log().add(*(tick(number) for number in range(500))))
        prices: list[float] = []
        while prices[-1:] != [599.0]:
            prices += [each["price"] for each in (await client.next())["ticks"]]
        assert len(prices) < 10


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ('subscription { ticks(symbols: ["IMB"]) { dropped } }', "unknown-symbol"),
        ("subscription { ticks(symbols: []) { dropped } }", "invalid-parameter"),
        ('subscription { ticks(symbols: ["*"]) { dropped } }', "invalid-parameter"),
        ('subscription { ticks(symbols: ["IBM"], conflateMs: -1) { dropped } }', "invalid-parameter"),
        ('subscription { bars(symbols: ["IBM"], windows: ["7min"]) { dropped } }', "invalid-parameter"),
        ('subscription { ticks(symbols: ["IBM"]) { nothing } }', "bad-document"),
        ("subscription { a: ticks(symbols: []) { dropped } b: ticks(symbols: []) { dropped } }", "bad-document"),
        ("{ symbols(limit: 500) { bars(limit: 10000) { nodes { open } } } }", "asks-too-much"),
    ],
)
async def test_what_is_wrong_is_said(serving: Serving, query: str, code: str) -> None:
    async with subscriber(serving.port) as client:
        await client.subscribe(query)
        error = await client.refused()
        assert error["extensions"]["code"] == code
        assert error["extensions"]["request_id"]
        await client.subscribe("{ windows }", "2")  # the connection goes on
        assert await client.next("2") == ["1min", "5min"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("not json", 4400),
        ("[]", 4400),
        ('"ping"', 4400),
        ("{}", 4400),
        ('{"type": "nonsense"}', 4400),
        ('{"type": "subscribe", "payload": {"query": "{ windows }"}}', 4400),
        ('{"type": "subscribe", "id": "1"}', 4400),
        ('{"type": "subscribe", "id": "1", "payload": {"query": 5}}', 4400),
        ('{"type": "subscribe", "id": "1", "payload": {"query": "{ windows }", "variables": []}}', 4400),
        ('{"type": "connection_init"}', 4429),
    ],
)
async def test_what_is_no_message_ends_the_connection(serving: Serving, text: str, code: int) -> None:
    async with subscriber(serving.port) as client:
        await client.socket.send(text)
        assert (await client.ended())[0] == code


async def test_other_protocols_are_not_spoken(serving: Serving) -> None:
    async with connect(f"ws://127.0.0.1:{serving.port}/graphql") as socket:
        await socket.wait_closed()
        assert socket.close_code == 4406


async def test_a_silent_client_is_sent_away(market_data: MarketData) -> None:
    bounds = WebSocketSettings(auth_seconds=0.1)
    async with (
        Serving(market_data, bounds=bounds).running() as serving,
        subscriber(serving.port, greeted=False) as client,
    ):
        assert (await client.ended())[0] == 4408


async def test_who_listens_is_told_that_all_is_well(market_data: MarketData) -> None:
    bounds = WebSocketSettings(heartbeat_seconds=0.1)
    async with Serving(market_data, bounds=bounds).running() as serving, subscriber(serving.port) as client:
        assert (await client.hear("ping"))["payload"] == {"stream": "live"}
        await client.say("pong")
        await client.subscribe(PRICES, s=["IBM"])
        await client.next()
        serving.stream.away = True
        while (await client.hear("ping"))["payload"] != {"stream": "away"}:
            await client.say("pong")


async def test_too_many_operations_and_messages_are_refused(market_data: MarketData) -> None:
    bounds = WebSocketSettings(requests_burst=5, requests_per_second=0.01)
    async with (
        Serving(market_data, bounds=bounds, graphql={"max_operations": 2}).running() as serving,
        subscriber(serving.port) as client,
    ):
        for key in ("a", "b", "c"):
            await client.subscribe(PRICES, key, s=["IBM"])
        assert "limit" in (await client.refused("c"))["message"].lower()
        await client.say("ping")
        await client.subscribe(PRICES, "d", s=["IBM"])
        assert (await client.refused("d"))["extensions"]["code"] == "rate_limited"


async def test_who_reads_too_slowly_is_shed_and_costs_others_nothing(market_data: MarketData) -> None:
    bounds = WebSocketSettings(queue_updates=200, shed_after_seconds=0.5)
    serving = Serving(market_data, bounds=bounds)
    async with serving.running(), subscriber(serving.port) as good:
        await good.subscribe(PRICES, s=["IBM"])
        await good.next()
        heard: list[float] = []

        async def read() -> None:
            while True:
                heard.extend(each["price"] for each in (await good.next())["ticks"])

        reading = asyncio.create_task(read())
        async with connect(  # reads nothing beyond a few kB
            f"ws://127.0.0.1:{serving.port}/graphql",
            subprotocols=["graphql-transport-ws"],  # type: ignore[list-item]
            sock=small_socket(serving.port),
            max_queue=1,
            compression=None,
            ping_interval=None,
        ) as slow:
            await slow.send('{"type": "connection_init"}')
            await slow.send(
                orjson.dumps(
                    {"type": "subscribe", "id": "1", "payload": {"query": TICKS, "variables": {"s": ["IBM"]}}}
                ),
                text=True,
            )
            hub = serving.updates._running.hub  # type: ignore[union-attr]  # what is watched is inside
            await until(lambda: len(hub.sessions) == 2)
            log, longest, number = Log(), 0, 0
            async with asyncio.timeout(120):
                while len(hub.sessions) == 2:
                    number += 100
                    serving.stream.take(log.add(*(tick(number + each) for each in range(100))))
                    longest = max(longest, *(session.queued for session in hub.sessions.values()))
                    known = len(heard)
                    await until(lambda known=known: len(heard) > known)  # who reads is not made slow by the test
            assert longest <= 200
        last = tick(10**9)
        serving.stream.take(log.add(last))
        await until(lambda: heard[-1:] == [last.price])
        reading.cancel()


async def test_who_may_not_hears_nothing(market_data: MarketData) -> None:
    door = Door()
    door.clock.now = lambda: 0  # type: ignore[attr-defined]  # not asked
    right, elsewhere = door.key(Role.VIEWER, "graphql"), door.key(Role.ADMIN, "rest", name="elsewhere")
    serving = Serving(market_data, access=door.access("rest", failures=1_000))
    async with serving.running():
        for params, code in (
            ({}, 4401),
            ({"authorization": "Bearer nonsense"}, 4401),
            ({"authorization": "Basic abc"}, 4401),
            ({"Authorization": f"Bearer {door.expired()}"}, 4401),
            ({"x-api-key": door.revoked()}, 4401),
            ({"x-api-key": elsewhere}, 4403),
        ):
            async with subscriber(serving.port, greeted=False) as client:
                await client.say("connection_init", payload=params)
                assert (await client.ended())[0] == code, params
        for given in (
            {"params": {"Authorization": f"Bearer {right}"}},
            {"params": {"X-API-Key": right}},
            {"additional_headers": {"X-API-Key": right}},
        ):
            async with subscriber(serving.port, **given) as client:  # type: ignore[arg-type]
                await client.subscribe("{ windows }")
                assert await client.next() == ["1min", "5min"]
        async with subscriber(serving.port, greeted=False) as hasty:
            await hasty.subscribe("{ windows }")
            assert (await hasty.ended())[0] == 4401
    door.close()


async def test_a_key_that_is_revoked_ends_what_it_opened(market_data: MarketData) -> None:
    from doors import entry
    from marketstream.serving.access.keys import Wish

    door = Door()
    key, stored = door.stored_key(Wish(name="short", role=Role.VIEWER))
    serving = Serving(market_data, access=door.access("rest", cache_seconds=0.05))
    async with serving.running(), subscriber(serving.port, {"x-api-key": key}) as client:
        await client.subscribe(PRICES, s=["IBM"])
        await client.next()
        door.store.revoke(stored.key_id, entry("keys.revoke"))
        assert (await client.ended())[0] == 4401
        await until(lambda: not serving.updates._listeners)
    door.close()


async def test_operations_are_rate_limited_as_requests_are(market_data: MarketData) -> None:
    door = Door()
    serving = Serving(market_data, access=door.access("rest", burst=6, requests_per_second=0.001))
    async with serving.running(), subscriber(serving.port, {"x-api-key": door.key()}) as client:
        for number in range(5):
            await client.subscribe("{ windows }", str(number))
            await client.next(str(number))
        await client.subscribe("{ windows }", "last")
        assert (await client.refused("last"))["extensions"]["code"] == "quota-exceeded"
    door.close()


async def test_a_page_of_another_site_opens_nothing(market_data: MarketData) -> None:
    serving = Serving(market_data, access=Door().access("rest", required=False))
    async with serving.running():
        with pytest.raises(Exception, match="403"):
            async with subscriber(serving.port, additional_headers={"Origin": "https://evil.example"}):
                pass
        async with subscriber(serving.port, additional_headers={"Origin": f"http://127.0.0.1:{serving.port}"}) as ours:
            await ours.subscribe("{ windows }")
            assert await ours.next()

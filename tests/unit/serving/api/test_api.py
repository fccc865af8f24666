"""REST over an in-memory market, through the whole ASGI application."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import orjson
import pytest

from marketstream.contracts.messages import decode_bar, decode_indicators, decode_quote, decode_tick
from marketstream.serving.api import feed_schemas as schemas_of_feeds
from marketstream.serving.api import schemas as schemas_of_market
from marketstream.serving.api.app import create_app
from stores import make_bar, make_cancel, make_indicators, make_provider_bar, make_quote


@pytest.fixture
async def client(world: Any) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app(world.market_data, world.feed_data), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as open_client:
        yield open_client


def assert_problem(response: httpx.Response, status: int, kind: str) -> dict[str, Any]:
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body["type"] == f"/problems/{kind}"
    assert body["status"] == status
    assert body["request_id"] == response.headers["x-request-id"]
    assert body["detail"]
    return body


async def test_latest_is_the_message_itself(client: httpx.AsyncClient, world: Any) -> None:
    response = await client.get("/api/v1/latest/btcusdt")
    assert response.status_code == 200
    body = response.json()
    assert decode_tick(orjson.dumps(body["tick"])) == world.ticks[-1]
    assert list(body["tick"]) == list(orjson.loads(orjson.dumps(world.ticks[-1])))
    assert (body["symbol"], body["source"], body["stale"], body["degraded"]) == ("BTCUSDT", "cache", False, False)
    assert body["received_us"] == world.ticks[-1].received_time_us


async def test_ticks_lose_nothing(client: httpx.AsyncClient, world: Any) -> None:
    body = (await client.get("/api/v1/ticks/BTCUSDT?limit=10000")).json()
    assert [decode_tick(orjson.dumps(tick)) for tick in body["ticks"]] == world.ticks
    assert body["count"] == len(world.ticks)


async def test_ticks_that_were_taken_back_are_named(client: httpx.AsyncClient, world: Any) -> None:
    assert (await client.get("/api/v1/ticks/BTCUSDT?limit=5")).json()["cancelled"] == []
    world.history.add(make_cancel(world.ticks[-2]), make_cancel(world.ticks[-8]))
    body = (await client.get("/api/v1/ticks/BTCUSDT?limit=5")).json()
    assert body["cancelled"] == [{"provider": world.ticks[-2].provider, "trade_id": world.ticks[-2].trade_id}]
    assert len(body["ticks"]) == 5
    world.history.available = False
    assert (await client.get("/api/v1/ticks/BTCUSDT?limit=5")).json()["cancelled"] is None
    assert (await client.get("/api/v1/ticks/IBM")).status_code in (200, 503)


async def test_ticks_of_a_range(client: httpx.AsyncClient, world: Any) -> None:
    start, end = world.ticks[5].event_time_us, world.ticks[9].event_time_us
    body = (await client.get("/api/v1/ticks/BTCUSDT", params={"start": start, "end": end})).json()
    assert [tick["trade_id"] for tick in body["ticks"]] == [tick.trade_id for tick in world.ticks[5:9]]


async def test_bars_lose_nothing(client: httpx.AsyncClient, world: Any) -> None:
    body = (await client.get("/api/v1/aggregated/BTCUSDT?window=1min&limit=1000")).json()
    assert [decode_bar(orjson.dumps(bar)) for bar in body["bars"]] == world.bars
    assert (body["window"], body["count"]) == ("1min", len(world.bars))


async def test_bars_are_one_minute_and_one_hundred_by_default(client: httpx.AsyncClient, world: Any) -> None:
    body = (await client.get("/api/v1/aggregated/BTCUSDT")).json()
    assert [bar["start_us"] for bar in body["bars"]] == [bar.start_us for bar in world.bars[-100:]]


async def test_indicators_lose_nothing(client: httpx.AsyncClient, world: Any) -> None:
    body = (await client.get("/api/v1/indicators/btcusdt?window=1min&limit=1000")).json()
    assert [decode_indicators(orjson.dumps(each)) for each in body.pop("indicators")] == world.indicators
    origin = {"source": "database", "stale": False, "degraded": False, "received_us": world.ticks[-1].received_time_us}
    assert body == {"next": None, "symbol": "BTCUSDT", "window": "1min", "count": len(world.indicators), **origin}


async def test_indicators_of_a_range(client: httpx.AsyncClient, world: Any) -> None:
    start, end = world.bars[5].start_us, world.bars[9].start_us
    body = (await client.get("/api/v1/indicators/BTCUSDT", params={"start": start, "end": end})).json()
    assert [each["start_us"] for each in body["indicators"]] == [bar.start_us for bar in world.bars[5:9]]


async def test_the_newest_indicators_come_from_the_cache(client: httpx.AsyncClient, world: Any) -> None:
    world.history.available = False
    body = (await client.get("/api/v1/indicators/BTCUSDT?limit=1")).json()
    assert (body["source"], body["degraded"]) == ("cache", False)
    assert [decode_indicators(orjson.dumps(each)) for each in body["indicators"]] == world.indicators[-1:]


async def test_indicators_without_enough_bars_have_no_values(client: httpx.AsyncClient, world: Any) -> None:
    said = make_indicators(make_bar(world.bars[0].start_us, 1, symbol="IBM"))
    world.history.add(replace(said, values={}))
    body = (await client.get("/api/v1/indicators/IBM")).json()
    assert [each["values"] for each in body["indicators"]] == [{}]


async def test_a_known_symbol_without_data_is_an_empty_list(client: httpx.AsyncClient) -> None:
    for path in ("ticks", "aggregated", "indicators"):
        response = await client.get(f"/api/v1/{path}/IBM")
        assert response.status_code == 200
        assert response.json()["count"] == 0
        assert response.json()["stale"] is True


async def test_a_known_symbol_without_a_tick_has_no_latest(client: httpx.AsyncClient) -> None:
    assert_problem(await client.get("/api/v1/latest/IBM"), 404, "no-data")


@pytest.mark.parametrize("path", ["latest", "ticks", "aggregated", "indicators"])
async def test_an_unknown_symbol_is_answered_with_near_ones(client: httpx.AsyncClient, path: str) -> None:
    body = assert_problem(await client.get(f"/api/v1/{path}/BTCUSD"), 404, "unknown-symbol")
    assert body["suggestions"] == ["BTCUSDT"]
    assert "Did you mean BTCUSDT?" in body["detail"]


async def test_a_symbol_like_nothing_known_points_to_the_list(client: httpx.AsyncClient) -> None:
    body = assert_problem(await client.get("/api/v1/latest/ZZZ"), 404, "unknown-symbol")
    assert "/api/v1/symbols" in body["detail"]


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("ticks/BTCUSDT?limit=0", "limit"),
        ("ticks/BTCUSDT?limit=10001", "limit"),
        ("ticks/BTCUSDT?limit=many", "limit"),
        ("ticks/BTCUSDT?start=soon", "start"),
        ("ticks/BTCUSDT?start=2&end=1", "start"),
        ("aggregated/BTCUSDT?window=2min", "window"),
        ("indicators/BTCUSDT?window=2min", "window"),
        ("indicators/BTCUSDT?start=2&end=1", "start"),
        ("latest/BTC%20USDT", "symbol"),
        (f"latest/{'A' * 33}", "symbol"),
    ],
)
async def test_a_wrong_parameter_is_named(client: httpx.AsyncClient, query: str, parameter: str) -> None:
    body = assert_problem(await client.get(f"/api/v1/{query}"), 422, "invalid-parameter")
    assert [fault["parameter"] for fault in body["errors"]] == [parameter]
    assert body["detail"].startswith(f"{parameter}: ")


async def test_a_wrong_window_lists_the_windows(client: httpx.AsyncClient) -> None:
    body = assert_problem(await client.get("/api/v1/aggregated/IBM?window=7min"), 422, "invalid-parameter")
    assert body["detail"].endswith("use one of: 1min, 5min, 15min")


async def test_a_quote_is_the_message_itself(client: httpx.AsyncClient, world: Any) -> None:
    quote = make_quote(
        world.clock.time_us - 1_500_000, symbol="BTCUSDT", received_time_us=world.clock.time_us - 500_000
    )
    world.cache.add(quote)
    body = (await client.get("/api/v1/quotes/btcusdt")).json()
    assert decode_quote(orjson.dumps(body.pop("quote"))) == quote
    assert body == {
        "symbol": "BTCUSDT",
        "source": "cache",
        "stale": False,
        "degraded": False,
        "received_us": quote.received_time_us,
    }
    world.clock.advance(40)
    later = (await client.get("/api/v1/quotes/BTCUSDT")).json()
    assert (later["stale"], later["received_us"]) == (True, quote.received_time_us)


async def test_no_quote_is_said(client: httpx.AsyncClient, world: Any) -> None:
    assert_problem(await client.get("/api/v1/quotes/IBM"), 404, "no-data")
    assert_problem(await client.get("/api/v1/quotes/BTCUSD"), 404, "unknown-symbol")
    world.cache.available = False
    assert_problem(await client.get("/api/v1/quotes/IBM"), 503, "stores-unavailable")


async def test_a_providers_bar_has_its_provider_and_may_lack_a_vwap(client: httpx.AsyncClient, world: Any) -> None:
    bar = make_provider_bar(world.bars[0].start_us - 60_000_000, world.clock.time_us, symbol="BTCUSDT")
    world.history.add(bar)
    body = (await client.get("/api/v1/aggregated/BTCUSDT?limit=1000")).json()
    assert decode_bar(orjson.dumps(body["bars"][0])) == bar
    assert [(each["provider"], each["vwap"] is None) for each in body["bars"][:2]] == [("finazon", True), (None, False)]


@pytest.mark.parametrize("store", ["cache", "history"])
async def test_a_window_that_only_a_provider_has_is_offered(client: httpx.AsyncClient, world: Any, store: str) -> None:
    bar = make_provider_bar(world.bars[0].start_us, 5, symbol="BTCUSDT", interval="10s")
    getattr(world, store).add(bar)
    body = (await client.get("/api/v1/aggregated/BTCUSDT?window=10s")).json()
    assert [decode_bar(orjson.dumps(each)) for each in body["bars"]] == [bar]
    windows = (await client.get("/api/v1/symbols")).json()["windows"]
    assert windows == ["10s", "1min", "5min", "15min"]


async def test_symbols_and_windows(client: httpx.AsyncClient) -> None:
    body = (await client.get("/api/v1/symbols")).json()
    assert body == {"count": 2, "next": None, "symbols": ["BTCUSDT", "IBM"], "windows": ["1min", "5min", "15min"]}


async def test_one_store_away_is_said_and_served(client: httpx.AsyncClient, world: Any) -> None:
    world.cache.available = False
    body = (await client.get("/api/v1/latest/BTCUSDT")).json()
    assert (body["source"], body["degraded"]) == ("database", True)


async def test_both_stores_away_is_a_503_that_says_when_to_retry(client: httpx.AsyncClient, world: Any) -> None:
    world.cache.available = world.history.available = False
    response = await client.get("/api/v1/aggregated/BTCUSDT")
    assert_problem(response, 503, "stores-unavailable")
    assert int(response.headers["retry-after"]) >= 1


async def test_readiness_tells_each_store(client: httpx.AsyncClient, world: Any) -> None:
    ready = await client.get("/health/ready")
    assert (ready.status_code, ready.json()["status"]) == (200, "ready")
    world.history.available = False
    degraded = await client.get("/health/ready")
    assert (degraded.status_code, degraded.json()["status"]) == (200, "degraded")
    assert degraded.json()["dependencies"]["cache"]["ok"] is True
    assert degraded.json()["dependencies"]["database"]["ok"] is False
    assert degraded.json()["dependencies"]["database"]["error"]
    world.cache.available = False
    away = await client.get("/health/ready")
    assert (away.status_code, away.json()["status"]) == (503, "unavailable")
    assert (await client.get("/health/live")).json() == {"status": "live"}


async def test_a_crash_is_a_problem_without_its_insides(client: httpx.AsyncClient, world: Any) -> None:
    def crash(_symbol: str) -> None:
        raise RuntimeError("secret path")

    world.cache.latest = crash
    response = await client.get("/api/v1/latest/BTCUSDT")
    assert_problem(response, 500, "internal-error")
    assert "secret" not in response.text


async def test_other_addresses_and_methods_are_problems_too(client: httpx.AsyncClient) -> None:
    assert_problem(await client.get("/api/v2/latest/IBM"), 404, "not-found")
    assert_problem(await client.post("/api/v1/symbols"), 405, "method-not-allowed")


async def test_big_answers_are_compressed(client: httpx.AsyncClient) -> None:
    response = await client.get("/api/v1/ticks/BTCUSDT?limit=1000")
    assert response.headers["content-encoding"] == "gzip"


async def test_the_description_has_an_example_for_every_answer(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    schemas = document["components"]["schemas"]
    assert "example" in schemas["ProblemBody"]
    market = (
        "latest/{symbol}",
        "quotes/{symbol}",
        "ticks/{symbol}",
        "aggregated/{symbol}",
        "indicators/{symbol}",
        "symbols",
    )
    for path in (*market, "feeds", "feeds/events", "feeds/gaps", "feeds/completeness"):
        operation = document["paths"][f"/api/v1/{path}"]["get"]
        name = operation["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].rsplit("/", 1)[-1]
        model = getattr(schemas_of_feeds, name, None) or getattr(schemas_of_market, name)
        model.model_validate(schemas[name]["example"])


async def test_the_documentation_page_needs_nothing_from_elsewhere(client: httpx.AsyncClient) -> None:
    page = await client.get("/docs")
    assert page.status_code == 200
    assert "/api/v1/aggregated/{symbol}" in page.text
    assert "<script" not in page.text
    assert "src=" not in page.text
    assert (await client.get("/")).headers["location"] == "/docs"

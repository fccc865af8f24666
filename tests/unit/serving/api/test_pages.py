"""Lists page by page: no row twice and none left out, while data arrives, whatever the page's size."""

import base64
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import orjson
import pytest

from marketstream.serving.api.app import create_app
from stores import gap_event, make_event, make_gap, make_tick

NEWEST_US = 1_700_007_300_000_000


@pytest.fixture
async def client(world: Any) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app(world.market_data, world.feed_data), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as opened:
        yield opened


async def pages(client: httpx.AsyncClient, address: str, name: str) -> AsyncIterator[list[dict[str, Any]]]:
    link: str | None = address
    while link:
        answer = await client.get(link)
        assert answer.status_code == 200, answer.text
        link = answer.json()["next"]
        assert answer.headers.get("link") == (f'<{link}>; rel="next"' if link else None)
        yield answer.json()[name]


@pytest.mark.parametrize("limit", [1, 7, 200])
async def test_ticks_of_one_moment_are_neither_repeated_nor_skipped(
    client: httpx.AsyncClient, world: Any, limit: int
) -> None:
    for store in (world.cache, world.history):
        store.add(
            *(make_tick(NEWEST_US + n % 4, symbol="BTCUSDT", sequence=n % 2, trade_id=f"t{n}") for n in range(60))
        )
    wanted = {f"t{n}" for n in range(60)}
    found: list[str] = []
    async for page in pages(client, f"/api/v1/ticks/BTCUSDT?start={NEWEST_US}&limit={limit}", "ticks"):
        found += [tick["trade_id"] for tick in page]
    assert sorted(found) == sorted(wanted)


@pytest.mark.parametrize("limit", [7, 50, 99, 100, 1_000])
async def test_pages_hold_what_there_was_while_ticks_arrive(client: httpx.AsyncClient, world: Any, limit: int) -> None:
    before = [(tick.provider, tick.trade_id) for tick in world.ticks]
    found: list[tuple[str, str]] = []
    number = 0
    async for page in pages(client, f"/api/v1/ticks/BTCUSDT?limit={limit}", "ticks"):
        found = [(tick["provider"], tick["trade_id"]) for tick in page] + found
        number += 1
        later = make_tick(NEWEST_US + number, symbol="BTCUSDT", trade_id=f"later-{number}")
        for store in (world.cache, world.history):
            store.add(later)
    assert found == before


async def test_what_the_database_does_not_have_yet_is_on_later_pages_too(client: httpx.AsyncClient, world: Any) -> None:
    late = [make_tick(NEWEST_US + n, symbol="BTCUSDT", trade_id=f"c{n}") for n in range(30)]
    world.cache.add(*late)
    found: list[str] = []
    async for page in pages(client, "/api/v1/ticks/BTCUSDT?limit=10", "ticks"):
        found = [tick["trade_id"] for tick in page] + found
        if len(found) >= 60:
            break
    assert found[-30:] == [tick.trade_id for tick in late]
    assert found[-60:-30] == [tick.trade_id for tick in world.ticks[-30:]]


@pytest.mark.parametrize("path", ["aggregated", "indicators"])
@pytest.mark.parametrize("limit", [1, 7, 120, 121])
async def test_bars_page_by_page_are_all_bars(client: httpx.AsyncClient, world: Any, path: str, limit: int) -> None:
    found: list[int] = []
    name = "bars" if path == "aggregated" else path
    async for page in pages(client, f"/api/v1/{path}/BTCUSDT?limit={limit}", name):
        found = [each["start_us"] for each in page] + found
    assert found == [bar.start_us for bar in world.bars]


async def test_events_gaps_and_minutes_page_by_page(client: httpx.AsyncClient, world: Any) -> None:
    now_us = world.clock.time_us
    gaps = [make_gap(now_us - n // 2, now_us, gap_id=f"g{n}", symbol="BTCUSDT") for n in range(9)]
    world.feeds.add(*(make_event(now_us, "connected", detail=str(n)) for n in range(9)), *map(gap_event, gaps))
    for address, name, count in (
        ("/api/v1/feeds/events?kind=connected&limit=2", "events", 9),
        ("/api/v1/feeds/gaps?symbol=btcusdt&limit=2", "gaps", 9),
        ("/api/v1/feeds/completeness?limit=7", "minutes", 122),
        ("/api/v1/symbols?limit=1", "symbols", 2),
    ):
        found: list[bytes] = []
        async for page in pages(client, address, name):
            found += [orjson.dumps(each) for each in page]
        assert len(found) == len(set(found)) == count, address


def forged(cursor: str, place: object) -> str:
    raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    return base64.urlsafe_b64encode(raw[:8] + orjson.dumps(place)).decode().rstrip("=")


async def test_a_cursor_belongs_to_its_query(client: httpx.AsyncClient) -> None:
    link = (await client.get("/api/v1/aggregated/BTCUSDT?limit=2&end=1700007000")).json()["next"]
    cursor = link.partition("cursor=")[2]
    assert (await client.get(link.replace("limit=2", "limit=9"))).status_code == 200
    refused = [
        f"/api/v1/aggregated/BTCUSDT?cursor={cursor}",
        f"/api/v1/aggregated/IBM?limit=2&end=1700007000&cursor={cursor}",
        f"/api/v1/ticks/BTCUSDT?limit=2&end=1700007000&cursor={cursor}",
        f"/api/v1/aggregated/BTCUSDT?end=1700007000&cursor={cursor[:-2]}",
        f"/api/v1/aggregated/BTCUSDT?end=1700007000&cursor={forged(cursor, [1])}",
        "/api/v1/aggregated/BTCUSDT?cursor=%00",
        "/api/v1/aggregated/BTCUSDT?cursor=",
        "/api/v1/aggregated/BTCUSDT?cursor=é",
    ]
    for address in refused:
        answer = await client.get(address)
        assert answer.status_code == 422, address
        assert [fault["parameter"] for fault in answer.json()["errors"]] == ["cursor"]


async def test_a_page_without_the_database_is_the_caches_and_says_so(client: httpx.AsyncClient, world: Any) -> None:
    link = (await client.get("/api/v1/ticks/BTCUSDT?limit=10")).json()["next"]
    world.history.available = False
    body = (await client.get(link)).json()
    assert (body["source"], body["degraded"], body["cancelled"]) == ("cache", True, None)
    assert [tick["trade_id"] for tick in body["ticks"]] == [tick.trade_id for tick in world.ticks[-20:-10]]


async def test_an_unknown_parameter_is_refused_with_near_ones(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/v1/aggregated/BTCUSDT?windw=1min&limit=3&limit=4")
    assert answer.status_code == 422
    assert answer.json()["errors"] == [
        {"parameter": "windw", "fault": "is no parameter here; did you mean window?"},
        {"parameter": "limit", "fault": "is given twice"},
    ]
    assert (await client.get("/api/v1/latest/BTCUSDT?fresh=1")).status_code == 422
    near = (await client.get("/api/v1/aggregated/BTCUSDT?window=1m")).json()
    assert near["suggestions"] == ["1min"]
    assert "did you mean 1min?" in near["detail"]


async def test_a_tick_that_came_late_is_seen_where_it_was_not_passed_yet(client: httpx.AsyncClient, world: Any) -> None:
    first = (await client.get("/api/v1/ticks/BTCUSDT?limit=10&start=1700000000")).json()
    passed = replace(world.ticks[-2], trade_id="passed")
    ahead = replace(world.ticks[-15], trade_id="ahead")
    world.history.add(passed, ahead)
    second = (await client.get(first["next"])).json()["ticks"]
    assert "ahead" in [tick["trade_id"] for tick in second]
    assert "passed" not in [tick["trade_id"] for tick in second]

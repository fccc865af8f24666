"""The feeds over REST, through the whole ASGI application, over feeds in memory."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from marketstream.domain.errors import Fault
from marketstream.serving.api.app import create_app
from stores import gap_event, make_event, make_gap

MINUTE_US = 60_000_000


@pytest.fixture
async def client(world: Any) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app(world.market_data, world.feed_data), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as open_client:
        yield open_client


async def ask(client: httpx.AsyncClient, path: str, query: dict[str, Any] | None = None) -> httpx.Response:
    return await client.get(f"/api/v1/feeds/{path}".rstrip("/"), params=query)


async def get(client: httpx.AsyncClient, path: str = "", **query: Any) -> Any:
    response = await ask(client, path, query)
    assert response.status_code == 200, response.text
    return response.json()


async def test_every_provider_has_its_state(client: httpx.AsyncClient, world: Any) -> None:
    now_us = world.clock.time_us
    world.feeds.add(
        make_event(now_us - 9_000_000, "breaker_open", role="open", fault=Fault.SILENT, attempt=4),
        make_event(now_us - 2_000_000, "status", role="probing", fault=Fault.SILENT, attempt=5, lag_ms=12.5),
        gap_event(make_gap(now_us - 5, now_us, gap_id="a")),
        gap_event(make_gap(now_us - 5, now_us, gap_id="b", state="unfillable", provider="fmp")),
    )

    body = await get(client)

    assert [feed["provider"] for feed in body["feeds"]] == ["polygon", "binance", "fmp"]
    silent, binance, gone = body["feeds"]
    assert binance == {
        "provider": "binance",
        "role": "probing",
        "fault": "silent",
        "attempt": 5,
        "lag_ms": 12.5,
        "last_event": {"kind": "breaker_open", "detail": "breaker_open now", "time_us": now_us - 9_000_000},
        "time_us": now_us - 2_000_000,
        "age_seconds": 2.0,
        "open_gaps": 1,
        "gaps": {"open": 1, "closed": 0, "unfillable": 0},
    }
    assert (silent["role"], silent["last_event"], silent["age_seconds"], silent["open_gaps"]) == (None, None, None, 0)
    assert gone["gaps"] == {"open": 0, "closed": 0, "unfillable": 1}


async def test_events_are_chosen_by_provider_and_kind(client: httpx.AsyncClient, world: Any) -> None:
    world.feeds.add(*(make_event(time_us, "connected") for time_us in (30, 10, 20)))
    world.feeds.add(make_event(15, "failover", provider="fmp"), make_event(40, "status"))

    assert [event["time_us"] for event in (await get(client, "events"))["events"]] == [10, 15, 20, 30]
    assert [event["time_us"] for event in (await get(client, "events", limit=2))["events"]] == [20, 30]
    assert [event["kind"] for event in (await get(client, "events", provider="fmp"))["events"]] == ["failover"]
    assert (await get(client, "events", kind="connected"))["count"] == 3


async def test_gaps_are_chosen_by_what_is_asked(client: httpx.AsyncClient, world: Any) -> None:
    gaps = [
        make_gap(10, 20, gap_id="a"),
        make_gap(30, 40, gap_id="b", state="closed", symbol="BAC"),
        make_gap(50, 60, gap_id="c", state="unfillable", provider="fmp", missing=3),
    ]
    world.feeds.add(*map(gap_event, gaps))

    async def ids(**query: Any) -> list[str]:
        return [gap["gap_id"] for gap in (await get(client, "gaps", **query))["gaps"]]

    assert await ids() == ["a", "b", "c"]
    assert await ids(symbol="bac") == ["b"]
    assert await ids(provider="fmp") == ["c"]
    assert await ids(state="open") == ["a"]
    assert await ids(start="1970-01-01T00:00:00.000035Z", end="1970-01-01T00:00:00.000050Z") == ["b"]
    assert await ids(limit=1) == ["c"]
    assert (await get(client, "gaps", state="unfillable"))["gaps"][0]["missing"] == 3


async def test_completeness_of_each_minute(client: httpx.AsyncClient, world: Any) -> None:
    start_us = world.ticks[0].event_time_us // MINUTE_US * MINUTE_US
    third_us = start_us + 2 * MINUTE_US
    of_first = sum(tick.event_time_us < start_us + MINUTE_US for tick in world.ticks)
    world.feeds.add(
        gap_event(make_gap(start_us, third_us, gap_id="known", symbol="BTCUSDT", missing=2 * of_first)),
        gap_event(make_gap(third_us, third_us + 15_000_000, gap_id="x", symbol="BTCUSDT")),
    )

    body = await get(client, "completeness", symbol="btcusdt,IBM", start=start_us + 1, end=start_us + 3 * MINUTE_US - 1)

    assert (body["start_us"], body["end_us"], body["count"]) == (start_us, start_us + 3 * MINUTE_US, 6)
    first, _, third, quiet, *_ = body["minutes"]
    assert first == {
        "symbol": "BTCUSDT",
        "minute_us": start_us,
        "score": 0.5,
        "ticks": of_first,
        "missing": of_first,
        "uncovered_seconds": 0.0,
        "reason": "trades_missing",
        "gap_ids": ["known"],
    }
    assert (third["score"], third["uncovered_seconds"], third["reason"]) == (0.75, 15.0, "time_uncovered")
    assert (quiet["symbol"], quiet["score"], quiet["reason"]) == ("IBM", None, "nothing_known")


async def test_completeness_is_of_the_last_hour_and_of_every_symbol(client: httpx.AsyncClient, world: Any) -> None:
    body = await get(client, "completeness")

    assert {minute["symbol"] for minute in body["minutes"]} == {"BTCUSDT", "IBM"}
    assert body["count"] in (2 * 60, 2 * 61)
    assert body["end_us"] - MINUTE_US < world.clock.time_us <= body["end_us"]


@pytest.mark.parametrize(
    ("path", "query", "parameter"),
    [
        ("events", {"kind": "party"}, "kind"),
        ("events", {"limit": 0}, "limit"),
        ("gaps", {"state": "lost"}, "state"),
        ("gaps", {"start": "2", "end": "1"}, "start"),
        ("completeness", {"start": "2013-10-07", "end": "2013-10-08T00:00:00.000001"}, "start"),
        ("completeness", {"start": "2100-01-01"}, "start"),
        ("completeness", {"symbol": " , "}, "symbol"),
    ],
)
async def test_a_wrong_parameter_is_named(
    client: httpx.AsyncClient, path: str, query: dict[str, Any], parameter: str
) -> None:
    response = await ask(client, path, query)
    assert response.status_code == 422
    assert [fault["parameter"] for fault in response.json()["errors"]] == [parameter]


async def test_too_many_minutes_at_once_are_refused(
    client: httpx.AsyncClient, world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("marketstream.serving.api.feeds.MAX_MINUTES", 119)
    query = {"start": "2013-10-07T00:00Z", "end": "2013-10-07T01:00Z"}
    assert (await ask(client, "completeness", query)).status_code == 422
    assert (await ask(client, "completeness", {**query, "symbol": "IBM"})).status_code == 200


async def test_an_unknown_symbol_is_answered_with_near_ones(client: httpx.AsyncClient) -> None:
    response = await ask(client, "completeness", {"symbol": "IBM,BTCUSD"})
    assert response.status_code == 404
    assert response.json()["suggestions"] == ["BTCUSDT"]


@pytest.mark.parametrize("path", ["", "events", "gaps", "completeness"])
async def test_the_database_away_is_a_503(client: httpx.AsyncClient, world: Any, path: str) -> None:
    world.feeds.available = False
    response = await ask(client, path)
    assert response.status_code == 503
    assert response.json()["type"] == "/problems/stores-unavailable"

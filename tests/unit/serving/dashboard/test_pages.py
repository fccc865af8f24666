"""Every page with everything behind it: its layout, what its callbacks answer, and who is told what."""

import io
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import httpx
import polars as pl
import pytest

from dash_calls import call, visit
from doors import Door
from marketstream.serving.access.principal import Role
from marketstream.serving.dashboard.app import create_app
from marketstream.serving.dashboard.registry import PAGES, pages_for
from marketstream.serving.dashboard.sources import Sources
from marketstream.serving.platform_metrics import PlatformMetrics, Scraped
from screens_world import Market, sources_of


@pytest.fixture(scope="module")
def sources() -> Sources:
    return sources_of(Market(hours=1.0, per_second=0.1))


@pytest.fixture
async def client(sources: Sources) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app(sources))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as opened:
        yield opened


@pytest.fixture
def door() -> Iterator[Door]:
    opened = Door()
    yield opened
    opened.close()


def test_every_page_is_there_with_its_source(sources: Sources) -> None:
    assert pages_for(sources) == list(PAGES)
    assert [page.name for page in pages_for(Sources(market_data=sources.market_data))] == ["market"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
async def test_every_page_keeps_its_interval_and_its_names(client: httpx.AsyncClient, page: Any) -> None:
    shown = await visit(client, page.path)
    assert f"'id': '{page.refresh}'" in shown
    assert "'id': 'main'" in shown
    for component in (page.selections or {}).values():
        assert f"'id': '{component}'" in shown


async def test_signals_are_narrowed_down(client: httpx.AsyncClient) -> None:
    chosen = {
        "signals-symbol.value": "AAPL",
        "signals-direction.value": "bullish",
        "signals-severity.value": "critical",
    }
    answer = await call(client, "signals-list.children", chosen, "signals-symbol.value")
    signals, anomalies = str(answer["signals-list"]), str(answer["anomalies-list"])
    assert "Golden cross" in signals
    assert "RSI overbought" not in signals
    assert "BTCUSDT" not in signals
    assert "Nothing unusual" in anomalies


async def test_anomalies_that_last_come_first(client: httpx.AsyncClient) -> None:
    chosen = {"signals-symbol.value": "all", "signals-direction.value": "all", "signals-severity.value": "all"}
    answer = await call(client, "signals-list.children", chosen, "signals-symbol.value")
    text = str(answer["anomalies-list"])
    assert text.index("Price move") < text.index("Volume spike") < text.index("Latency")
    assert answer["anomalies-count"]["children"] == "1 last, newest 3"


async def test_the_system_page_names_who_is_not_well(client: httpx.AsyncClient) -> None:
    answer = await call(client, "system-figures.children", {}, "system-refresh.n_intervals")
    assert "Not well" in str(answer["system-badge"])
    assert "its newest bar is 40 s old" in str(answer["system-services"])
    assert "timescale-writer" in str(answer["system-lags"])
    assert answer["system-notice"]["children"] is None
    feeds = await call(client, "system-feeds.children", {}, "system-slow.n_intervals")
    assert "connected in 0.2 s" in str(feeds["system-events"])
    assert feeds["completeness"]["figure"]["data"][0]["type"] == "heatmap"


async def test_without_an_exporter_the_page_says_so(sources: Sources) -> None:
    away = replace(sources, metrics=PlatformMetrics(lambda: Scraped([], ["http://away"]), list, dict))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(create_app(away)), base_url="http://test") as client:
        answer = await call(client, "system-figures.children", {}, "system-refresh.n_intervals")
    assert "no metrics exporter answers at http://away" in str(answer["system-notice"])
    assert "system-figures" not in answer


@pytest.mark.parametrize(("role", "told"), [(Role.VIEWER, False), (Role.TRADER, True)])
async def test_dead_letters_are_not_for_viewers(sources: Sources, door: Door, role: Role, told: bool) -> None:
    transport = httpx.ASGITransport(create_app(sources, door.access("dashboard")))
    headers = {"X-API-Key": door.key(role), "Origin": "http://test", "Sec-Fetch-Site": "same-origin"}
    async with httpx.AsyncClient(transport=transport, base_url="http://test", headers=headers) as client:
        answer = await call(client, "system-letters.children", {}, "system-slow.n_intervals")
    assert ("late" in str(answer["system-letters"])) is told
    assert ("Not for viewers" in str(answer["system-letters"])) is not told


async def test_an_export_is_what_is_stored(client: httpx.AsyncClient, sources: Sources) -> None:
    order = {"export-data.value": "ticks", "export-symbols.value": ["AAPL"], "export-window.value": "1min"}
    order |= {
        "export-range.value": "all",
        "export-start.value": "",
        "export-end.value": "",
        "export-format.value": "csv",
    }
    answer = await call(client, "export-download.href", order, "export-data.value")
    assert answer["export-fault"]["children"] is None
    file = await client.get(answer["export-download"]["href"])
    stored = sources.market_data.ticks("AAPL", limit=100_000).data
    assert pl.read_csv(io.BytesIO(file.content))["price"].to_list() == [tick.price for tick in stored]
    assert f"{stored[-1].price:,.8g}" in str(answer["export-preview"])


async def test_a_pair_is_drawn_anew_only_with_newer_figures(client: httpx.AsyncClient) -> None:
    chosen = {"pairs-pair.value": "BTCUSDT/ETHUSDT", "pairs-window.value": "1min", "pairs-bars.value": "60"}
    first = await call(client, "pairs-chart.figure", chosen, "pairs-pair.value")
    assert [trace["name"] for trace in first["pairs-chart"]["figure"]["data"]][-2:] == ["Spread", "z-score"]
    symbols = first["pairs-map"]["figure"]["data"][0]["x"]
    assert (len(symbols), symbols) == (6, sorted(symbols))
    assert "BTCUSDT/ETHUSDT" in str(first["pairs-list"])
    again = await call(
        client,
        "pairs-chart.figure",
        chosen | {"pairs-drawn.data": first["pairs-drawn"]["data"]},
        "pairs-refresh.n_intervals",
    )
    assert "pairs-chart" not in again
    assert "Live" in str(again["pairs-badge"])

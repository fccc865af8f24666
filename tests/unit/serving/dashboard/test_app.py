"""The dashboard as its server sees it: the page, what it loads, and what its callbacks answer."""

import ast
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from dash_calls import call, visit
from marketstream.serving.dashboard.app import create_app
from marketstream.serving.dashboard.sources import Sources
from stores import make_provider_bar


def client_of(world: Any) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(create_app(Sources(market_data=world.market_data)))
    return httpx.AsyncClient(transport=transport, base_url="http://test")


@pytest.fixture
async def client(world: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(world) as open_client:
        yield open_client


async def show(client: httpx.AsyncClient, drawn: Any = None, **values: Any) -> dict[str, Any]:
    selection = {"symbol.value": "BTCUSDT", "window.value": "1min", "span.value": "1h", "drawn.data": drawn}
    selection |= {"show.value": ["vwap", "volume"]}
    named = {name.replace("_", "."): value for name, value in values.items()}
    return await call(client, "chart.figure", selection | named, "market-refresh.n_intervals")


def chosen(page: str) -> dict[str, Any]:
    """The values of the Market page's controls."""
    components = ast.literal_eval(page)
    found: dict[str, Any] = {}

    def walk(component: Any) -> None:
        if isinstance(component, list):
            for each in component:
                walk(each)
        elif isinstance(component, dict) and "props" in component:
            props = component["props"]
            if props.get("id") in ("symbol", "window", "span", "show"):
                found[props["id"]] = props["value"]
            walk(props.get("children"))

    walk(components)
    return found


async def test_the_page_loads_nothing_from_elsewhere(client: httpx.AsyncClient) -> None:
    page = await client.get("/")
    assert page.status_code == 200
    assert 'lang="en"' in page.text
    links = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert any("market.css" in link for link in links)
    assert any("market.js" in link for link in links)
    assert all(link.startswith("/") for link in links), links
    assert "default-src 'self'" in page.headers["content-security-policy"]
    for link in links:
        assert (await client.get(link)).status_code == 200, link


async def test_the_layout_has_every_control(client: httpx.AsyncClient) -> None:
    layout = (await client.get("/_dash-layout")).text
    for name in ("scheme", "period", "content", "to-market"):
        assert f'"id":"{name}"' in layout
    page = await visit(client, "/")
    for name in ("symbol", "window", "span", "show", "chart", "tape", "watch", "badge", "veil"):
        assert f"'id': '{name}'" in page


async def test_the_first_look_draws_and_the_next_patches(client: httpx.AsyncClient, world: Any) -> None:
    first = await show(client)
    assert len(first["chart"]["figure"]["data"][0]["x"]) == 60
    assert first["veil"]["children"] is None
    second = await show(client, first["drawn"]["data"])
    assert "__dash_patch_update" in second["chart"]["figure"]
    assert second["drawn"] == first["drawn"]
    assert second["market-title"]["data"].endswith("BTCUSDT · marketstream")


async def test_another_window_is_drawn_anew(client: httpx.AsyncClient) -> None:
    first = await show(client)
    other = await show(client, first["drawn"]["data"], span_value="4h")
    assert len(other["chart"]["figure"]["data"][0]["x"]) > 60


async def test_a_symbol_without_bars_says_so(client: httpx.AsyncClient) -> None:
    answer = await show(client, symbol_value="IBM")
    assert answer["chart"]["figure"]["data"] == []
    assert "No 1min bars of IBM yet" in str(answer["veil"]["children"])
    assert answer["drawn"]["data"] is None


async def test_what_is_shown_stays_while_the_stores_are_away(client: httpx.AsyncClient, world: Any) -> None:
    first = await show(client)
    world.cache.available = world.history.available = False
    answer = await show(client, first["drawn"]["data"])
    assert "chart" not in answer
    assert "summary" not in answer
    assert "Market data is away." in str(answer["notice"]["children"])
    assert "No data" in str(answer["badge"]["children"])


async def test_another_symbol_is_not_shown_with_the_formers_chart(client: httpx.AsyncClient, world: Any) -> None:
    first = await show(client)
    world.cache.available = world.history.available = False
    answer = await show(client, first["drawn"]["data"], symbol_value="IBM")
    assert answer["chart"]["figure"]["data"] == []
    assert answer["drawn"]["data"] is None


async def test_a_link_sets_the_controls(client: httpx.AsyncClient) -> None:
    page = await visit(client, "/", "?symbol=ibm&window=5min&range=1d&show=rsi")
    assert chosen(page) == {"symbol": "IBM", "window": "5min", "span": "1d", "show": ["rsi"]}


async def test_a_wrong_link_is_explained(client: httpx.AsyncClient) -> None:
    page = await visit(client, "/", "?symbol=BTCUSD")
    assert chosen(page)["symbol"] == "BTCUSDT"
    assert "Did you mean BTCUSDT?" in page


async def test_a_window_that_only_a_provider_has_can_be_chosen_and_is_no_default(world: Any) -> None:
    world.history.add(make_provider_bar(world.bars[0].start_us, 5, symbol="IBM", interval="10s"))
    async with client_of(world) as client:
        assert chosen(await visit(client, "/"))["window"] == "1min"
        linked = await visit(client, "/", "?symbol=IBM&window=10s")
    assert chosen(linked)["window"] == "10s"
    assert "not known here" not in linked


async def test_a_page_that_is_not_there_names_those_that_are(client: httpx.AsyncClient) -> None:
    page = await visit(client, "/nowhere")
    assert "There is no such page" in page
    assert "'href': '/'" in page


async def test_pages_without_a_source_are_not_there(client: httpx.AsyncClient, world: Any) -> None:
    layout = (await client.get("/_dash-layout")).text
    assert '"to-market"' in layout
    for name in ("signals", "export", "system"):
        assert f'"to-{name}"' not in layout


async def test_bars_without_vwap_and_trades_are_shown(client: httpx.AsyncClient, world: Any) -> None:
    world.history.add(make_provider_bar(world.bars[0].start_us, 5, symbol="IBM"))
    answer = await show(client, symbol_value="IBM")
    chart = answer["chart"]["figure"]["data"]
    assert (chart[0]["close"], chart[1]["y"], chart[2]["customdata"]) == ([182.0], [None], [["1,234", "–"]])  # noqa: RUF001  # an en dash says that nothing is known
    assert "made by finazon" in str(answer["origin"]["children"])


async def test_health_is_there_too(client: httpx.AsyncClient) -> None:
    assert (await client.get("/health/live")).json() == {"status": "live"}
    assert (await client.get("/health/ready")).json()["status"] == "ready"

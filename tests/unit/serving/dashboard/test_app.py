"""The dashboard as its server sees it: the page, what it loads, and what its callbacks answer."""

import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from marketstream.serving.dashboard.app import create_app
from marketstream.settings import Settings
from stores import make_provider_bar


def client_of(world: Any) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(create_app(world.market_data, Settings()))
    return httpx.AsyncClient(transport=transport, base_url="http://test")


@pytest.fixture
async def client(world: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(world) as open_client:
        yield open_client


async def call(client: httpx.AsyncClient, output: str, values: dict[str, Any], changed: str) -> dict[str, Any]:
    """Runs the callback whose outputs include `output`, as the browser does."""
    callbacks = (await client.get("/_dash-dependencies")).json()
    callback = next(c for c in callbacks if output in c["output"] and "@" not in c["output"])

    def filled(names: list[dict[str, str]]) -> list[dict[str, Any]]:
        return [{**name, "value": values.get(f"{name['id']}.{name['property']}")} for name in names]

    names = callback["output"].strip(".").split("...")
    outputs = [dict(zip(("id", "property"), name.rsplit(".", 1), strict=True)) for name in names]
    body = {
        "output": callback["output"],
        "outputs": outputs,
        "inputs": filled(callback["inputs"]),
        "state": filled(callback["state"]),
        "changedPropIds": [changed],
    }
    response = await client.post("/_dash-update-component", json=body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()["response"]
    return answer


async def show(client: httpx.AsyncClient, drawn: Any = None, **values: Any) -> dict[str, Any]:
    selection = {"symbol.value": "BTCUSDT", "window.value": "1min", "span.value": "1h", "drawn.data": drawn}
    named = {name.replace("_", "."): value for name, value in values.items()}
    return await call(client, "chart.figure", selection | named, "refresh.n_intervals")


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
    for name in ("symbol", "window", "span", "scheme", "chart", "tape", "badge", "veil"):
        assert f'"id":"{name}"' in layout


async def test_the_first_look_draws_and_the_next_patches(client: httpx.AsyncClient, world: Any) -> None:
    first = await show(client)
    assert len(first["chart"]["figure"]["data"][0]["x"]) == 60
    assert first["veil"]["children"] is None
    second = await show(client, first["drawn"]["data"])
    assert "__dash_patch_update" in second["chart"]["figure"]
    assert second["drawn"] == first["drawn"]
    assert second["title"]["data"].endswith("BTCUSDT · marketstream")


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
    link = {"url.search": "?symbol=ibm&window=5min&range=1d"}
    answer = await call(client, "symbol.value", link, "url.search")
    assert answer["symbol"] == {"data": ["BTCUSDT", "IBM"], "value": "IBM"}
    assert (answer["window"]["value"], answer["span"]["value"]) == ("5min", "1d")
    assert answer["link-notice"]["children"] is None


async def test_a_wrong_link_is_explained(client: httpx.AsyncClient) -> None:
    answer = await call(client, "symbol.value", {"url.search": "?symbol=BTCUSD"}, "url.search")
    assert answer["symbol"]["value"] == "BTCUSDT"
    assert "Did you mean BTCUSDT?" in answer["link-notice"]["children"]


async def test_a_window_that_only_a_provider_has_can_be_chosen_and_is_no_default(world: Any) -> None:
    world.history.add(make_provider_bar(world.bars[0].start_us, 5, symbol="IBM", interval="10s"))
    async with client_of(world) as client:
        layout = (await client.get("/_dash-layout")).text
        answer = await call(client, "symbol.value", {"url.search": ""}, "url.search")
        linked = await call(client, "symbol.value", {"url.search": "?symbol=IBM&window=10s"}, "url.search")
    assert '"10s"' in layout
    assert answer["window"]["value"] == "1min"
    assert (linked["window"]["value"], linked["link-notice"]["children"]) == ("10s", None)


async def test_bars_without_vwap_and_trades_are_shown(client: httpx.AsyncClient, world: Any) -> None:
    world.history.add(make_provider_bar(world.bars[0].start_us, 5, symbol="IBM"))
    answer = await show(client, symbol_value="IBM")
    chart = answer["chart"]["figure"]["data"]
    assert (chart[0]["close"], chart[1]["y"], chart[2]["customdata"]) == ([182.0], [None], [["1,234", "–"]])  # noqa: RUF001  # an en dash says that nothing is known
    assert "made by finazon" in str(answer["origin"]["children"])


async def test_health_is_there_too(client: httpx.AsyncClient) -> None:
    assert (await client.get("/health/live")).json() == {"status": "live"}
    assert (await client.get("/health/ready")).json()["status"] == "ready"

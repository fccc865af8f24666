"""The Market page in a real browser, over the dashboard process, Redis and PostgreSQL: what a person sees and does."""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from marketstream.settings import Settings
from marketstream.testing.samples import sample_ticks
from served import INTERVALS, StoredMarket, served, stored_market

pytestmark = [pytest.mark.servers, pytest.mark.browser]

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
FLAGS += ["--disable-sync", "--no-first-run"]
MINUTE_US = 60_000_000
PATIENCE_MS = 20_000  # a limit, no expectation: the machine may be busy
CANDLES = "#chart .js-plotly-plot"


@pytest.fixture(scope="module")
def market(server_settings: Callable[..., Settings]) -> Iterator[StoredMarket]:
    now_us = time.time_ns() // 1_000
    with stored_market(server_settings) as stored:
        for symbol, price in (("BTCUSDT", 65_000.0), ("ETHUSDT", 3_200.0)):
            start_us = now_us - 180 * MINUTE_US
            stored.add(list(sample_ticks(symbol, start_us=start_us, end_us=now_us, per_second=0.3, price=price)))
        yield stored


@pytest.fixture(scope="module")
def address(market: StoredMarket, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    log = tmp_path_factory.mktemp("dashboard") / "dashboard.log"
    with served("dashboard", market.settings, market.settings.serving.dashboard_port, log) as served_at:
        yield served_at


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not CHROMIUM.exists() and os.environ.get("MARKETSTREAM_REQUIRE_SERVERS") != "1":
        pytest.skip(f"no browser at {CHROMIUM}")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """A page that fails the test for any console error, crash, failed request or request to another host."""
    faults: list[str] = []
    opened = browser.new_page(viewport={"width": 1280, "height": 820})
    opened.set_default_timeout(PATIENCE_MS)
    opened.on("console", lambda message: faults.append(message.text) if message.type in ("error", "warning") else None)
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.on("requestfailed", lambda request: faults.append(f"{request.url} {request.failure}"))
    opened.on(
        "request",
        lambda request: None if request.url.startswith((address, "data:", "blob:")) else faults.append(request.url),
    )
    yield opened
    opened.close()
    assert [fault for fault in faults if "ERR_ABORTED" not in fault] == []  # closing the page aborts what is under way


def open_market(page: Page, address: str, query: str = "") -> None:
    page.goto(f"{address}/{query}")
    expect(page.locator("#last-price")).to_be_visible(timeout=PATIENCE_MS)
    page.wait_for_function(f"() => (document.querySelector('{CANDLES}')?.data ?? []).length > 0")


def trace(page: Page, index: int = 0) -> dict[str, Any]:
    data: dict[str, Any] = page.evaluate(f"(index) => document.querySelector('{CANDLES}').data[index]", index)
    return data


def test_it_shows_the_stored_bars(page: Page, address: str, market: StoredMarket) -> None:
    open_market(page, address)
    bars = {bar.close for bar in market.bars("BTCUSDT", INTERVALS[0])}
    shown = trace(page)
    assert len(shown["x"]) > 100
    assert set(shown["close"]) <= bars
    assert page.locator("#chart .boxes path, #chart .candlesticklayer path").count() == len(shown["x"])
    expect(page.locator("#tape tbody tr")).to_have_count(40)
    expect(page).to_have_title(f"{market.ticks['BTCUSDT'][-1].price:,.2f} BTCUSDT · marketstream")


def test_a_trade_appears_by_itself_and_only_the_end_of_the_chart_changes(
    page: Page, address: str, market: StoredMarket
) -> None:
    open_market(page, address, "?symbol=BTCUSDT&window=1min&range=1h")
    before = trace(page)
    page.evaluate(f"() => {{ document.querySelector('{CANDLES}').dataset.same = 'yes' }}")
    last = market.ticks["BTCUSDT"][-1]
    time_us = max(time.time_ns() // 1_000, last.event_time_us + 1)
    market.add([replace(last, trade_id="live", price=66_543.21, event_time_us=time_us, received_time_us=time_us)])
    expect(page.locator("#last-price")).to_have_text("66,543.21", timeout=PATIENCE_MS)
    expect(page.locator("#freshness")).to_contain_text("Live")
    page.wait_for_function(f"() => document.querySelector('{CANDLES}').data[0].close.at(-1) === 66543.21")
    after = trace(page)
    assert page.locator(CANDLES).get_attribute("data-same") == "yes"
    kept = [x for x in before["x"][:-1] if x >= after["x"][0]]
    assert after["x"][: len(kept)] == kept
    assert trace(page, 1)["x"] == after["x"]


def test_another_symbol_and_window_are_chosen_and_linked(page: Page, address: str, market: StoredMarket) -> None:
    open_market(page, address)
    page.locator("#symbol").click()
    page.get_by_role("option", name="ETHUSDT").click()
    price = f"{market.ticks['ETHUSDT'][-1].price:,.2f}"
    expect(page.locator("#last-price")).to_have_text(price, timeout=PATIENCE_MS)
    page.locator("#window").get_by_text("5min").click()
    page.wait_for_url("**/?symbol=ETHUSDT&window=5min&range=4h")
    page.wait_for_function(
        f"() => {{ const x = document.querySelector('{CANDLES}').data[0].x; "
        "return Date.parse(x[1]) - Date.parse(x[0]) === 300000 }"
    )
    page.reload()
    expect(page.locator("#last-price")).to_have_text(price, timeout=PATIENCE_MS)
    page.go_back()
    page.wait_for_url("**window=1min**")


def test_a_zoom_survives_the_refresh_and_prices_fit_what_is_in_view(page: Page, address: str) -> None:
    open_market(page, address, "?symbol=ETHUSDT&window=1min&range=4h")
    whole = page.evaluate(f"() => document.querySelector('{CANDLES}')._fullLayout.yaxis.range")
    box = page.locator("#chart .nsewdrag").first.bounding_box()
    assert box is not None
    page.evaluate(
        f"() => {{ window.zooms = 0; document.querySelector('{CANDLES}')"
        ".on('plotly_relayout', change => { if ('xaxis.range[0]' in change) window.zooms += 1 }) }"
    )
    page.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + box["height"] * 0.5)
    for turn in range(1, 7):
        page.mouse.wheel(0, -400)
        page.wait_for_function(f"() => window.zooms >= {turn}")  # one turn at a time: no later one changes the range
    page.wait_for_function(f"() => document.querySelector('{CANDLES}').layout.yaxis.autorange === false")
    zoomed = page.evaluate(f"() => document.querySelector('{CANDLES}')._fullLayout.xaxis.range")
    for _ in range(2):
        page.wait_for_event("response", lambda response: "_dash-update-component" in response.url)
    assert page.evaluate(f"() => document.querySelector('{CANDLES}')._fullLayout.xaxis.range") == zoomed
    low, high = page.evaluate(f"() => document.querySelector('{CANDLES}')._fullLayout.yaxis.range")
    assert high - low < whole[1] - whole[0]


def test_light_and_dark(page: Page, address: str) -> None:
    open_market(page, address)
    root = page.locator("html")
    expect(root).to_have_attribute("data-mantine-color-scheme", "dark")
    page.locator("#scheme").click()
    expect(root).to_have_attribute("data-mantine-color-scheme", "light")
    page.wait_for_function(f"() => document.querySelector('{CANDLES}').layout.paper_bgcolor === '#ffffff'")
    page.reload()
    expect(root).to_have_attribute("data-mantine-color-scheme", "light")
    page.wait_for_function(f"() => document.querySelector('{CANDLES}')?.layout?.paper_bgcolor === '#ffffff'")


def test_a_symbol_without_trades_says_so(page: Page, address: str) -> None:
    page.goto(f"{address}/?symbol=XRPUSDT")
    expect(page.locator("#veil")).to_contain_text("No 1min bars of XRPUSDT yet", timeout=PATIENCE_MS)
    expect(page.locator("#freshness")).to_have_text("No trades yet")


def test_a_wrong_link_is_explained(page: Page, address: str) -> None:
    open_market(page, address, "?symbol=ETHUSD")
    expect(page.locator("#link-notice")).to_contain_text("Did you mean ETHUSDT?")


def test_the_keyboard_reaches_everything(page: Page, address: str) -> None:
    open_market(page, address)
    reached = []
    for _ in range(6):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("() => document.activeElement.closest('[id]').id"))
    assert reached[:2] == ["skip", "symbol"]
    assert {"scheme", "tape"} < set(reached), reached


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_nothing_overflows(page: Page, address: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    open_market(page, address)
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width
    assert page.locator("#chart").bounding_box()["width"] > 0.5 * min(width, 1_000)  # type: ignore[index]  # it is visible

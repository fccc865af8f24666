"""The Market page in a real browser, over the dashboard process, Redis and PostgreSQL: what a person sees and does."""

import time
from dataclasses import replace
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from served import INTERVALS, StoredMarket
from stores import make_cancel

pytestmark = [pytest.mark.servers, pytest.mark.browser]

PATIENCE_MS = 45_000  # a limit, no expectation: the machine may be busy
CANDLES = "#chart .js-plotly-plot"


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
    expect(page.locator("#tape-rows tr")).to_have_count(40)
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
    page.wait_for_url("**/?symbol=ETHUSDT&window=5min&range=4h&show=**")
    page.wait_for_function(
        f"() => {{ const x = document.querySelector('{CANDLES}')?.data?.[0]?.x ?? []; "
        "return Date.parse(x[1]) - Date.parse(x[0]) === 300000 }"
    )
    page.reload()
    expect(page.locator("#last-price")).to_have_text(price, timeout=PATIENCE_MS)
    page.go_back()
    page.wait_for_url("**window=1min**")
    page.wait_for_function(
        f"() => {{ const x = document.querySelector('{CANDLES}')?.data?.[0]?.x ?? []; "
        "return Date.parse(x[1]) - Date.parse(x[0]) === 60000 }"
    )


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
    for _ in range(24):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("() => document.activeElement.closest('[id]')?.id ?? ''"))
    assert reached[0] == "skip"
    assert {"to-market", "to-system", "period", "scheme", "symbol", "watch", "tape"} < set(reached), reached


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_nothing_overflows(page: Page, address: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    open_market(page, address)
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width
    assert page.evaluate("() => document.querySelector('.view').scrollWidth") <= width
    assert page.locator("#chart").bounding_box()["width"] > 0.5 * min(width, 1_000)  # type: ignore[index]  # it is visible


def test_the_indicators_are_drawn_and_chosen(page: Page, address: str) -> None:
    open_market(page, address, "?symbol=BTCUSDT&show=vwap,rsi")
    page.wait_for_function(f"() => document.querySelector('{CANDLES}').data.some((trace) => trace.name === 'RSI')")
    page.get_by_role("button", name="Indicators").click()
    page.get_by_label("SMA 20", exact=True).check()
    page.wait_for_url("**show=vwap,rsi,sma_20")
    page.wait_for_function(f"() => document.querySelector('{CANDLES}').data.some((trace) => trace.name === 'SMA 20')")
    values = page.evaluate(f"() => document.querySelector('{CANDLES}').data.find((t) => t.name === 'SMA 20').y")
    closes = trace(page)["close"]
    # Of a bar that no other test adds trades to: what is stored of indicators knows nothing of those.
    settled = max(index for index, value in enumerate(values) if value is not None) - 10
    assert values[settled] == pytest.approx(sum(closes[settled - 19 : settled + 1]) / 20)
    expect(page.locator("#legend")).to_contain_text("SMA 20")


def test_the_watchlist_shows_every_symbol_and_chooses_one(page: Page, address: str, market: StoredMarket) -> None:
    open_market(page, address, "?symbol=BTCUSDT")
    expect(page.locator("#watch .watched")).to_have_count(3)
    row = page.locator("#watch .watched", has_text="ETHUSDT")
    assert len(str(row.locator("polyline").get_attribute("points")).split()) > 10
    row.click()
    price = f"{market.ticks['ETHUSDT'][-1].price:,.2f}"
    expect(page.locator("#last-price")).to_have_text(price, timeout=PATIENCE_MS)
    expect(row).to_have_attribute("aria-current", "true")


def test_a_cancelled_trade_is_struck_out(page: Page, address: str, market: StoredMarket) -> None:
    open_market(page, address, "?symbol=ETHUSDT")
    expect(page.locator("#tape-rows tr")).to_have_count(40)
    tick = market.ticks["ETHUSDT"][-5]
    market.write(make_cancel(tick))
    struck = page.locator("#tape-rows tr.cancelled")
    expect(struck).to_have_count(1, timeout=PATIENCE_MS)
    assert struck.get_attribute("data-key") == f"{tick.provider}-{tick.trade_id}"


def test_the_user_chooses_how_often_it_updates(page: Page, address: str) -> None:
    open_market(page, address, "?symbol=BTCUSDT")
    page.locator("#period").click()
    page.get_by_role("option", name="Paused").click()
    page.wait_for_url("**every=0")
    page.reload()
    expect(page.locator("#period")).to_have_value("Paused")

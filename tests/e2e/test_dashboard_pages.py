"""All pages in a real browser: navigation, exports that parse, what the System page tells, and accessibility."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from served import StoredMarket

pytestmark = [pytest.mark.servers, pytest.mark.browser]

PATIENCE_MS = 45_000  # a limit, no expectation: the machine may be busy
READY = {
    "/": "#tape-rows tr[data-key]",
    "/export": "#export-rows td",
    "/system": "#feeds-table td",
}


def open_page(page: Page, address: str, path: str) -> None:
    page.goto(f"{address}{path}")
    expect(page.locator(READY[path.partition("?")[0]]).first).to_be_visible(timeout=PATIENCE_MS)


def test_pages_are_walked_through_and_gone_back_from(page: Page, address: str) -> None:
    open_page(page, address, "/?symbol=ETHUSDT&window=5min")
    for name in ("Export", "System"):
        page.get_by_role("link", name=name, exact=True).click()
        expect(page.get_by_role("heading", level=1, name=name)).to_be_visible()
        expect(page).to_have_title(f"{name} · marketstream")
        expect(page.get_by_role("link", name=name, exact=True)).to_have_attribute("aria-current", "page")
    page.go_back()
    expect(page.get_by_role("heading", level=1, name="Export")).to_be_visible()
    page.get_by_role("link", name="Market", exact=True).click()
    expect(page.locator("#symbol")).to_have_value("ETHUSDT")  # the navigation remembers what was chosen
    page.wait_for_url("**/?symbol=ETHUSDT&window=5min**")


@pytest.mark.parametrize("form", ["csv", "parquet", "arrow"])
def test_an_export_downloads_and_parses(
    page: Page, address: str, market: StoredMarket, tmp_path: Path, form: str
) -> None:
    open_page(page, address, f"/export?data=ticks&symbol=BTCUSDT&range=all&format={form}")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    file = tmp_path / download.value.suggested_filename
    download.value.save_as(file)
    assert file.name == f"ticks-BTCUSDT.{form}"
    read: Any = {"csv": pl.read_csv, "parquet": pl.read_parquet, "arrow": pl.read_ipc_stream}[form]
    found = read(file)
    assert found["price"].to_list() == [tick.price for tick in market.ticks["BTCUSDT"]]


def test_what_is_exported_is_chosen_and_linked(page: Page, address: str) -> None:
    open_page(page, address, "/export")
    page.get_by_label("Data", exact=True).get_by_text("Bars").click()
    page.get_by_label("Format", exact=True).get_by_text("Parquet").click()
    page.wait_for_url("**/export?data=aggregated&symbol=BTCUSDT&window=1min&range=1d&format=parquet")
    expect(page.locator("#export-rest")).to_contain_text("/api/v1/export/aggregated?symbol=BTCUSDT&window=1min")
    page.get_by_label("Range", exact=True).get_by_text("Custom").click()
    page.get_by_label("From, UTC").fill("yesterday")
    expect(page.locator("#export-fault")).to_contain_text("yesterday is no time")
    expect(page.get_by_role("link", name="Download")).to_have_class("primary off")


def test_the_system_page_tells_how_feeds_and_processes_are(page: Page, address: str) -> None:
    open_page(page, address, "/system")
    expect(page.locator("#events-table")).to_contain_text("connected in 0.2 s")
    expect(page.locator("#feeds-table")).to_contain_text("active")
    expect(page.locator("#services-table")).to_contain_text("dashboard")
    expect(page.locator("#stages-table")).to_contain_text("Update of a screen", timeout=PATIENCE_MS)
    scores = page.evaluate(
        "() => new Promise((done) => { const look = () => { "
        "const data = document.querySelector('#completeness .js-plotly-plot')?.data ?? []; "
        "data.length ? done(data[0].z) : setTimeout(look, 100) }; look() })"
    )
    assert min(score for row in scores for score in row if score is not None) < 0.9  # the gap of ETHUSDT


def test_a_lost_connection_is_said_and_gone_with_its_return(browser: Browser, address: str) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 820})  # a page whose failed requests are no fault
    page.set_default_timeout(PATIENCE_MS)
    open_page(page, address, "/?symbol=BTCUSDT")
    page.context.set_offline(True)
    expect(page.locator("#connection")).to_be_visible(timeout=PATIENCE_MS)
    page.context.set_offline(False)
    expect(page.locator("#connection")).to_be_hidden(timeout=PATIENCE_MS)
    with page.expect_response(lambda response: "_dash-update-component" in response.url and response.ok):
        pass  # and it goes on
    page.close()


@pytest.mark.parametrize("scheme", ["dark", "light"])
@pytest.mark.parametrize("path", list(READY))
def test_axe_finds_no_serious_violation(page: Page, address: str, path: str, scheme: str) -> None:
    page.add_init_script(f"localStorage.setItem('mantine-color-scheme-value', '{scheme}')")
    open_page(page, address, path)
    found = Axe().run(page).response["violations"]
    grave = [
        (each["id"], [node["html"][:160] for node in each["nodes"]])
        for each in found
        if each["impact"] in ("serious", "critical")
    ]
    assert grave == []


@pytest.mark.parametrize("path", ["/export", "/system"])
@pytest.mark.parametrize("width", [360, 768])
def test_nothing_overflows(page: Page, address: str, path: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    open_page(page, address, path)
    assert page.evaluate("() => document.querySelector('.view').scrollWidth") <= width

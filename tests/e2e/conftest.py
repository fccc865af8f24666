"""A real browser, and the dashboard process over real stores that hold a market."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from marketstream.settings import Settings
from marketstream.testing.platform import free_ports
from marketstream.testing.samples import sample_ticks
from screens_world import indicators_of
from served import INTERVALS, StoredMarket, served, stored_market
from stores import gap_event, make_event, make_gap

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
FLAGS += ["--disable-sync", "--no-first-run"]
MINUTE_US = 60_000_000
PATIENCE_MS = 45_000  # a limit, no expectation: the machine may be busy


@pytest.fixture(scope="module")
def market(server_settings: Callable[..., Settings]) -> Iterator[StoredMarket]:
    """Three hours of two symbols with their indicators, and a feed with a gap."""
    now_us = time.time_ns() // 1_000
    with stored_market(server_settings) as stored:
        for symbol, price in (("BTCUSDT", 65_000.0), ("ETHUSDT", 3_200.0)):
            start_us = now_us - 180 * MINUTE_US
            stored.add(list(sample_ticks(symbol, start_us=start_us, end_us=now_us, per_second=0.3, price=price)))
            for interval in INTERVALS:
                stored.write(*indicators_of(stored.bars(symbol, interval)))
        gap = make_gap(now_us - 22 * MINUTE_US, now_us - 20 * MINUTE_US, symbol="ETHUSDT", missing=12)
        connected = make_event(now_us - 90 * MINUTE_US, detail="connected in 0.2 s", role="active", lag_ms=3.0)
        stored.write(connected, gap_event(gap))
        yield stored


@pytest.fixture(scope="module")
def address(market: StoredMarket, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The dashboard, which serves its own metrics as a process in a container does."""
    log = tmp_path_factory.mktemp("dashboard") / "dashboard.log"
    own = {
        "MARKETSTREAM_SERVING__METRICS_PER_PROCESS": "true",
        "MARKETSTREAM_SERVING__METRICS_PORT": str(free_ports(1)[0]),
    }
    port = market.settings.serving.dashboard_port
    with served("dashboard", market.settings, port, log, **own) as served_at:
        yield served_at


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium."""
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

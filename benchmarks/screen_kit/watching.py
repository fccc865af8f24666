"""Looks at an open Market page from inside the browser: what its updates take, how old its trades are, its memory."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import CDPSession, Page, sync_playwright

CHROMIUM = "/usr/bin/chromium"
_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
# Times every update from its request until the chart is drawn, and tells the age of the newest trade then on the tape.
_WATCH = """
window.updates = [];
(() => {
  let asked = null;
  const ask = window.fetch;
  window.fetch = (...request) => {
    const body = request[1] && typeof request[1].body === "string" ? request[1].body : "";
    if (body.includes("..chart.figure...drawn.data")) asked = performance.now();
    return ask(...request);
  };
  const drawn = () => {
    if (asked === null) return;
    const milliseconds = performance.now() - asked;
    asked = null;
    requestAnimationFrame(() => setTimeout(() => {  // the tape comes after the chart
      const trade = document.querySelector("#tape-rows tr[data-received-us]");
      window.updates.push({ milliseconds, age: trade ? Date.now() - Number(trade.dataset.receivedUs) / 1000 : null });
    }, 50));
  };
  const hook = setInterval(() => {
    const plot = document.querySelector("#chart .js-plotly-plot");
    if (!plot || !plot.on || !plot.data || !plot.data.length) return;
    clearInterval(hook);
    plot.on("plotly_afterplot", drawn);
  }, 50);
})();
"""


@dataclass
class Part:
    """What one part of the run showed.

    Attributes:
        updates: Milliseconds from each update's request until the chart was drawn.
        ages: Milliseconds since the newest trade on the tape had been received, at each of these moments.
        heap_bytes: What scripts' objects take after a collection, at the part's end.
        nodes: Nodes of the document, at its end.
        listeners: Event listeners, at its end.
        busy_seconds: How long the page's thread was busy over the part.
    """

    updates: list[float] = field(default_factory=list)
    ages: list[float] = field(default_factory=list)
    heap_bytes: float = 0.0
    nodes: int = 0
    listeners: int = 0
    busy_seconds: float = 0.0


@contextmanager
def market_page(address: str) -> Iterator[tuple[Page, CDPSession]]:
    """The page at `address`, once it has drawn its chart, and the browser's own tools for it."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=_FLAGS)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.add_init_script(_WATCH)
        page.goto(address)
        page.wait_for_selector("#tape-rows tr[data-received-us]", timeout=120_000)
        page.wait_for_function("() => window.updates.length > 2", timeout=120_000)
        tools = page.context.new_cdp_session(page)
        tools.send("Performance.enable")
        yield page, tools
        browser.close()


def watch(page: Page, tools: CDPSession, seconds: float) -> Part:
    """Watches for so long."""
    page.evaluate("() => { window.updates.length = 0 }")
    busy = _metrics(tools)["TaskDuration"]
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        page.wait_for_timeout(min(1_000, max(1, (until - time.monotonic()) * 1_000)))
    now_busy = _metrics(tools)["TaskDuration"]
    updates: list[dict[str, Any]] = page.evaluate("() => window.updates")
    tools.send("HeapProfiler.collectGarbage")
    told = _metrics(tools)
    return Part(
        updates=[each["milliseconds"] for each in updates],
        ages=[each["age"] for each in updates if each["age"] is not None],
        heap_bytes=told["JSHeapUsedSize"],
        nodes=int(told["Nodes"]),
        listeners=int(told["JSEventListeners"]),
        busy_seconds=now_busy - busy,
    )


def _metrics(tools: CDPSession) -> dict[str, float]:
    return {each["name"]: each["value"] for each in tools.send("Performance.getMetrics")["metrics"]}

"""Every query of every dashboard, run against a whole platform: its stores, its Prometheus, its processes and JVMs.

A query that has no rows fails, unless it is of something that a platform in good health does not have; those are named
below, each with its reason, and are run all the same.
"""

import asyncio
import json
import re
import shutil
import threading
from collections.abc import Iterator

import httpx
import pytest
from websockets.asyncio.client import connect

from grafana_queries import Asked, Sources, every_query
from marketstream.testing.platform import Platform, eventually

pytestmark = [pytest.mark.e2e, pytest.mark.servers, pytest.mark.timeout(1200)]

SYMBOLS = ("BTCUSDT", "ETHUSDT")
PATIENCE_SECONDS = 60.0  # for a query whose first rows are still to come
# Regular expressions of queries' names, and why a platform in good health may have no rows of them.
ONLY_IN_TROUBLE = {
    r"feeds / (Refused|Refused, by reason) / A": "nothing is refused",
    r"feeds / Ticks / B": "no trade comes twice",
    r"feeds / (Takeovers|Takeovers in an hour) / A": "no feed takes over from another",
    r"feeds / (Failures in a row|Failed connections in a row) / A": "told by a feed that has failed",
    r"feeds / Waiting for Kafka / A": "the producer never waits",
    r"feeds / (Gaps|Trades missed by the stream|Gaps of this time|Requests to providers' REST APIs) / A": "no gap",
    r"alerts / Feed events that told of trouble / A": "no fault",
    r"streaming / Final bars that changed / .": "no bar was reopened or corrected",
    r"streaming / (Watermark's age|Rows dropped as late) / A": "no query has a watermark",
    r"streaming / Rows the query counts / A": "counted from the first row that is left out",
    r"databases / Stored / B": "nothing is left out",
    r"databases / Failures / .": "every write succeeds",
    r"serving / (Refused|Updates left out) / A": "nobody is refused, no client is slow",
    r"serving / Ended, refused, resumed / .": "no client was sent away",
    r"serving / Documents that asked too much / A": "no document does",
    r"system / Access / .": "nobody is refused, every change is recorded",
}
QUERIES = list(every_query())


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A platform with a client of each kind, on which bars have become final."""
    for program in ("prometheus", "prometheus-alertmanager"):
        if shutil.which(program) is None and shutil.which(program.removeprefix("prometheus-")) is None:
            pytest.skip(f"{program} is not installed")
    folder = tmp_path_factory.mktemp("dashboards")
    rate = {"PROVIDERS": "binance", "SYMBOLS": ",".join(SYMBOLS), "REPLAY__TICKS_PER_SECOND": "50"}
    started = Platform(folder / "data", rate)
    replay = f"127.0.0.1:{started.environment['MARKETSTREAM_REPLAY__PORT']}"
    started.environment["MARKETSTREAM_BINANCE__WEBSOCKET_URL"] = f"ws://{replay}"
    started.environment["MARKETSTREAM_BINANCE__REST_URL"] = f"http://{replay}"
    with started, _clients(started):
        eventually(
            lambda: _has_final_bar(started), within_seconds=300, what="a bar is final and stored", every_seconds=2
        )
        yield started


@pytest.fixture(scope="module")
def sources(platform: Platform) -> Sources:
    return Sources(platform.settings, {"symbol": SYMBOLS[0], "interval": "1min"})


@pytest.mark.parametrize("asked", QUERIES, ids=[asked.name for asked in QUERIES])
def test_it_brings_rows(sources: Sources, asked: Asked) -> None:
    if any(re.fullmatch(name, asked.name) for name in ONLY_IN_TROUBLE):
        sources.rows(asked)  # runs without an error
        return
    eventually(
        lambda: sources.rows(asked), within_seconds=PATIENCE_SECONDS, what=f"{asked.name} has rows", every_seconds=1
    )


def test_what_may_be_empty_is_there() -> None:
    for name in ONLY_IN_TROUBLE:
        assert [asked for asked in QUERIES if re.fullmatch(name, asked.name)], name


def _has_final_bar(platform: Platform) -> bool:
    answer = platform.get(f"/api/v1/aggregated/{SYMBOLS[0]}", window="1min")
    return answer.status_code == httpx.codes.OK and any(bar["final"] for bar in answer.json()["bars"])


class _clients:  # noqa: N801  # a context manager
    """Somebody who asks REST, and somebody who listens to the WebSocket."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=target) for target in (self._ask, self._listen)]

    def __enter__(self) -> None:
        for thread in self._threads:
            thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        while not self._stop.wait(0.5):
            self._platform.get(f"/api/v1/latest/{SYMBOLS[0]}")

    def _listen(self) -> None:
        asyncio.run(self._until_told())

    async def _until_told(self) -> None:
        wanted = {"type": "subscribe", "symbols": list(SYMBOLS), "channels": ["ticks", "bars", "indicators"]}
        async with connect(f"ws://127.0.0.1:{self._platform.settings.serving.websocket_port}") as client:
            await client.send(json.dumps(wanted))
            while not self._stop.is_set():
                try:
                    await asyncio.wait_for(client.recv(), 0.5)
                except TimeoutError:
                    continue

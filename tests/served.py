"""What the tests of serving processes share: a market in real stores, and a process of the platform over them."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from marketstream.domain.interval import Interval
from marketstream.domain.market import Bar, Tick
from marketstream.settings import Settings
from marketstream.storage.redis.writer import RedisWriter
from marketstream.storage.timescale.writer import TimescaleWriter
from marketstream.testing.platform import eventually
from marketstream.testing.samples import sample_bars
from stores import TOPICS, Item, Log, empty_redis, environment, fresh_schema, topic_ids

INTERVALS = (Interval.parse("1min"), Interval.parse("5min"))
START_SECONDS = 120.0
STOP_SECONDS = 20.0


@dataclass
class StoredMarket:
    """Ticks and bars in Redis and PostgreSQL, written as the platform writes them."""

    settings: Settings
    cache: RedisWriter
    database: TimescaleWriter
    ticks: dict[str, list[Tick]] = field(default_factory=dict)
    log: Log = field(default_factory=Log)

    def add(self, ticks: list[Tick]) -> None:
        """Stores one symbol's next ticks, and the bars that they change."""
        known = self.ticks.setdefault(ticks[0].symbol, [])
        known += ticks
        bars = [
            bar for interval in INTERVALS for bar in self.bars(ticks[0].symbol, interval) if _touched(bar, ticks[0])
        ]
        messages = self.log.add(*ticks, *bars)
        self.database.write(messages)
        self.cache.write(messages)

    def write(self, *items: Item) -> None:
        """Stores what is neither a tick nor made of ticks: feed events in the database only, as the platform does."""
        messages = self.log.add(*items)
        self.database.write([message for message in messages if message.topic != "quote_data"])
        self.cache.write([message for message in messages if message.topic != "feed_events"])

    def bars(self, symbol: str, interval: Interval) -> list[Bar]:
        """The symbol's bars so far."""
        return list(sample_bars(self.ticks[symbol], interval))


@contextmanager
def stored_market(server_settings: Callable[..., Settings]) -> Iterator[StoredMarket]:
    """An empty market in stores of its own."""
    settings = server_settings("postgres", "redis")
    with fresh_schema(settings.postgres) as postgres, ExitStack() as stack:
        own = settings.model_copy(update={"postgres": postgres, "redis": empty_redis(settings.redis)})
        cache, database = RedisWriter(own.redis, TOPICS, topic_ids), TimescaleWriter(own.postgres)
        for writer in (cache, database):
            writer.setup()
            stack.callback(writer.close)
        yield StoredMarket(own, cache, database)


@contextmanager
def served(process: str, settings: Settings, port: int, log: Path, **variables: str) -> Iterator[str]:
    """Runs `marketstream run PROCESS` and yields its address; its output goes to `log`."""
    settings_of_it = {
        **environment(settings),
        "MARKETSTREAM_SERVING__API_PORT": str(settings.serving.api_port),
        "MARKETSTREAM_SERVING__WEBSOCKET_PORT": str(settings.serving.websocket_port),
        "MARKETSTREAM_SERVING__DASHBOARD_PORT": str(settings.serving.dashboard_port),
        "MARKETSTREAM_SYMBOLS": "BTCUSDT,ETHUSDT,XRPUSDT",
        **variables,
    }
    command = [sys.executable, "-m", "marketstream", "run", process]
    address = f"http://127.0.0.1:{port}"
    with log.open("wb") as output:
        running = subprocess.Popen(command, env=settings_of_it, stdout=output, stderr=subprocess.STDOUT)
        try:
            eventually(lambda: _answers(address, running, log), within_seconds=START_SECONDS, what=f"{process} answers")
            yield address
        finally:
            running.send_signal(signal.SIGTERM)
            running.wait(STOP_SECONDS)


def _answers(address: str, running: subprocess.Popen[bytes], log: Path) -> bool:
    assert running.poll() is None, log.read_text()
    try:
        return httpx.get(f"{address}/health/live", timeout=2).status_code == 200
    except httpx.TransportError:
        return False


def _touched(bar: Bar, first: Tick) -> bool:
    return bar.end_us > first.event_time_us

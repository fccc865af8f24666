"""The producer's process beside a replay server and a real Kafka."""

import asyncio
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from marketstream.bus.admin import ensure_topics
from marketstream.bus.consumer import KafkaSource
from marketstream.clock import SystemClock
from marketstream.contracts.messages import (
    DeadLetter,
    FeedEvent,
    FeedGap,
    decode_dead_letter,
    decode_feed_event,
    decode_tick,
)
from marketstream.contracts.topics import DEAD_LETTERS, FEED_EVENTS, TICKS
from marketstream.domain.market import Tick
from marketstream.settings import Settings

WAIT_SECONDS = 60.0


class Stand:
    """Starts producers and reads what they published about this test's symbols, which no other test uses."""

    def __init__(self, settings: Settings, directory: Path) -> None:
        self.settings = settings
        self.symbols = [f"{uuid.uuid4().hex[:8].upper()}{suffix}" for suffix in "AB"]
        self.directory = directory
        self._made_us = SystemClock().now_us()
        self.processes: list[subprocess.Popen[bytes]] = []
        self.ticks: list[Tick] = []
        self.dead_letters: list[DeadLetter] = []
        self.feed_events: list[FeedEvent] = []
        self.gaps: list[FeedGap] = []
        topics = (TICKS, DEAD_LETTERS, FEED_EVENTS)
        ensure_topics(settings.kafka.bootstrap_servers, topics, settings.kafka.partitions)
        self._source = KafkaSource(settings.kafka.bootstrap_servers, f"test-{uuid.uuid4().hex}", topics)

    def start(self, provider: str, url: str, **more: str) -> subprocess.Popen[bytes]:
        """A producer's process on one provider at this address, its REST API on the same host and port."""
        settings = {
            "DATA_DIR": str(self.directory),
            "SYMBOLS": ",".join(self.symbols),
            "PROVIDERS": provider,
            f"{provider.upper()}__WEBSOCKET_URL": url,
            f"{provider.upper()}__REST_URL": f"http://{urlsplit(url).netloc}",
            "POLYGON__API_KEY": "any-key",
            "KAFKA__PORT": str(self.settings.kafka.port),
            "INGEST__BACKOFF_INITIAL_SECONDS": "0.1",
            **more,
        }
        environment = os.environ | {f"MARKETSTREAM_{name}": value for name, value in settings.items()}
        command = [sys.executable, "-c", "from marketstream.cli import main; main()", "run", "producer"]
        with self._log().open("ab") as log:
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=self.directory)
        self.processes.append(process)
        return process

    async def stop(self, process: subprocess.Popen[bytes], number: signal.Signals = signal.SIGTERM) -> int:
        """Signals the process and returns its exit code."""
        process.send_signal(number)
        return await asyncio.to_thread(process.wait, WAIT_SECONDS)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Reads the topics until the condition holds."""
        deadline = asyncio.get_running_loop().time() + WAIT_SECONDS
        while not condition():
            await self.read()
            if asyncio.get_running_loop().time() > deadline:
                log = self._log().read_text()
                raise AssertionError(f"{len(self.ticks)} ticks, {len(self.dead_letters)} dead letters; {log[-2_000:]}")

    async def read(self) -> None:
        """Reads what is on the topics now."""
        for message in await asyncio.to_thread(self._source.poll, 5_000, 0.1):
            if message.topic == TICKS and message.key in self.symbols:
                self.ticks.append(decode_tick(message.value))
            elif message.topic == DEAD_LETTERS:
                self.dead_letters.append(decode_dead_letter(message.value))
            elif message.topic == FEED_EVENTS:
                event = decode_feed_event(message.value)
                if event.time_us < self._made_us or event.kind == "status":
                    continue  # another test's, or news of nothing
                if event.gap is not None:
                    self.gaps.append(event.gap)
                else:
                    self.feed_events.append(event)

    def subscriptions(self) -> int:
        """How often a producer of this test has subscribed."""
        return sum(event.kind == "subscribed" for event in self.feed_events)

    async def settled(self) -> None:
        """Reads until nothing more has come for a second."""
        quiet = 0
        while quiet < 10:
            before = len(self.ticks) + len(self.dead_letters)
            await self.read()
            quiet = quiet + 1 if before == len(self.ticks) + len(self.dead_letters) else 0

    def close(self) -> None:
        """Ends what was started."""
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait()
        self._source.close()

    def _log(self) -> Path:
        return self.directory / "producer.log"


@pytest.fixture
def stand(kafka_settings: Settings, tmp_path: Path) -> Iterator[Stand]:
    """A place to run producers in."""
    made = Stand(kafka_settings, tmp_path)
    yield made
    made.close()

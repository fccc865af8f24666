"""The closer as a process of its own, on a real broker: every bar is final once, whoever is killed when."""

import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from closing import SECOND_US, START_US, bars_of, in_time, provisional, trade
from marketstream.bus.admin import ensure_topics
from marketstream.bus.assigned import AssignedReader, reached
from marketstream.bus.publisher import KafkaPublisher
from marketstream.contracts.messages import decode_bar, encode
from marketstream.contracts.topics import TICKS, bars_topic
from marketstream.domain.interval import Interval
from marketstream.domain.market import Bar, Tick
from marketstream.settings import Settings
from marketstream.testing.platform import eventually

pytestmark = pytest.mark.servers

# Of no other test, so that nobody else writes to their topics.
INTERVALS = (Interval.parse("2s"), Interval.parse("30s"))
LATENESS_SECONDS = 2
ROUNDS = 4


class Closing:
    """A closer's process that can be killed, and what Spark and the producer put before it."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.servers = settings.kafka.bootstrap_servers
        self._log = folder / "closer.log"
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("MARKETSTREAM_")}
        self._environment |= {
            "MARKETSTREAM_DATA_DIR": str(folder / "data"),
            "MARKETSTREAM_KAFKA__PORT": str(settings.kafka.port),
            "MARKETSTREAM_STREAMING__INTERVALS": ",".join(interval.name for interval in INTERVALS),
            "MARKETSTREAM_STREAMING__IDLE_GRACE_SECONDS": "0.5",
            "MARKETSTREAM_INGEST__ALLOWED_LATENESS_SECONDS": str(LATENESS_SECONDS),
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._publisher = KafkaPublisher(self.servers)

    def start(self) -> None:
        with self._log.open("ab") as output:
            command = [sys.executable, "-m", "marketstream", "run", "closer"]
            self._process = subprocess.Popen(command, env=self._environment, stdout=output, stderr=output)

    def kill(self, how: signal.Signals = signal.SIGKILL) -> int:
        assert self._process is not None
        assert self._process.poll() is None, self._log.read_text()
        self._process.send_signal(how)
        return self._process.wait(20)

    def begun(self, times: int) -> bool:
        return self._log.exists() and self._log.read_text().count("all is read that was there") >= times

    def publish(self, trades: Sequence[Tick], number: int) -> None:
        """One trade, and its bars."""
        tick = trades[number]
        self._publisher.publish(TICKS, tick.symbol, encode(tick))
        for interval in INTERVALS:
            bar = provisional(trades[: number + 1], interval)[-1]
            self._publisher.publish(bars_topic(interval), tick.symbol, encode(bar))
        assert self._publisher.flush(10) == 0

    def bars(self, since_ms: int) -> list[Bar]:
        """Everything on the bars' topics."""
        reader = AssignedReader(self.servers, f"look-{uuid.uuid4().hex}")
        reader.open({bars_topic(interval): since_ms for interval in INTERVALS}, {})
        ends = reader.ask_ends()
        found: list[Bar] = []
        while (until := ends.positions()) is None or not reached(reader.positions, until):
            found += [decode_bar(message.value) for message in reader.poll(1_000, 0.05)]
        reader.close()
        return found


@pytest.fixture
def closing(kafka_settings: Settings, tmp_path: Path) -> Iterator[Closing]:
    topics = (TICKS, *map(bars_topic, INTERVALS))
    ensure_topics(kafka_settings.kafka.bootstrap_servers, topics, 4)
    made = Closing(kafka_settings, tmp_path)
    yield made
    if made._process is not None and made._process.poll() is None:
        made.kill()


def day(symbol: str, chance: random.Random, count: int) -> list[Tick]:
    """Trades in disorder over half a minute, none late."""
    rough = [START_US + round(30 * SECOND_US * number / count) for number in range(count)]
    times = in_time([time_us - chance.randrange(SECOND_US) for time_us in rough], LATENESS_SECONDS * SECOND_US)
    received_us = time.time_ns() // 1_000
    return [trade(symbol, time_us, number, received_us=received_us + number) for number, time_us in enumerate(times)]


def expected_bars(days: dict[str, list[Tick]]) -> dict[tuple[str, str, int], Bar]:
    return {
        (symbol, interval.name, start_us): bar
        for symbol, trades in days.items()
        for interval in INTERVALS
        for start_us, bar in bars_of(trades, interval).items()
    }


def finals_once(bars: Sequence[Bar]) -> dict[tuple[str, str, int], Bar]:
    """The newest final of each bar; no revision came twice."""
    finals = [bar for bar in bars if bar.final]
    assert all(
        count == 1
        for count in Counter((bar.symbol, bar.interval, bar.start_us, bar.revision) for bar in finals).values()
    )
    return {(bar.symbol, bar.interval, bar.start_us): bar for bar in sorted(finals, key=lambda bar: bar.version)}


def content(bar: Bar) -> tuple[object, ...]:
    return (bar.open, bar.high, bar.low, bar.close, bar.volume, bar.vwap, bar.trade_count, bar.last_event_time_us)


def all_final(closing: Closing, since_ms: int, expected: dict[tuple[str, str, int], Bar]) -> Callable[[], bool]:
    def look() -> bool:
        finals = finals_once(closing.bars(since_ms))
        return {key: content(bar) for key, bar in finals.items()} == {
            key: content(bar) for key, bar in expected.items()
        }

    return look


def test_every_bar_is_final_once_though_the_closer_is_killed_again_and_again(closing: Closing) -> None:
    chance = random.Random(5)
    since_ms = time.time_ns() // 1_000_000
    run = uuid.uuid4().hex[:6].upper()
    days = {f"{name}-{run}": day(f"{name}-{run}", chance, 120) for name in ("IBM", "BAC", "MSFT")}
    order = sorted(((number, symbol) for symbol, trades in days.items() for number in range(len(trades))))
    kills = [len(order) * share // ROUNDS for share in range(ROUNDS)]
    for place, (number, symbol) in enumerate(order):
        if place in kills:
            if place:
                closing.kill()
            closing.start()
            begun = kills.index(place) + 1
            eventually(lambda begun=begun: closing.begun(begun), within_seconds=60, what="the closer to begin")
        closing.publish(days[symbol], number)
    expected = expected_bars(days)
    eventually(all_final(closing, since_ms, expected), within_seconds=60, what="every bar to be final")
    assert closing.kill(signal.SIGTERM) == 0
    closing.start()
    eventually(lambda: closing.begun(ROUNDS + 1), within_seconds=60, what="the closer to begin once more")
    bars = closing.bars(since_ms)
    assert all_final(closing, since_ms, expected)()
    newest = {(bar.symbol, bar.interval, bar.start_us): bar for bar in sorted(bars, key=lambda bar: bar.version)}
    assert all(bar.final for bar in newest.values())


def test_a_second_closer_on_the_same_data_refuses(closing: Closing) -> None:
    closing.start()
    eventually(lambda: closing.begun(1), within_seconds=60, what="the closer to begin")
    other = subprocess.run(
        [sys.executable, "-m", "marketstream", "run", "closer"],
        env=closing._environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert other.returncode == 1
    assert "held by another closer" in other.stderr

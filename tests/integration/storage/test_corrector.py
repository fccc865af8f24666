"""The corrector beside real servers, writer and closer: cancelled trades leave their bars, whoever is killed when."""

import random
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from closing import SECOND_US, START_US, bars_of, trade
from marketstream.bus.admin import ensure_topics
from marketstream.bus.assigned import AssignedReader, reached
from marketstream.bus.publisher import KafkaPublisher
from marketstream.contracts.messages import decode_bar, encode
from marketstream.contracts.topics import CANCELS, TICKS, all_topics, bars_topic
from marketstream.domain.interval import Interval
from marketstream.domain.market import Bar, Tick
from marketstream.settings import Settings
from marketstream.storage.timescale.reader import TimescaleReader
from marketstream.testing.platform import eventually
from stores import environment, fresh_schema, make_cancel

pytestmark = pytest.mark.servers

INTERVALS = (Interval.parse("4s"), Interval.parse("20s"))  # of no other test
PROCESSES = ("timescale-writer", "closer", "corrector")
LIMIT_SECONDS = 90


class Street:
    """Writer, closer and corrector as processes; this side is the producer and Spark."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.servers = settings.kafka.bootstrap_servers
        self.settings = settings
        self._folder = folder
        self._environment = environment(settings)
        self._environment |= {
            "MARKETSTREAM_STREAMING__INTERVALS": ",".join(interval.name for interval in INTERVALS),
            "MARKETSTREAM_STREAMING__IDLE_GRACE_SECONDS": "0.3",
            "MARKETSTREAM_INGEST__ALLOWED_LATENESS_SECONDS": "1",
            "MARKETSTREAM_WRITERS__TIMESCALE_FLUSH_SECONDS": "0.1",
        }
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._publisher = KafkaPublisher(self.servers)
        self._made: dict[str, list[Tick]] = {}

    def start(self, name: str) -> None:
        with (self._folder / f"{name}.log").open("ab") as output:
            command = [sys.executable, "-m", "marketstream", "run", name]
            variables = self._environment
            if name == "closer":  # whose file is for these intervals only
                variables = variables | {"MARKETSTREAM_DATA_DIR": str(self._folder)}
            self._running[name] = subprocess.Popen(command, env=variables, stdout=output, stderr=output)

    def kill(self, name: str) -> None:
        process = self._running.pop(name)
        assert process.poll() is None, (self._folder / f"{name}.log").read_text()
        process.send_signal(signal.SIGKILL)
        process.wait(20)

    def stop(self) -> None:
        for process in self._running.values():
            process.kill()
            process.wait(20)

    def publish(self, tick: Tick) -> None:
        """A trade, and the bars that Spark makes of it."""
        own = self._made.setdefault(tick.symbol, [])
        own.append(tick)
        self._publisher.publish(TICKS, tick.symbol, encode(tick))
        for interval in INTERVALS:
            start_us = interval.start_of(tick.event_time_us)
            inside = [each for each in own if interval.start_of(each.event_time_us) == start_us]
            self._publisher.publish(bars_topic(interval), tick.symbol, encode(bars_of(inside, interval)[start_us]))
        assert self._publisher.flush(10) == 0

    def cancel(self, tick: Tick, **changes: object) -> None:
        self._publisher.publish(CANCELS, tick.symbol, encode(make_cancel(tick, **changes)))
        assert self._publisher.flush(10) == 0

    def bars_on_topics(self, since_ms: int) -> list[Bar]:
        reader = AssignedReader(self.servers, f"look-{uuid.uuid4().hex}")
        reader.open({bars_topic(interval): since_ms for interval in INTERVALS}, {})
        ends = reader.ask_ends()
        found: list[Bar] = []
        while (until := ends.positions()) is None or not reached(reader.positions, until):
            found += [decode_bar(message.value) for message in reader.poll(1_000, 0.05)]
        reader.close()
        return found

    def stored(self, symbols: Sequence[str]) -> dict[tuple[str, str, int], tuple[object, ...]]:
        with closing(TimescaleReader(self.settings.postgres)) as reader:
            return {
                (symbol, interval.name, bar.start_us): (bar.final, *content(bar))
                for symbol in symbols
                for interval in INTERVALS
                for bar in reader.bars(symbol, interval, start_us=None, end_us=None, limit=1_000)
            }


def content(bar: Bar) -> tuple[object, ...]:
    return (bar.open, bar.high, bar.low, bar.close, bar.volume, bar.vwap, bar.trade_count, bar.cancelled)


def expected(trades: Sequence[Tick], taken: Sequence[Tick]) -> dict[tuple[str, str, int], tuple[object, ...]]:
    """Every bar of the trades that are left; final."""
    made = {}
    for symbol in {tick.symbol for tick in trades}:
        left = [tick for tick in trades if tick.symbol == symbol and tick not in taken]
        for interval in INTERVALS:
            gone = Counter(interval.start_of(tick.event_time_us) for tick in taken if tick.symbol == symbol)
            for start_us, bar in bars_of(left, interval).items():
                made[symbol, interval.name, start_us] = (True, *content(replace(bar, cancelled=gone[start_us])))
    return made


def eventually_stored(street: Street, trades: Sequence[Tick], taken: Sequence[Tick]) -> None:
    symbols, wanted = sorted({tick.symbol for tick in trades}), expected(trades, taken)
    what = f"{len(wanted)} final bars without {len(taken)} trades"
    try:
        eventually(lambda: street.stored(symbols) == wanted, within_seconds=LIMIT_SECONDS, what=what)
    except TimeoutError:
        assert street.stored(symbols) == wanted


def finals_came_once(bars: Sequence[Bar]) -> None:
    finals = Counter((bar.symbol, bar.interval, bar.start_us, bar.revision) for bar in bars if bar.final)
    assert set(finals.values()) == {1}


@pytest.fixture
def street(kafka_settings: Settings, postgres_settings: Settings, tmp_path: Path) -> Iterator[Street]:
    ensure_topics(kafka_settings.kafka.bootstrap_servers, all_topics(INTERVALS), 4)
    with fresh_schema(postgres_settings.postgres) as own:
        settings = kafka_settings.model_copy(update={"postgres": own})
        made = Street(settings, tmp_path)
        for name in PROCESSES:
            made.start(name)
        yield made
        made.stop()


def made(symbol: str, seconds: Sequence[float]) -> list[Tick]:
    now_us = time.time_ns() // 1_000
    return [
        trade(symbol, START_US + round(second * SECOND_US), number, received_us=now_us + number)
        for number, second in enumerate(seconds)
    ]


def test_cancelled_trades_leave_their_bars(street: Street) -> None:
    since_ms, symbol = time.time_ns() // 1_000_000, f"IBM-{uuid.uuid4().hex[:6].upper()}"
    trades = made(symbol, [0.5, 1, 2, 5, 6, 9, 21, 3])
    early, late = trades[:7], trades[7]
    street.cancel(trades[1])  # before its trade
    for tick in early:
        street.publish(tick)
    street.cancel(trades[3], trade_id=None)  # before its bars are final
    eventually_stored(street, early, [trades[1], trades[3]])
    street.cancel(trades[0])  # after
    for _ in range(2):
        street.cancel(trades[1])  # again
    eventually_stored(street, early, [trades[0], trades[1], trades[3]])
    street.publish(late)  # in time: makes versions that hold the cancelled ones again
    eventually_stored(street, trades, [trades[0], trades[1], trades[3]])
    street.cancel(trades[5])  # the last of its short bar, which is void then
    street.cancel(trades[4])
    eventually_stored(street, trades, [*trades[:2], *trades[3:6]])
    assert {key[1:] for key in street.stored([symbol])} == {
        ("4s", START_US), ("4s", START_US + 20 * SECOND_US), ("20s", START_US), ("20s", START_US + 20 * SECOND_US)
    }  # fmt: skip
    finals_came_once([bar for bar in street.bars_on_topics(since_ms) if bar.symbol == symbol])


def test_a_corrector_that_is_killed_again_and_again_leaves_every_bar_right(street: Street) -> None:
    chance, since_ms, run = random.Random(7), time.time_ns() // 1_000_000, uuid.uuid4().hex[:6].upper()
    symbols = [f"{name}-{run}" for name in ("BAC", "MSFT")]
    days = [made(symbol, sorted(chance.uniform(0, 40) for _ in range(40))) for symbol in symbols]
    order = [tick for pair in zip(*days, strict=True) for tick in pair]
    taken = chance.sample(order, 25)
    for number, tick in enumerate(order):
        street.publish(tick)
        if tick in taken[:10]:
            street.cancel(tick)
        if number in (20, 50):
            street.kill("corrector")
            street.start("corrector")
    for number, tick in enumerate(taken[10:]):
        street.cancel(tick)
        if number % 5 == 0:
            street.kill("corrector")
            street.start("corrector")
    eventually_stored(street, order, taken)
    own = [bar for bar in street.bars_on_topics(since_ms) if bar.symbol in symbols]
    finals_came_once(own)
    newest = {(bar.symbol, bar.interval, bar.start_us): bar for bar in sorted(own, key=lambda bar: bar.version)}
    assert all(bar.final for bar in newest.values())

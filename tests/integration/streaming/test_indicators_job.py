"""The indicators job as a process, on a real broker, with its past in a real database: killed, it says the same."""

import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from confluent_kafka import Producer

from indicator_cases import DEFAULT, RELATIVE, deviations, expected, utc_days, walk
from marketstream.bus.admin import ensure_topics
from marketstream.bus.assigned import AssignedReader, reached
from marketstream.contracts.messages import decode_indicators, encode
from marketstream.contracts.topics import INDICATORS, PROVIDER_BARS, bars_topic
from marketstream.domain.indicators import Indicators
from marketstream.domain.interval import Interval
from marketstream.domain.market import Bar
from marketstream.settings import SECRETS_FILE, Settings
from marketstream.storage.timescale.writer import TimescaleWriter
from marketstream.testing.platform import eventually
from stores import Log, environment, fresh_schema

# Long: the platform's indicators are killed, with their checkpoint and without, in tests/chaos, too.
pytestmark = [pytest.mark.servers, pytest.mark.spark, pytest.mark.long, pytest.mark.timeout(900)]

INTERVAL = Interval.parse("3min")  # of no other test, so that nobody else writes to its topic
PAST_BARS, BARS_BEFORE, BARS_AFTER = 600, 30, 40
LONG_AGO_MS = 3_600_000  # further back than a fresh checkpoint reads


class Job:
    """The job's process, what is put before it, and what it tells."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.folder, self._settings = folder, settings
        (folder / "data").mkdir()
        shutil.copy(settings.data_dir / SECRETS_FILE, folder / "data" / SECRETS_FILE)
        self._environment = environment(settings) | {
            "MARKETSTREAM_DATA_DIR": str(folder / "data"),
            "MARKETSTREAM_STREAMING__INTERVALS": INTERVAL.name,
            "MARKETSTREAM_STREAMING__INDICATORS_UI_PORT": str(settings.streaming.indicators_ui_port),
        }
        self._producer = Producer(
            {"bootstrap.servers": settings.kafka.bootstrap_servers, "partitioner": "murmur2_random"}
        )
        self._since_ms = time.time_ns() // 1_000_000 - 1_000
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "marketstream", "submit", "indicators"]
        with (self.folder / "job.log").open("ab") as output:
            self._process = subprocess.Popen(
                command, env=self._environment, stdout=output, stderr=output, start_new_session=True
            )

    def kill(self) -> None:
        """Spark and its Python, as the supervisor would find them."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(20)
            self._process = None

    def publish(self, bars: Sequence[Bar], *, age_ms: int = 0) -> None:
        timestamp = time.time_ns() // 1_000_000 - age_ms
        for bar in bars:
            topic = PROVIDER_BARS if bar.provider else bars_topic(INTERVAL)
            self._producer.produce(topic, encode(bar), bar.symbol, timestamp=timestamp)
        assert self._producer.flush(20) == 0

    def told(self, symbol: str) -> list[Indicators]:
        reader = AssignedReader(self._settings.kafka.bootstrap_servers, f"look-{uuid.uuid4().hex}")
        reader.open({INDICATORS: self._since_ms}, {})
        ends = reader.ask_ends()
        found: list[Indicators] = []
        while (until := ends.positions()) is None or not reached(reader.positions, until):
            found += [decode_indicators(message.value) for message in reader.poll(1_000, 0.05)]
        reader.close()
        return [one for one in found if one.symbol == symbol]

    def wait_for(self, bars: Sequence[Bar]) -> list[Indicators]:
        """What was told, once it holds the final indicators of these bars."""
        wanted = {bar.start_us for bar in bars}

        def look() -> list[Indicators] | None:
            assert self._process is not None
            assert self._process.poll() is None, (self.folder / "job.log").read_text()[-2_000:]
            told = self.told(bars[0].symbol)
            return told if wanted <= {one.start_us for one in told if one.final} else None

        return eventually(look, within_seconds=300, what=f"indicators of {len(bars)} bars", every_seconds=0.5)


@pytest.fixture
def job(server_settings: Callable[..., Settings], tmp_path: Path) -> Iterator[Job]:
    settings = server_settings("kafka", "postgres")
    ensure_topics(settings.kafka.bootstrap_servers, (INDICATORS, PROVIDER_BARS, bars_topic(INTERVAL)), 4)
    with fresh_schema(settings.postgres) as postgres:
        made = Job(settings.model_copy(update={"postgres": postgres}), tmp_path)
        yield made
        made.kill()


def series(symbol: str, count: int) -> list[Bar]:
    """Final bars of which the last ended just now."""
    first_us = INTERVAL.start_of(time.time_ns() // 1_000) - count * INTERVAL.us
    return [
        replace(
            bar,
            symbol=symbol,
            interval=INTERVAL.name,
            start_us=first_us + at * INTERVAL.us,
            end_us=first_us + (at + 1) * INTERVAL.us,
            trade_count=2,
            last_event_time_us=first_us + (at + 1) * INTERVAL.us - 1,
            last_received_time_us=first_us + (at + 1) * INTERVAL.us,
        )
        for at, bar in enumerate(walk(count))
    ]


def as_streamed(bars: Sequence[Bar]) -> list[Bar]:
    """Each open with another close, then as it ended, then final."""
    opened = [replace(bar, final=False, trade_count=1, close=bar.open) for bar in bars]
    return [
        message for first, bar in zip(opened, bars, strict=True) for message in (first, replace(bar, final=False), bar)
    ]


def off(told: Sequence[Indicators], bars: Sequence[Bar]) -> dict[str, float]:
    """How far the last words on the bars after `PAST_BARS` are from TA-Lib over all bars, where beyond 1e-9."""
    kept: dict[int, Indicators] = {}
    for one in told:
        if one.start_us not in kept or one.version >= kept[one.start_us].version:
            kept[one.start_us] = one
    wanted = {name: values[PAST_BARS:] for name, values in expected(bars, utc_days(bars)).items()}
    found = {name: np.full(len(bars) - PAST_BARS, np.nan) for name in DEFAULT.names}
    for at, bar in enumerate(bars[PAST_BARS:]):
        for name, value in kept[bar.start_us].values.items():
            found[name][at] = value
    return {name: away for name, away in deviations(found, wanted).items() if away > RELATIVE}


def store(settings: Settings, bars: Sequence[Bar], log: Log) -> None:
    """As the platform's writer does."""
    writer = TimescaleWriter(settings.postgres)
    writer.setup()
    writer.write(log.add(*bars))
    writer.close()


@pytest.mark.parametrize("checkpoint", ["kept", "lost"])
def test_a_killed_job_says_the_same_with_its_checkpoint_and_without(job: Job, checkpoint: str) -> None:
    symbol, log = f"W{uuid.uuid4().hex[:6].upper()}USDT", Log()
    bars = series(symbol, PAST_BARS + BARS_BEFORE + BARS_AFTER)
    before, after = bars[PAST_BARS:-BARS_AFTER], bars[-BARS_AFTER:]
    store(job._settings, bars[:-BARS_AFTER], log)  # what is put out is stored: the database is not behind
    job.start()
    # One by another way shows that the query has chosen where to begin; what comes now it reads, however old.
    first = [replace(bars[0], symbol=f"X{symbol}", provider="p", vwap=None, trade_count=0)]
    job.publish(first)
    job.wait_for(first)
    job.publish(as_streamed(before), age_ms=LONG_AGO_MS)
    job.wait_for(before)
    job.kill()
    store(job._settings, after, log)
    if checkpoint == "lost":
        shutil.rmtree(job.folder / "data" / "checkpoints")
    job.publish(as_streamed(after[: BARS_AFTER // 2]))
    job.start()
    job.publish(as_streamed(after[BARS_AFTER // 2 :]))
    told = job.wait_for(after)
    assert off(told, bars) == {}
    if checkpoint == "lost":  # a fresh one has these from the database, not from the topic
        again = Counter(one.start_us for one in told if one.final and one.start_us < after[0].start_us)
        assert max(again.values()) == 1

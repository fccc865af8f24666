"""The archive as a process of its own, on a real broker: killed again and again, no row is twice or lost."""

import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from closing import START_US, bars_of, provisional, trade
from marketstream.bus.admin import ensure_topics
from marketstream.bus.publisher import KafkaPublisher
from marketstream.contracts.messages import encode
from marketstream.contracts.topics import PROVIDER_BARS, TICKS, all_topics, bars_topic
from marketstream.domain.interval import Interval
from marketstream.domain.market import Bar, Tick
from marketstream.settings import METRICS_FOLDER, Settings
from marketstream.testing.platform import eventually

pytestmark = [pytest.mark.servers, pytest.mark.spark]

INTERVAL = Interval.parse("4s")  # of no other test
TICKS_COUNT = 6_000
BATCH = 1_500


class Archive:
    """The job's processes: Spark's driver, its JVM and Python's workers, all killed at once."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.lake = folder / "data" / "lake"
        self.metrics = folder / "data" / METRICS_FOLDER  # as the platform's supervisor makes it
        self.metrics.mkdir(parents=True)
        self.log = folder / "archive.log"
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("MARKETSTREAM_")}
        self._environment |= {
            "MARKETSTREAM_DATA_DIR": str(folder / "data"),
            "MARKETSTREAM_KAFKA__PORT": str(settings.kafka.port),
            "MARKETSTREAM_STREAMING__INTERVALS": INTERVAL.name,
            "MARKETSTREAM_ARCHIVE__TRIGGER": "0 seconds",
            "MARKETSTREAM_ARCHIVE__FILE_MINUTES": "15",
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *arguments: str, batch: int = BATCH) -> None:
        environment = {**self._environment, "MARKETSTREAM_ARCHIVE__BATCH_MESSAGES": str(batch)}
        command = [sys.executable, "-m", "marketstream", "submit", "archive", *arguments]
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                command, env=environment, stdout=output, stderr=output, start_new_session=True
            )

    def kill(self) -> None:
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(20)

    def finish(self) -> int:
        assert self._process is not None
        return self._process.wait(300)

    def ticks(self, symbols: list[str]) -> pl.DataFrame:
        """As a person reads them, at any moment; again where a file was replaced between two looks at it."""
        if not list(self.lake.glob("ticks/**/*.parquet")):
            return pl.DataFrame(schema={"symbol": pl.String, "trade_id": pl.String})

        def read() -> pl.DataFrame | None:
            try:
                return pl.read_parquet(self.lake / "ticks").filter(pl.col("symbol").is_in(symbols))
            except (pl.exceptions.ComputeError, FileNotFoundError):
                return None

        return eventually(read, within_seconds=60, what="a lake that stands still for one look", every_seconds=0.02)

    def up_files(self) -> list[Path]:
        """Of the metrics of each start, the one that says that the archive runs."""
        return [path for path in self.metrics.glob("gauge_livesum_*.db") if b"marketstream_up" in path.read_bytes()]

    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None


@pytest.fixture
def archive(kafka_settings: Settings, tmp_path: Path) -> Iterator[Archive]:
    ensure_topics(kafka_settings.kafka.bootstrap_servers, all_topics((INTERVAL,)), 4)
    made = Archive(kafka_settings, tmp_path)
    yield made
    made.kill()


def market(symbols: list[str]) -> list[Tick]:
    """Trades over an hour that crosses midnight."""
    midnight_us = START_US // 86_400_000_000 * 86_400_000_000
    step_us = 3_600_000_000 // TICKS_COUNT
    return [
        trade(symbols[number % len(symbols)], midnight_us - 1_800_000_000 + number * step_us, number)
        for number in range(TICKS_COUNT)
    ]


def publish(servers: str, trades: list[Tick], symbols: list[str]) -> dict[tuple[str, int], Bar]:
    """Puts all trades and all versions of their bars onto the topics; returns the newest of each bar."""
    publisher = KafkaPublisher(servers)
    newest: dict[tuple[str, int], Bar] = {}
    versions: list[Bar] = []
    for symbol in symbols:
        own = [tick for tick in trades if tick.symbol == symbol]
        versions += provisional(own, INTERVAL)
        newest |= {(symbol, start_us): bar for start_us, bar in bars_of(own, INTERVAL).items()}
    for tick in trades:
        publisher.publish(TICKS, tick.symbol, encode(tick))
    random.Random(4).shuffle(versions)  # as after a crash of Spark: older ones come later
    for bar in versions:
        publisher.publish(bars_topic(INTERVAL), bar.symbol, encode(bar))
    foreign = replace(versions[0], interval="7min", provider="fmp")  # no length of a bar: it is left out
    publisher.publish(PROVIDER_BARS, foreign.symbol, encode(foreign))
    assert publisher.flush(30) == 0
    return newest


@pytest.mark.long  # tests/spark and tests/unit/lake have the same but for the processes
@pytest.mark.timeout(900)  # three starts of Spark on a busy machine
def test_the_lake_equals_the_topics_though_the_archive_is_killed_and_its_checkpoint_lost(
    archive: Archive, kafka_settings: Settings
) -> None:
    symbols = [f"{name}{uuid.uuid4().hex[:6].upper()}" for name in ("A/", "B.", "C")]
    trades = market(symbols)
    newest = publish(kafka_settings.kafka.bootstrap_servers, trades, symbols)
    chance = random.Random(time.time_ns())
    for number in (1, 2):
        archive.start()
        seen = eventually(
            lambda number=number: archive.ticks(symbols).height >= number * TICKS_COUNT // 4 or not archive.alive(),
            within_seconds=240,
            what=f"a part of the trades; {archive.log}",
            every_seconds=0.05 + chance.random() / 5,
        )
        assert seen
        assert archive.alive(), archive.log.read_text()[-3_000:]
        assert len(archive.up_files()) == number, "its metrics are not with the platform's"
        archive.kill()
        ids = archive.ticks(symbols)["trade_id"]
        assert ids.n_unique() == len(ids)
    for folder in (archive.lake.parent / "checkpoints").iterdir():
        (folder / "current.json").unlink()
    archive.start("--once", batch=1_000_000)
    assert archive.finish() == 0, archive.log.read_text()[-3_000:]
    assert len(archive.up_files()) == 2, "a run that ends by itself is no process that died"
    ticks = archive.ticks(symbols)
    assert sorted(ticks.select("symbol", "event_time_us", "trade_id", "price").rows()) == sorted(
        (tick.symbol, tick.event_time_us, tick.trade_id, tick.price) for tick in trades
    )
    bars = pl.read_parquet(archive.lake / "bars").filter(pl.col("symbol").is_in(symbols))
    assert len(bars) == len(newest)
    read = {(row["symbol"], row["start_us"]): row for row in bars.iter_rows(named=True)}
    assert {key: (row["close"], row["trade_count"], row["volume"]) for key, row in read.items()} == {
        key: (bar.close, bar.trade_count, bar.volume) for key, bar in newest.items()
    }
    assert not list(archive.lake.rglob("*.tmp"))

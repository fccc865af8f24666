"""The whole platform while its processes and its broker are killed at random moments: nothing is lost, nothing doubles.

Afterwards ticks, bars and indicators equal their recomputation from the trade file: in PostgreSQL, over REST, in
InfluxDB and, as far as it keeps them, in Redis; each final is on its topic once. One of Spark's deaths takes the newest
commit of its checkpoint along, and one of the indicators job's its whole checkpoint.
"""

import os
import random
import shutil
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field

import orjson
import polars as pl
import pytest

from indicator_proof import indicator_faults
from kept import indicators_in_database, messages_on, query
from marketstream.contracts.topics import DEAD_LETTERS
from marketstream.domain.interval import Interval
from marketstream.storage.redis.reader import RedisReader
from marketstream.testing.exactness import exactness_trades
from marketstream.testing.platform import Platform, eventually
from marketstream.testing.replay.server import ReplayServer
from marketstream.testing.replay.source import FileSource, Pace
from marketstream.testing.trades import RecordedTrades
from oracle import INTERVAL_US, differences, expected_bars
from own_feed import HeldClock, listening, played_by
from stores import INDICATOR_NAMES, flux_rows
from whole_day import check, wait_for_all

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1_800)]

SYMBOLS = ("AAA", "BBB", "CCC")
HOURS = 5.0  # of trading in which an average over 200 minutes begins
BARS_WITHOUT_COMMIT, INDICATORS_WITHOUT_CHECKPOINT = (
    "bars without its newest commit",
    "indicators without its checkpoint",
)
KINDS = (
    BARS_WITHOUT_COMMIT,
    "kafka",
    "timescale-writer",
    INDICATORS_WITHOUT_CHECKPOINT,
    "closer",
    "influx-writer",
    "redis-writer",
    "bars",
    "indicators",
)
ONCE = (BARS_WITHOUT_COMMIT, INDICATORS_WITHOUT_CHECKPOINT)


@dataclass
class Crashes:
    """Kills one thing at a time, and remembers what."""

    platform: Platform
    done: list[str] = field(default_factory=list)

    def inject(self, kind):
        name = kind.partition(" ")[0]
        if self.platform.service(name)["state"] == "absent":
            return
        if kind == BARS_WITHOUT_COMMIT:
            eventually(self._newest_commit, within_seconds=120, what="a commit of the bars query")
        eventually(lambda: self.platform.service(name)["pid"], within_seconds=120, what=f"{name} to run")
        killed = self.platform.kill(name)
        eventually(lambda: gone(killed), within_seconds=20, what=f"the end of {name}", every_seconds=0.01)
        if kind == BARS_WITHOUT_COMMIT:
            commit = self._newest_commit()
            commit.unlink()
            commit.with_name(f".{commit.name}.crc").unlink(missing_ok=True)
        elif kind == INDICATORS_WITHOUT_CHECKPOINT:
            shutil.rmtree(self._checkpoints / "indicators")
        self.done.append(kind)

    @property
    def _checkpoints(self):
        return self.platform.settings.data_dir / "checkpoints"

    def _newest_commit(self):
        current = self._checkpoints / "bars" / "current.json"
        if not current.exists():
            return None
        commits = (self._checkpoints / "bars" / orjson.loads(current.read_bytes())["folder"] / "commits").glob("*")
        return max((path for path in commits if path.name.isdigit()), key=lambda path: int(path.name), default=None)


def gone(pid):
    """Whether a service's process and all it started have ended."""
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return True
    return False


def order(rounds, chance):
    """Each kind as often as any other, but those that are done once."""
    often = [kind for kind in KINDS if kind not in ONCE]
    kinds = (list(KINDS) + often * rounds)[:rounds]
    chance.shuffle(kinds)
    return kinds


@pytest.fixture
def day(pytestconfig):
    return RecordedTrades.of(exactness_trades(pytestconfig.getoption("--crash-trades"), SYMBOLS, hours=HOURS))


@pytest.fixture
def clock():
    return HeldClock()


@pytest.fixture
def feed(day, clock, pytestconfig):
    pace = Pace(HOURS * 3_600 / pytestconfig.getoption("--crash-seconds"))
    with listening(ReplayServer(FileSource(day), pace, clock=clock)) as server:
        yield server


@pytest.fixture
def platform(tmp_path, feed):
    stream, rest = feed.endpoints()["polygon"]
    environment = {
        "PROVIDERS": "polygon",
        "POLYGON__API_KEY": "replay",
        "POLYGON__WEBSOCKET_URL": stream,
        "POLYGON__REST_URL": rest,
        "SYMBOLS": ",".join(SYMBOLS),
        "STREAMING__REALTIME_CHECKPOINT_SECONDS": "8",
        "INFLUX__RETENTION_DAYS": "36500",  # the day is long past
    }
    with Platform(tmp_path / "data", environment) as platform:
        yield platform


def test_every_store_equals_the_recomputation_though_everything_is_killed(platform, day, clock, feed, pytestconfig):
    trades, rounds = day.frame.drop("conditions"), pytestconfig.getoption("--crash-rounds")
    chance = random.Random(pytestconfig.getoption("--crash-seed"))
    crashes = Crashes(platform)
    moments = sorted(chance.uniform(0.02, 0.92) for _ in range(rounds))
    began = time.monotonic()
    clock.release()  # not before everything runs
    for kind, share in zip(order(rounds, chance), moments, strict=True):
        eventually(
            lambda share=share: played_by(feed) >= share * trades.height, within_seconds=900, what=f"{share:.0%}"
        )
        crashes.inject(kind)
    wait_for_all(platform, trades)
    check(platform, trades)
    check_ticks(platform, trades)
    check_redis(platform, trades)
    if platform.service("influxdb")["state"] != "absent":
        check_influx(platform, trades)
    assert list(messages_on(platform, DEAD_LETTERS)) == []
    restarts = {one["name"]: one["restarts"] for one in platform.status()["services"] if one["restarts"]}
    kills = dict(Counter(crashes.done))
    print(f"{trades.height} trades, {len(crashes.done)} kills {kills}, {time.monotonic() - began:.0f} s, {restarts=}")  # noqa: T201  # a figure


def check_ticks(platform, trades):
    columns = "symbol, (extract(epoch from event_time) * 1000000)::bigint, sequence, price, size"
    stored = query(platform, f"select {columns} from tick_data")  # noqa: S608  # constants
    wanted = trades.select("symbol", "event_time_us", "sequence", "price", "size").rows()
    assert sorted(stored) == sorted(wanted)


def check_redis(platform, trades):
    newest = trades.sort("symbol", "event_time_us", "sequence").group_by("symbol", maintain_order=True).tail(1_000)
    with closing(RedisReader(platform.settings.redis)) as reader:
        for symbol in SYMBOLS:
            ticks = reader.ticks(symbol, start_us=None, end_us=None, limit=1_000)
            wanted = newest.filter(symbol=symbol).select("event_time_us", "sequence", "price", "size").rows()
            assert [(tick.event_time_us, tick.sequence, tick.price, tick.size) for tick in ticks] == wanted
            for interval in INTERVAL_US:
                length = Interval.parse(interval)
                made = {key: row for key, row in expected_bars(trades, interval).items() if key[0] == symbol}
                (bar,) = reader.bars(symbol, length, start_us=None, end_us=None, limit=1)
                (said,) = reader.indicators(symbol, length, start_us=None, end_us=None, limit=1)
                last = max(made)
                kept = {name: getattr(bar, name) for name in ("open", "high", "low", "close", "volume", "vwap")}
                kept |= {"trade_count": bar.trade_count, "last_event_time_us": bar.last_event_time_us}
                assert differences({last: made[last]}, {(symbol, bar.start_us): kept}) == []
                in_database = indicators_in_database(platform, interval)[last]
                assert ((said.symbol, said.start_us), (said.final, said.values)) == (last, in_database)


def check_influx(platform, trades):
    settings = platform.settings.influx
    points = [(row["symbol"], row["time_ns"], row["price"], row["size"]) for row in flux_rows(settings, "tick_metrics")]
    time_ns = pl.col("event_time_us") * 1_000 + pl.col("sequence") % 1_000
    wanted = trades.select("symbol", time_ns.alias("time_ns"), "price", "size").rows()
    assert sorted(points) == sorted(wanted)
    bars, said = flux_rows(settings, "aggregated_metrics"), flux_rows(settings, "technical_indicators")
    assert all(row["final"] for row in bars)
    for interval in INTERVAL_US:
        expected = expected_bars(trades, interval)
        stored = {
            (row["symbol"], row["time_ns"] // 1_000): row
            | {"last_event_time_us": expected[row["symbol"], row["time_ns"] // 1_000]["last_event_time_us"]}
            for row in bars
            if row["interval"] == interval
        }
        assert differences(expected, stored) == []
        values = {
            (row["symbol"], row["time_ns"] // 1_000): (
                row["final"],
                {name: row[name] for name in INDICATOR_NAMES if row.get(name) is not None},
            )
            for row in said
            if row["interval"] == interval
        }
        assert indicator_faults(trades, interval, values) == []

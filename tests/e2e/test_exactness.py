"""Every bar of a replayed day, in the database and over REST, is final and equals its recomputation from the file.

So do its indicators, in both: TA-Lib's of the recomputed bars. Crashes are the matter of tests/chaos.
"""

import asyncio
from functools import partial
from pathlib import Path

import polars as pl
import pytest

from kept import finals_on_topics
from marketstream.testing.exactness import exactness_trades
from marketstream.testing.platform import Platform
from marketstream.testing.replay.server import ReplayServer
from marketstream.testing.replay.source import FileSource, Pace
from marketstream.testing.trades import read_trades, write_trades
from own_feed import listening, played_by
from whole_day import check, wait_for_all

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

RECORDING = Path(__file__).resolve().parents[3] / "shared" / "data" / "us_equity_trades_20131007.csv.gz"


@pytest.fixture(scope="module")
def made_file(tmp_path_factory):
    """A made day as tricky as a real one; one trade in ten or so has a condition."""
    path = tmp_path_factory.mktemp("trades") / "made.csv"
    trades = exactness_trades(30_000, ["AAA", "BBB", "CCC"], hours=2.0)
    held_back = {0: (37,), 1: (32, 41), 2: (15,), 3: (12,), 4: (14, 41)}
    write_trades(
        path, [trade._replace(conditions=held_back.get(number % 53, ())) for number, trade in enumerate(trades)]
    )
    return path


@pytest.fixture
def start(tmp_path):
    """A platform that is fed a trade file, by the bundled replay server where no other is named."""

    def make(trade_file, **more):
        environment = {
            "PROVIDERS": "polygon",
            "POLYGON__API_KEY": "replay",
            "SYMBOLS": ",".join(read(trade_file)["symbol"].unique()),
            "REPLAY__FILE": str(trade_file),
            "REPLAY__SPEED": "max",
            "REPLAY__SALE_CONDITIONS": "true",
        }
        platform = Platform(tmp_path / "data", environment | more)
        own = f"127.0.0.1:{platform.environment['MARKETSTREAM_REPLAY__PORT']}"
        platform.environment.setdefault("MARKETSTREAM_POLYGON__WEBSOCKET_URL", f"ws://{own}/stocks")
        return platform

    return make


def read(trade_file):
    return pl.read_csv(trade_file, schema_overrides={"sale_condition": pl.String})


def test_every_bar_and_its_indicators_are_exact(start, made_file):
    """Those of the recorded day of IBM and BAC where it is on this machine, else of the made one."""
    trade_file = RECORDING if RECORDING.exists() else made_file
    trades = read(trade_file)
    with start(trade_file) as platform:
        wait_for_all(platform, trades)
        check(platform, trades)
        assert {bar.revision for bar in finals_on_topics(platform)} == {0}


@pytest.mark.long  # orders, batches and partition counts: tests/spark; this adds the processes
def test_they_are_though_every_trade_comes_twice_and_in_disorder(start, made_file):
    """Duplicated and reordered by the provider, in micro-batches, over other numbers of partitions.

    Within the allowed lateness: five trades in a row of this day span 61 s at most.
    """
    trades = read(made_file)
    shape = {"KAFKA__PARTITIONS": "5", "STREAMING__SHUFFLE_PARTITIONS": "3", "STREAMING__TRIGGER": "500 milliseconds"}
    shape["INGEST__ALLOWED_LATENESS_SECONDS"] = "70"
    recorded = read_trades(made_file)
    feed = ReplayServer(FileSource(recorded), Pace(None))
    with listening(feed, partial(disturb, symbols=len(recorded.symbols))) as server:
        stream, rest = server.endpoints()["polygon"]
        with start(made_file, **shape, POLYGON__WEBSOCKET_URL=stream, POLYGON__REST_URL=rest) as platform:
            wait_for_all(platform, trades)
            check(platform, trades)
        tally = server.desk.tallies["polygon"]
        assert min(tally.duplicated, tally.reordered) > 0.9 * trades.height


async def disturb(server, symbols):
    """Sends everything twice from now on, and backwards within windows of 5 trades."""
    # What comes before the first trade that is heard of a symbol was before anybody listened, and may be late.
    while len(server.history.symbols()) < symbols:  # noqa: ASYNC110  # nothing announces it
        await asyncio.sleep(0.001)
    played = played_by(server)
    while played_by(server) == played:  # noqa: ASYNC110  # nothing announces it
        await asyncio.sleep(0.001)
    server.faults.duplicate, server.faults.reorder = True, 5

"""Every bar of a replayed day, in the database and over REST, is final and equals its recomputation from the file."""

from collections import Counter
from pathlib import Path

import polars as pl
import pytest

from kept import bars_in_database, finals_on_topics, query
from marketstream.testing.exactness import exactness_trades
from marketstream.testing.platform import Platform, eventually
from marketstream.testing.trades import write_trades
from oracle import INTERVAL_US, differences, expected_bars

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

RECORDING = Path(__file__).resolve().parents[3] / "shared" / "data" / "us_equity_trades_20131007.csv.gz"
LIMIT_SECONDS = 300


@pytest.fixture(scope="module")
def trade_file(tmp_path_factory):
    """The recorded day of IBM and BAC where it is on this machine, else a made one as tricky."""
    if RECORDING.exists():
        return RECORDING
    path = tmp_path_factory.mktemp("trades") / "made.csv"
    trades = exactness_trades(30_000, ["AAA", "BBB", "CCC"], hours=2.0)
    held_back = {0: (37,), 1: (32, 41), 2: (15,), 3: (12,), 4: (14, 41)}  # one in ten or so has a condition
    write_trades(
        path, [trade._replace(conditions=held_back.get(number % 53, ())) for number, trade in enumerate(trades)]
    )
    return path


@pytest.fixture(scope="module")
def trades(trade_file):
    return pl.read_csv(trade_file, schema_overrides={"sale_condition": pl.String})


@pytest.fixture
def start(tmp_path, trade_file, trades):
    def environment(**more):
        return {
            "PROVIDERS": "polygon",
            "POLYGON__API_KEY": "replay",
            "SYMBOLS": ",".join(trades["symbol"].unique()),
            "REPLAY__FILE": str(trade_file),
            "REPLAY__SPEED": "max",
        } | more

    def make(**more):
        platform = Platform(tmp_path / "data", environment(**more))
        platform.environment["MARKETSTREAM_POLYGON__WEBSOCKET_URL"] = (
            f"ws://127.0.0.1:{platform.environment['MARKETSTREAM_REPLAY__PORT']}/stocks"
        )
        return platform

    return make


@pytest.mark.parametrize("trigger", ["realtime", "500 milliseconds"])
def test_every_bar_is_exact(start, trades, trigger):
    with start(STREAMING__TRIGGER=trigger) as platform:
        wait_for_all(platform, trades)
        check(platform, trades)
        assert {bar.revision for bar in finals_on_topics(platform)} == {0}


def test_every_bar_is_exact_though_spark_the_closer_and_each_writer_are_killed(start, trades):
    # Slow enough that each kill comes in the middle of the day.
    victims = ("bars", "redis-writer", "closer", "timescale-writer", "influx-writer", "closer", "bars")
    span_seconds = (trades["event_time_us"].max() - trades["event_time_us"].min()) / 1e6
    with start(REPLAY__SPEED=str(round(span_seconds / 40))) as platform:
        for number, name in enumerate(victims, start=1):
            wait_for_share(platform, trades, number * 0.11)
            if platform.service(name)["state"] == "absent":
                continue
            killed = platform.kill(name)
            eventually(
                lambda name=name, killed=killed: platform.service(name)["pid"] not in (None, killed),
                within_seconds=120,
                what=f"{name} to be started again",
            )
        wait_for_all(platform, trades)
        check(platform, trades)
        assert platform.service("bars")["restarts"] >= 2


def wait_for_all(platform, trades):
    bars = {interval: expected_bars(trades, interval) for interval in INTERVAL_US}
    expected = {interval: sum(bar["trade_count"] for bar in own.values()) for interval, own in bars.items()}
    eventually(lambda: counted(platform) == expected or None, within_seconds=LIMIT_SECONDS, what=f"bars of {expected}")
    eventually(lambda: provisional(platform) == 0, within_seconds=LIMIT_SECONDS, what="every bar to be final")


def wait_for_share(platform, trades, share):
    eventually(
        lambda: query(platform, "select count(*) from tick_data")[0][0] >= share * trades.height,
        within_seconds=LIMIT_SECONDS,
        what=f"{share:.0%} of the ticks",
    )


def counted(platform):
    rows = query(platform, "select interval, sum(trade_count) from aggregated_data group by interval")
    return {interval: int(count) for interval, count in rows}


def provisional(platform):
    return query(platform, "select count(*) from aggregated_data where not final")[0][0]


def check(platform, trades):
    expected_finals = set()
    for interval in INTERVAL_US:
        expected = expected_bars(trades, interval)
        assert differences(expected, bars_in_database(platform, interval)) == []
        over_rest = bars_over_rest(platform, trades, interval)
        assert differences(expected, over_rest) == []
        assert all(bar["final"] for bar in over_rest.values())
        expected_finals |= {(symbol, interval, start_us) for symbol, start_us in expected}
    stored = query(platform, "select count(*), count(distinct (symbol, trade_id)), sum(size) from tick_data")
    assert stored == [(trades.height, trades.height, float(trades["size"].sum()))]
    finals = Counter((bar.symbol, bar.interval, bar.start_us, bar.revision) for bar in finals_on_topics(platform))
    assert set(finals.values()) == {1}
    assert {bar[:3] for bar in finals} == expected_finals


def bars_over_rest(platform, trades, interval):
    bars = {}
    for symbol in trades["symbol"].unique():
        response = platform.get(f"/api/v1/aggregated/{symbol}", window=interval, limit=10_000)
        assert response.status_code == 200, response.text
        bars |= {(symbol, bar["start_us"]): bar for bar in response.json()["bars"]}
    return bars

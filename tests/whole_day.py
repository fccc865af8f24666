"""What a whole platform has to hold when a day of trades has been played to it, and waiting until it does."""

from collections import Counter
from contextlib import suppress

from indicator_proof import indicator_faults
from kept import bars_in_database, finals_on_topics, indicators_in_database, indicators_over_rest, query
from marketstream.testing.platform import eventually
from oracle import INTERVAL_US, differences, expected_bars

LIMIT_SECONDS = 300


def wait_for_all(platform, trades):
    bars = {interval: expected_bars(trades, interval) for interval in INTERVAL_US}
    expected = {interval: sum(bar["trade_count"] for bar in own.values()) for interval, own in bars.items()}
    eventually(lambda: counted(platform) == expected or None, within_seconds=LIMIT_SECONDS, what=f"bars of {expected}")
    eventually(lambda: provisional(platform) == 0, within_seconds=LIMIT_SECONDS, what="every bar to be final")


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
    check_indicators(platform, trades)


def check_indicators(platform, trades):
    symbols = trades["symbol"].unique().to_list()
    for interval in INTERVAL_US:
        with suppress(TimeoutError):  # what is wrong is told below
            eventually(
                lambda interval=interval: (
                    not indicator_faults(trades, interval, indicators_in_database(platform, interval))
                ),
                within_seconds=300,
                what=f"the indicators of {interval} to be TA-Lib's",
                every_seconds=1.0,
            )
        assert indicator_faults(trades, interval, indicators_in_database(platform, interval)) == []
        assert indicator_faults(trades, interval, indicators_over_rest(platform, interval, symbols)) == []


def bars_over_rest(platform, trades, interval):
    bars = {}
    for symbol in trades["symbol"].unique():
        response = platform.get(f"/api/v1/aggregated/{symbol}", window=interval, limit=10_000)
        assert response.status_code == 200, response.text
        bars |= {(symbol, bar["start_us"]): bar for bar in response.json()["bars"]}
    return bars

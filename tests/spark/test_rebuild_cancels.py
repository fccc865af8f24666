"""Which of a day's trades cancels mean, on Spark."""

from dataclasses import replace

import pytest
from pyspark.sql.pandas.types import from_arrow_schema

from lakes import DAY_US, MINUTE_US, lake_tick, rows_of
from marketstream.domain.interval import Interval
from marketstream.lake.datasets import TICK_ROWS
from marketstream.streaming.rebuild_cancels import bring_together, counts_by_bar, taken_back, without
from stores import make_cancel

pytestmark = pytest.mark.spark

# Two of them are equal but for their ids and their order.
TICKS = [lake_tick(number) for number in range(4)] + [replace(lake_tick(2), trade_id="twin", sequence=1)]
BY_ID = {tick.trade_id: tick for tick in TICKS}


@pytest.fixture(scope="module")
def frame(spark):
    return spark.createDataFrame(rows_of(TICKS), from_arrow_schema(TICK_ROWS.schema))


def ids(trades):
    return sorted(trade_id for *_, trade_id in trades)


def test_a_cancel_means_its_id_or_the_first_equal_trade(frame):
    cancels = [make_cancel(BY_ID["0"]), make_cancel(BY_ID["2"], trade_id=None)]
    taken = taken_back(frame, bring_together([], [*cancels, *cancels]))
    assert ids(taken) == ["0", "twin"]
    assert sorted(row.trade_id for row in without(frame, taken).collect()) == ["1", "2", "3"]
    minutes = [(symbol, name, start_us) for symbol, name, start_us in counts_by_bar(taken, (Interval.parse("1min"),))]
    assert sorted(minutes) == [("A", "1min", DAY_US), ("A", "1min", DAY_US + 2 * MINUTE_US)]


def test_what_the_table_has_matched_holds_and_takes_no_second_trade_back(frame):
    unnamed = make_cancel(BY_ID["2"], trade_id=None)
    assert ids(taken_back(frame, bring_together([(unnamed, "2")], [unnamed]))) == ["2"]
    named = make_cancel(BY_ID["twin"])
    assert ids(taken_back(frame, bring_together([(unnamed, None), (named, None)], [unnamed]))) == ["2", "twin"]


def test_a_cancel_of_no_trade_of_the_day_takes_nothing_back(frame):
    others = [
        make_cancel(BY_ID["0"], trade_id="another"),
        make_cancel(BY_ID["0"], provider="fmp"),
        make_cancel(BY_ID["0"], symbol="B"),
        make_cancel(BY_ID["0"], trade_id=None, price=1.0),
        make_cancel(BY_ID["0"], event_time_us=DAY_US + 1),
    ]
    taken = taken_back(frame, bring_together([], others))
    assert taken == []
    assert without(frame, taken) is frame

from dataclasses import replace

import pytest

from closing import bars_of, trade
from lakes import DAY_US, MINUTE_US
from marketstream.domain.interval import Interval
from marketstream.streaming.rebuild import Report, compare, outranking, repairs

MINUTE = Interval.parse("1min")
TRADES = [trade("A", DAY_US + number * MINUTE_US // 10, number) for number in range(30)]
BARS = bars_of(TRADES, MINUTE)
FIRST = DAY_US
KEY = ("A", "1min", FIRST)


def compared(stored):
    return compare("table", BARS, BARS | stored)


def test_equal_bars_make_no_difference_whatever_their_version():
    stored = {start: replace(bar, final=True, revision=7, last_received_time_us=1) for start, bar in BARS.items()}
    assert compared(stored) == []


def test_sums_of_fractions_may_differ_in_their_last_digits():
    bar = BARS[FIRST]
    assert compared({FIRST: replace(bar, volume=bar.volume * (1 + 1e-13), vwap=bar.vwap * (1 + 1e-10))}) == []
    assert [each.kind for each in compared({FIRST: replace(bar, volume=bar.volume * (1 + 1e-11))})] == ["wrong"]


@pytest.mark.parametrize("changes", [{"open": 100.5}, {"trade_count": 9}, {"last_event_time_us": 5}, {"vwap": 101.0}])
def test_any_other_value_is_a_difference(changes):
    assert [(each.kind, each.key) for each in compared({FIRST: replace(BARS[FIRST], **changes)})] == [("wrong", KEY)]


def test_each_kind_of_difference_is_told():
    later = max(BARS) + MINUTE_US
    extra = replace(BARS[max(BARS)], start_us=later, end_us=later + MINUTE_US)
    stored = {FIRST: replace(BARS[FIRST], trade_count=99), later: extra}
    found = compare("table", BARS, stored)
    assert [each.kind for each in found] == ["overfull", "missing", "missing", "unexplained"]


def test_a_providers_bar_where_trades_make_one_counts_as_missing_and_alone_as_nothing():
    later = max(BARS) + MINUTE_US
    theirs = replace(BARS[FIRST], provider="fmp", trade_count=0)
    elsewhere = replace(theirs, start_us=later, end_us=later + MINUTE_US)
    assert [each.kind for each in compared({FIRST: theirs, later: elsewhere})] == ["missing"]


def test_a_void_bar_without_trades_is_as_it_should_be():
    later = max(BARS) + MINUTE_US
    void = replace(BARS[FIRST], start_us=later, end_us=later + MINUTE_US, trade_count=0, cancelled=4)
    assert compared({later: void}) == []


def test_a_void_bar_that_has_trades_is_wrong_and_its_repair_outranks_it():
    bar = BARS[FIRST]
    void = replace(bar, volume=0.0, trade_count=0, cancelled=bar.trade_count, final=True)
    found = compared({FIRST: void})
    assert [each.kind for each in found] == ["wrong"]
    assert repairs(found)[KEY].version > void.version
    assert repairs(found)[KEY].trade_count == bar.trade_count


@pytest.mark.parametrize("final", [False, True])
@pytest.mark.parametrize(
    "wrong",
    [{"open": 100.5}, {"trade_count": 3}, {"trade_count": 99}, {"trade_count": 9, "cancelled": 4}, {"revision": 3}],
)
def test_a_repair_outranks_what_is_stored_and_is_not_outranked_by_it_again(wrong, final):
    stored = replace(BARS[FIRST], final=final, **wrong)
    repaired = outranking(BARS[FIRST], [stored])
    assert repaired.version > stored.version
    assert repaired.final
    assert (repaired.open, repaired.trade_count) == (BARS[FIRST].open, BARS[FIRST].trade_count)


def test_a_repair_outranks_every_stores_version():
    stored = [replace(BARS[FIRST], trade_count=12), replace(BARS[FIRST], trade_count=11, cancelled=3, final=True)]
    repaired = outranking(BARS[FIRST], stored)
    assert all(repaired.version > each.version for each in stored)


def test_trades_are_taken_out_of_bars_only_when_told():
    later = max(BARS) + MINUTE_US
    extra = replace(BARS[FIRST], start_us=later, end_us=later + MINUTE_US)
    found = compared({FIRST: replace(BARS[FIRST], trade_count=99), later: extra})
    assert repairs(found) == {}
    repaired = repairs(found, drop_until_us=later + MINUTE_US)
    assert repaired[KEY].cancelled == 99 - BARS[FIRST].trade_count
    assert repaired["A", "1min", later].void


def test_no_trade_is_taken_out_of_a_bar_that_ends_after_the_source_does():
    later = max(BARS) + MINUTE_US
    extra = replace(BARS[FIRST], start_us=later, end_us=later + MINUTE_US)
    found = compared({FIRST: replace(BARS[FIRST], trade_count=99), later: extra})
    assert set(repairs(found, drop_until_us=later + MINUTE_US - 1)) == {KEY}
    assert repairs(found, drop_until_us=FIRST + MINUTE_US - 1) == {}


def test_a_bar_that_one_store_has_with_trades_the_source_lacks_is_left_in_all():
    found = compare("table", BARS, {}) + compare("lake", BARS, {FIRST: replace(BARS[FIRST], trade_count=99)})
    assert KEY not in repairs(found)
    assert len(repairs(found)) == len(BARS) - 1


def test_a_report_is_clean_when_nothing_is_left():
    report = Report()
    assert report.clean
    report.add(compared({FIRST: replace(BARS[FIRST], open=100.5)}), examples_max=1)
    report.left = 1
    assert not report.clean
    assert report.differences == {("table", "wrong"): 1}
    assert len(report.examples) == 1
    assert not Report(ticks_missing=2, ticks_restored=1).clean
    assert not Report(days_skipped=1).clean

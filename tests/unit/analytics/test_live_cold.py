"""Indicators that begin without their past, or beside a database that is behind: in the end, they are TA-Lib's."""

from dataclasses import replace

import pytest

from live_cases import NOW_US, LaggingStore, live, recalled, restarted, revised, traded, without, wrong
from marketstream.analytics.past import Past

RECEIVED_US = 10**12


def test_what_was_told_without_a_past_is_told_again_with_it():
    bars = traded(700)
    store = LaggingStore(bars[:640])
    indicators, told = live(), []
    indicators.begin_cold(bars[600:617])
    told += indicators.take(bars[600:617])
    seeded = {"ema_12", "ema_20", "rsi_14", "atr_14", "macd", "macd_signal", "vwap_session"}
    assert not any(seeded & one.values.keys() for one in told)
    for bar in bars[617:640]:
        indicators = restarted(indicators)
        told += indicators.take([bar])
    assert not any(seeded & one.values.keys() for one in told)
    assert "sma_20" in told[-1].values
    told += recalled(indicators, store)
    for bar in bars[640:]:
        indicators = restarted(indicators)
        told += indicators.take([bar])
    assert wrong(told, bars, bars[600].start_us) == {}


@pytest.mark.parametrize("missing", [False, True])
def test_the_first_bars_read_may_have_come_late_and_not_be_stored(missing):
    bars = traded(700)
    late = bars[560] if missing else revised(bars[560])
    store = LaggingStore(without(bars[:639], *([late] if missing else [])))
    indicators = live()
    arriving = [late, *bars[600:640]]
    indicators.begin_cold(arriving)
    told = indicators.take(arriving)
    told += recalled(indicators, store)
    told += [one for bar in bars[640:] for one in indicators.take([bar])]
    assert wrong(told, [*bars[:560], late, *bars[561:]], late.start_us) == {}


def test_a_past_that_does_not_reach_back_to_the_first_one_told_begins_where_it_can():
    bars = traded(1_400)
    store = LaggingStore(bars)
    indicators = live()
    indicators.begin_cold(bars[100:101])
    told = [one for bar in bars[100:1_399] for one in indicators.take([bar])]
    since_us, end_us = indicators.recalls
    assert since_us == bars[100].start_us
    told += indicators.recall(store.before(end_us, limit=800))
    told += indicators.take(bars[1_399:])
    names = wrong(told, bars, bars[1_398 - 800 + 1 + 569].start_us)
    assert names.keys() <= {"vwap_session"}  # of a session whose beginning was out of reach
    assert indicators.recalls is None


def test_a_database_that_lacks_a_bar_received_long_ago_is_behind():
    bars = [replace(bar, last_received_time_us=RECEIVED_US) for bar in traded(700)]
    now_us = RECEIVED_US + 3_600_000_000
    arriving = bars[600:620]
    indicators = live()
    assert not indicators.warm(Past(bars[:570], complete=True), arriving, now_us)  # a hole before the first
    indicators.begin_cold(arriving)
    told = indicators.take(arriving)
    assert indicators.recall(Past(bars[:570], complete=True)) == []
    store = LaggingStore(bars[:620])
    told += recalled(restarted(indicators), store)
    indicators = live()
    with_old = [revised(bars[500]), *arriving]
    assert not indicators.warm(Past(bars[:570], complete=True), with_old, now_us)  # it has that one, but not the others
    assert indicators.warm(Past(bars[:620], complete=True), arriving, now_us)
    assert indicators.warm(Past(bars[:600], complete=True), arriving, RECEIVED_US + 5_000_000)  # not long ago
    assert wrong(told, bars[:620], bars[600].start_us) == {}


def test_a_first_bar_that_is_still_open_waits_for_a_past_that_has_it():
    bars = traded(700)
    opened = replace(bars[600], final=False)
    indicators = live()
    indicators.begin_cold([opened])
    told = indicators.take([opened])
    assert indicators.recall(Past(bars[:570], complete=True)) == []
    told += recalled(indicators, LaggingStore([*bars[:600], opened]))
    assert wrong(told, bars[:601], opened.start_us) == {}


def test_a_bar_that_history_does_not_reach_back_for_is_left_out_by_those_of_now():
    bars = traded(1_400)
    store = LaggingStore(bars)
    old = revised(bars[10])
    arriving = [old, *bars[1_380:]]
    indicators = live()
    past = store.before(arriving[-1].start_us + 1, limit=700)
    assert not past.complete
    assert indicators.warm(past, arriving, NOW_US)
    told = indicators.take(arriving)
    assert indicators.recall(store.before(indicators.recalls[1], limit=700)) == []
    assert (indicators.recalls, indicators.stale) == (None, 1)
    assert {one.start_us for one in told} == {bar.start_us for bar in bars[1_380:]}
    assert wrong(told, bars, bars[1_380].start_us).keys() <= {"vwap_session"}

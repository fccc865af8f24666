"""Indicators of bars that are revised or voided late, beside a database that is behind: in the end, TA-Lib's."""

import random
from dataclasses import replace

import pytest

from indicator_cases import MINUTE_US, price_bar
from live_cases import NOW_US, LaggingStore, live, recalled, restarted, revised, traded, voided, without, wrong
from marketstream.analytics import late as bounds
from marketstream.analytics.late import OWED_MAX
from marketstream.analytics.live import WAITING_MAX
from marketstream.analytics.live_state import LiveState

FEW = 64


@pytest.fixture
def few(monkeypatch):
    """A lower bound, so that bursts beyond it are quickly computed."""
    monkeypatch.setattr(bounds, "REVISED_MAX", FEW)
    monkeypatch.setattr(bounds, "COUNTED_MAX", 2 * FEW)


def following(bars, *, store=None):
    """Indicators that have seen these; the store has, too."""
    indicators = live()
    told = indicators.take(bars)
    if store is not None:
        store.write(bars)
    return restarted(indicators), told


def test_a_void_bar_that_waits_alone_leaves_its_place_to_those_revised_before_it():
    bars = traded(60)
    store = LaggingStore()
    indicators, told = following(bars[:41], store=store)
    assert [bar.start_us for bar in indicators.waiting] == [bars[40].start_us]
    void, revision = voided(bars[40]), revised(bars[20])
    told += indicators.take([void, revision])
    told += recalled(indicators, store)
    indicators = restarted(indicators)
    assert (indicators.waiting, indicators.revised) == ([void], [])
    for bar in bars[41:]:
        told += indicators.take([bar])
    assert wrong(told, [*bars[:20], revision, *bars[21:40], *bars[41:]]) == {}


def test_an_older_version_of_a_void_bar_does_not_bring_it_back():
    bars = traded(60)
    indicators, told = following(bars[:41])
    told += indicators.take([voided(bars[40])])
    indicators = restarted(indicators)
    assert indicators.take([replace(bars[40], final=False), bars[40]]) == []
    told += [one for bar in bars[41:50] for one in indicators.take([bar])]
    assert indicators.take([replace(bars[40], final=False)]) == []
    told += [one for bar in bars[50:] for one in indicators.take([bar])]
    assert wrong(told, without(bars, bars[40])) == {}
    assert len(indicators.waiting) == 1


def test_the_newest_closed_bar_is_taken_back_without_history():
    bars = traded(60)
    indicators, told = following(bars[:41])
    told += indicators.take([voided(bars[39])])  # the last of those that are closed for good
    assert [bar.start_us for bar in indicators.waiting] == [bars[39].start_us, bars[40].start_us]
    indicators = restarted(indicators)
    for bar in bars[41:]:
        told += indicators.take([bar])
        indicators = restarted(indicators)
    assert wrong(told, without(bars, bars[39])) == {}
    assert indicators.recalls is None


def test_the_newest_closed_bar_is_taken_back_and_traded_again():
    bars = traded(60)
    indicators, told = following(bars[:41])
    again = replace(voided(bars[39]), trade_count=1, volume=3.0, revision=2)
    told += indicators.take([voided(bars[39])])
    told += indicators.take([again])
    told += [one for bar in bars[41:] for one in indicators.take([bar])]
    assert wrong(told, [*bars[:39], again, *bars[40:]]) == {}


def test_a_void_bar_of_long_ago_is_taken_out_while_the_database_still_has_it():
    bars = traded(60)
    store = LaggingStore()
    indicators, told = following(bars[:41], store=store)
    void = voided(bars[25])
    told += indicators.take([void])
    told += recalled(indicators, store)
    told += indicators.take([voided(bars[30])])  # another: the database has neither
    told += recalled(indicators, store)
    told += [one for bar in bars[41:] for one in indicators.take([bar])]
    assert wrong(told, without(bars, bars[25], bars[30])) == {}


def test_void_bars_without_end_are_bounded():
    bars = traded(4 * WAITING_MAX)
    indicators, _ = following(bars[:3])
    for bar in bars[3:]:
        assert indicators.take([voided(bar)]) == []
        indicators = restarted(indicators)
        assert len(indicators.waiting) <= 2 * WAITING_MAX
    assert indicators.take([price_bar(10**6, 10.0)]) != []


def test_a_second_revision_leaves_the_first_in_place_while_the_database_has_neither():
    bars = traded(300)
    store = LaggingStore()
    indicators, told = following(bars[:200], store=store)
    first, second = revised(bars[100]), revised(bars[150], 2)
    for revision in (first, second):
        told += indicators.take([revision])
        told += recalled(indicators, store)
        assert indicators.recalls is None
        indicators = restarted(indicators)
    told += [one for bar in bars[200:] for one in indicators.take([bar])]
    assert wrong(told, [*bars[:100], first, *bars[101:150], second, *bars[151:]]) == {}
    assert indicators.state().counted == ()  # later bars have closed: where those are stored, so are these


def test_a_revision_of_the_newest_closed_bar_stays_while_the_database_lacks_it():
    bars = traded(300)
    store = LaggingStore()
    indicators, told = following(bars[:200], store=store)
    revision, earlier = revised(bars[198]), revised(bars[100], 2)
    store.write([bars[199], bars[200]])
    told += indicators.take([bars[200], revision])  # after the finals of the bars that follow it
    told += indicators.take([earlier])
    told += recalled(indicators, store)
    assert indicators.recalls is None
    told += [one for bar in bars[201:] for one in indicators.take([bar])]
    assert wrong(told, [*bars[:100], earlier, *bars[101:198], revision, *bars[199:]]) == {}


@pytest.mark.parametrize("count", [FEW + 1, 300])
@pytest.mark.usefixtures("few")
def test_a_burst_of_revisions_is_told_in_full_once_the_database_has_it(count):
    bars = traded(400)
    store = LaggingStore()
    indicators, told = following(bars[:399], store=store)
    burst = [revised(bar) for bar in bars[20 : 20 + count]]
    told += indicators.take(burst)
    for at in range(0, count - 1, 37):  # the database takes it in by and by; messages go on
        store.write(burst[max(0, at - 37) : at])
        assert recalled(indicators, store) == []
        indicators = restarted(indicators)
    store.write(burst)
    told += recalled(indicators, store)
    assert indicators.recalls is None
    told += indicators.take([bars[399]])
    assert wrong(told, [*bars[:20], *burst, *bars[20 + count :]]) == {}
    assert indicators.stale == 0


@pytest.mark.usefixtures("few")
def test_a_burst_without_end_is_bounded_and_all_of_it_told():
    bars = [price_bar(at, 10.0 + at % 7, last_event_time_us=(at + 1) * MINUTE_US - 1) for at in range(3_000)]
    indicators, _ = following(bars)
    burst = [revised(bar) for bar in bars[10:2_900]]
    indicators.take(burst)
    state = indicators.state()
    assert (len(state.revised), len(state.owed)) == (FEW, OWED_MAX)
    store = LaggingStore(bars)
    store.write(burst[:-1])
    assert recalled(indicators, store) == []
    store.write(burst)
    told = recalled(restarted(indicators), store)
    assert wrong(told, [*bars[:10], *burst, *bars[2_900:]], burst[0].start_us) == {}


@pytest.mark.usefixtures("few")
def test_revisions_wait_where_too_many_that_count_are_not_stored():
    bars = traded(400)
    store = LaggingStore()
    indicators, told = following(bars[:399], store=store)
    bursts = [[revised(bar) for bar in bars[at : at + FEW]] for at in (20, 100, 200)]
    for burst in bursts:
        told += indicators.take(burst)
        told += recalled(indicators, store)
        indicators = restarted(indicators)
    assert indicators.recalls is not None
    store.write(bursts[0])
    told += recalled(indicators, store)
    assert indicators.recalls is None
    told += indicators.take([bars[399]])
    now = {bar.start_us: bar for burst in bursts for bar in burst}
    assert wrong(told, [now.get(bar.start_us, bar) for bar in bars]) == {}


@pytest.mark.parametrize("seed", range(6))
def test_whatever_is_revised_and_voided_whenever_the_database_takes_it_in(seed):
    chance = random.Random(seed)
    bars = traded(500, seed=seed + 1)
    topic, last = topic_of(bars, chance)
    store, indicators, told, taken, stored = LaggingStore(), live(), [], 0, 0
    while taken < len(topic):
        batch = topic[taken : taken + chance.choice((1, 3, 20))]
        taken += len(batch)
        told += indicators.take(chance.sample(batch, len(batch)))
        if chance.random() < 0.5:
            behind = chance.randint(stored, taken)
            store.write(topic[stored:behind])
            stored = behind
        if chance.random() < 0.8:
            told += recalled(indicators, store)
        indicators = restarted(indicators)
    store.write(topic[stored:])
    told += indicators.take([price_bar(10**5, 10.0)])
    told += recalled(indicators, store)
    assert indicators.recalls is None
    assert wrong(told, [bar for bar in last if not bar.void]) == {}


@pytest.mark.parametrize("seed", range(6))
def test_whatever_is_revised_where_reading_begins_in_between(seed):
    """The database is behind what is read first, or ahead of it."""
    chance = random.Random(seed)
    bars = traded(500, seed=seed + 1)
    topic, last = topic_of(bars, chance)
    taken = chance.randint(300, 500)
    stored = taken + chance.randint(-100, 100)
    store, told = LaggingStore(topic[:stored]), []
    batch = topic[taken : taken + 30]
    since_us = max(bar.start_us for bar in batch)
    indicators = live()
    if not indicators.warm(store.before(since_us + 1), batch, NOW_US):
        indicators.begin_cold(batch)
    while taken < len(topic):
        taken += len(batch)
        told += indicators.take(batch) + recalled(indicators, store)
        indicators = restarted(indicators)
        batch = topic[taken : taken + chance.choice((1, 3, 20))]
        behind = max(stored, chance.randint(taken - 100, taken + 100))
        store.write(topic[stored:behind])
        stored = behind
    store.write(topic[stored:])
    told += indicators.take([price_bar(10**5, 10.0)])
    told += recalled(indicators, store)
    assert indicators.recalls is None
    assert wrong(told, [bar for bar in last if not bar.void], since_us) == {}


def topic_of(bars, chance):
    """Versions in the order of a topic, and the last one of each bar."""
    messages, last = [], []
    for at, bar in enumerate(bars):
        messages += [(at + 0.1, replace(bar, final=False, trade_count=1)), (at + 1.2, bar)]
        if chance.random() < 0.15:
            moment = at + 1.3 + chance.choice((0, 0, 1, 2, 30, 200)) * chance.random()
            bar = chance.choice((revised, voided))(bar)
            messages += [(moment, replace(bar, final=False, revision=bar.revision - 1)), (moment + 0.1, bar)]
            if bar.void:
                messages.append((moment + chance.random(), replace(bars[at], final=False)))  # said again after a crash
        last.append(bar)
    return [message for _, message in sorted(messages, key=lambda one: one[0])], last


@pytest.mark.usefixtures("few")
def test_a_state_survives_as_bytes():
    bars = traded(300)
    store = LaggingStore()
    indicators, _ = following(bars[:250], store=store)
    indicators.take([revised(bars[10])])
    recalled(indicators, store)
    indicators.take([revised(bar, 2) for bar in bars[20:200]])
    state = replace(indicators.state(), cold_since_us=5)
    assert state.waiting
    assert state.revised
    assert state.counted
    assert state.owed
    assert LiveState.unpack(state.closed, state.pack()) == state

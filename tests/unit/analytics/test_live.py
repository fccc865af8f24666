"""Indicators that follow versions of bars: whatever comes in whatever pieces, the last word is the calculator's."""

import random
from dataclasses import replace

import pytest

from indicator_cases import DEFAULT, MINUTE_US, price_bar, walk
from live_cases import NOW_US, last_words, live, restarted
from marketstream.analytics import late
from marketstream.analytics.indicator_state import IndicatorStateError
from marketstream.analytics.indicators import IndicatorCalculator
from marketstream.analytics.live import WAITING_MAX
from marketstream.analytics.parameters import IndicatorParameters
from marketstream.analytics.past import Past
from marketstream.analytics.sessions import UtcDays
from marketstream.domain.market import Bar

SHORT = IndicatorParameters(sma=(2,), ema=(3,))


def versions_of(bars, seed=1):
    """Each bar as it grows, then final; a bar's final comes when later ones have begun."""
    chance = random.Random(seed)
    messages = []
    for number, bar in enumerate(bars):
        count = chance.randint(1, 4)
        final = replace(bar, trade_count=count, last_event_time_us=bar.end_us - 1)
        for trades in range(1, count + 1):
            part = final if trades == count else replace(final, high=bar.low, open=bar.low, close=bar.low, low=bar.low)
            messages.append((number, replace(part, final=False, trade_count=trades)))
        messages.append((number + chance.choice((0.5, 1.5)), final))
    return [message for _, message in sorted(messages, key=lambda one: one[0])]


def by_calculator(bars):
    calculator = IndicatorCalculator(DEFAULT, UtcDays())
    return {bar.start_us: calculator.close(bar) for bar in bars}


def in_pieces(messages, pieces, seed):
    cuts = sorted(random.Random(seed).sample(range(1, len(messages)), pieces - 1)) if pieces > 1 else []
    return [messages[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(messages)], strict=True)]


@pytest.mark.parametrize("pieces", [1, 7, 200])
def test_pieces_and_restarts_change_nothing(pieces):
    bars = walk(300)
    messages = versions_of(bars)
    indicators, told = live(), []
    for piece in in_pieces(messages, pieces, seed=pieces):
        told += indicators.take(piece)
        indicators = restarted(indicators)
    kept = last_words(told)
    assert {start_us: one.values for start_us, one in kept.items()} == by_calculator(bars)
    assert all(one.final for one in kept.values())
    assert len([one for one in told if one.final]) == len(bars)
    assert len(indicators.waiting) <= 2


def test_disorder_within_a_piece_changes_nothing():
    messages = versions_of(walk(250))
    shuffled = list(messages)
    random.Random(5).shuffle(shuffled)
    assert live().take(shuffled) == live().take(messages)


def test_an_open_bar_says_what_it_will_say_when_it_closes():
    first, second, third = walk(3)
    indicators = live(SHORT)
    opened = [replace(bar, final=False) for bar in (first, second, third)]
    previews = {one.start_us: one.values for bar in opened for one in indicators.take([bar])}
    assert not any(one.final for one in indicators.waiting)
    finals = {one.start_us: one.values for one in indicators.take([first, second, third])}
    assert previews == finals
    assert set(finals[third.start_us]) >= {"sma_2", "ema_3"}


def test_a_late_trade_changes_what_the_bars_after_it_say():
    first, second, third = (price_bar(minute, 10.0, trade_count=2) for minute in range(3))
    indicators = live(SHORT)
    indicators.take([first, second, replace(third, final=False)])
    again = indicators.take([replace(second, high=30.0, close=30.0, trade_count=3, final=False)])
    assert [(one.start_us, one.values["sma_2"]) for one in again] == [(MINUTE_US, 20.0), (2 * MINUTE_US, 20.0)]
    corrected = replace(second, high=30.0, close=30.0, trade_count=3, revision=1)
    assert [one.revision for one in indicators.take([corrected])] == [1]  # the same numbers: nothing else to say


def test_only_the_newest_version_of_an_open_bar_is_told_and_every_final_one():
    bar = replace(walk(1)[0], trade_count=3)
    versions = [replace(bar, trade_count=count, final=False) for count in (2, 1, 3)]
    assert [one.trade_count for one in live().take(versions)] == [3]
    revised = replace(bar, trade_count=5, revision=1)
    opened_again = replace(bar, trade_count=4, final=False)
    told = live().take([*versions, revised, opened_again, bar])
    assert [(one.trade_count, one.final) for one in told] == [(3, True), (5, True)]


def test_nothing_goes_backwards():
    bars = [replace(bar, trade_count=2, last_event_time_us=bar.end_us - 1) for bar in walk(4)]
    indicators = live()
    indicators.take(bars)
    assert indicators.take([replace(bars[-1], trade_count=1, final=False)]) == []
    assert indicators.stale == 0  # an older version of a bar that is known is no loss
    assert indicators.take([replace(bars[0], trade_count=1, final=False)]) == []
    assert indicators.stale == 1
    assert indicators.take([bars[0], replace(bars[0], trade_count=3, revision=1)]) == []
    assert [bar.revision for bar in indicators.revised] == [1]
    indicators.give_up()
    assert (indicators.stale, indicators.revised) == (2, [])


def test_the_newest_closed_bar_may_be_revised():
    first, second, third = (
        price_bar(minute, 10.0, trade_count=2, last_event_time_us=(minute + 1) * MINUTE_US - 1) for minute in range(3)
    )
    indicators = live(SHORT)
    indicators.take([first, second, third])
    assert [bar.start_us for bar in indicators.waiting] == [third.start_us]
    again = indicators.take([replace(second, close=30.0, high=30.0, trade_count=3, revision=1)])
    assert [one.values["sma_2"] for one in again] == [20.0, 20.0]


def test_a_provider_s_bar_gives_way_to_the_one_made_from_trades():
    bar = price_bar(0, 10.0, trade_count=1)
    provided = replace(bar, provider="p", trade_count=0, revision=99, close=9.0, low=9.0)
    indicators = live()
    assert indicators.take([provided])[0].provider == "p"
    assert indicators.take([replace(bar, final=False)])[0].provider is None
    assert indicators.take([replace(provided, revision=100)]) == []


def test_an_idle_final_bar_waits_for_a_trade_in_time():
    first = price_bar(0, 10.0, last_event_time_us=1)
    second = price_bar(1, 20.0, last_event_time_us=MINUTE_US + 1)
    indicators = live(SHORT)
    indicators.take([first, second])
    assert len(indicators.waiting) == 2  # the newest trade is within the lateness of the first bar's end
    indicators.take([replace(second, trade_count=2, last_event_time_us=2 * MINUTE_US - 1, final=False)])
    assert [bar.start_us for bar in indicators.waiting] == [MINUTE_US]


def test_without_finals_the_bars_that_wait_are_bounded_and_the_values_right():
    bars = walk(WAITING_MAX + 30)
    indicators, told = live(), []
    for bar in bars:
        told += indicators.take([replace(bar, final=False)])
    assert len(indicators.waiting) == WAITING_MAX
    assert [one.values for one in told] == list(by_calculator(bars).values())
    assert indicators.take([bars[0]]) == []
    assert indicators.revised == [bars[0]]


def test_history_comes_before_what_was_told_without_it():
    bars = walk(700)
    indicators = live()
    indicators.begin_cold([replace(bars[600], final=False)])
    cold = indicators.take([replace(bars[600], final=False)])
    assert "sma_20" not in cold[0].values
    assert indicators.recalls == (bars[600].start_us, bars[600].start_us + 1)
    assert indicators.recall(Past([*bars[:600], replace(bars[600], final=False)], complete=True)) != []
    assert indicators.recalls is None
    told = last_words(indicators.take(bars[600:]))
    right = by_calculator(bars)
    assert {start_us: one.values for start_us, one in told.items()} == {
        bar.start_us: right[bar.start_us] for bar in bars[600:]
    }


@pytest.mark.parametrize("pieces", [1, 5, 60])
def test_bars_revised_long_after_they_closed_change_all_after_them(pieces):
    """Whenever history comes, and over restarts, the last word is that of the calculator over the last versions."""
    chance = random.Random(pieces)
    bars = [replace(bar, last_event_time_us=bar.end_us - 1, trade_count=2) for bar in walk(900)]
    revised = {
        at: replace(bars[at], trade_count=3, revision=1, close=bars[at].high) for at in (300, 301, 640, 780, 880)
    }
    missing = bars[700]  # no trade of it came before the others had closed
    messages = [(bar.start_us, bar) for bar in bars if bar is not missing]
    messages += [(bars[at + 1].end_us + chance.randrange(18) * MINUTE_US, bar) for at, bar in revised.items()]
    messages.append((bars[720].start_us, missing))
    messages.sort(key=lambda message: message[0])
    stored, told, indicators = {}, [], live()
    for piece in in_pieces([bar for _, bar in messages], pieces, seed=pieces):
        told += indicators.take(piece)
        if chance.random() < 0.5 or piece[-1] == bars[-1]:
            stored |= {bar.start_us: bar for _, bar in messages if bar.start_us <= piece[-1].start_us}
            first_us = indicators.waiting[0].start_us
            past = Past([stored[start] for start in sorted(stored) if start < first_us], complete=True)
            told += indicators.recall(past)
        indicators = restarted(indicators)
    assert indicators.revised == []
    final = [revised.get(at, bar) for at, bar in enumerate(bars)]
    kept = last_words(told)
    assert {start_us: one.values for start_us, one in kept.items()} == by_calculator(final)
    assert all(one.final for one in kept.values())


def closed_and_revised():
    """Indicators of 700 closed bars, of which the 650th was revised, and those bars as history knows them now."""
    bars = [replace(bar, last_event_time_us=bar.end_us - 1) for bar in walk(700)]
    revision = replace(bars[650], trade_count=2, revision=1, close=bars[650].high)
    indicators = live()
    indicators.take(bars)
    assert indicators.take([revision]) == []
    return indicators, [*bars[:650], revision, *bars[651:]]


def test_a_revised_bar_waits_for_a_history_that_knows_all_that_has_closed():
    indicators, bars = closed_and_revised()
    for behind in (bars[:690], [*bars[:698], replace(bars[698], final=False)]):
        told = indicators.recall(Past(behind, complete=True))
        assert (told, len(indicators.revised), indicators.stale) == ([], 1, 0)
    told = indicators.recall(Past(bars[:699], complete=True))
    assert [one.start_us for one in told] == [bar.start_us for bar in bars[650:]]
    assert {one.start_us: one.values for one in told}.items() <= by_calculator(bars).items()
    assert indicators.take([bars[699]])[0].values == by_calculator(bars)[bars[699].start_us]


def test_a_revised_bar_that_the_history_does_not_reach_back_for_is_left_out():
    indicators, bars = closed_and_revised()
    before = indicators.state().closed
    assert indicators.recall(Past(bars[650 - DEFAULT.history_bars + 1 : 699], complete=False)) == []
    assert (indicators.revised, indicators.stale, indicators.state().closed) == ([], 1, before)


def test_many_revised_bars_are_bounded_and_all_of_history_counts(monkeypatch):
    monkeypatch.setattr(late, "REVISED_MAX", 64)
    bars = [replace(bar, last_event_time_us=bar.end_us - 1) for bar in walk(400)]
    again = [replace(bar, trade_count=2, revision=1, close=bar.low) for bar in bars[:300]]
    indicators = live()
    indicators.take(bars)
    indicators.take(again)
    assert indicators.revised == again[:64]
    told = indicators.recall(Past([*again, *bars[300:399]], complete=True))
    assert {one.start_us: one.values for one in told} == by_calculator([*again, *bars[300:]])


def test_history_fills_the_hole_between_a_bar_of_long_ago_and_those_of_now():
    bars = [replace(bar, last_event_time_us=bar.end_us - 1) for bar in walk(700)]
    revision = replace(bars[600], trade_count=2, revision=1, close=bars[600].high)
    arriving = [revision, *bars[690:]]
    indicators = live()
    assert indicators.warm(Past(bars, complete=True), arriving, NOW_US)
    told = indicators.take(arriving)
    right = by_calculator([*bars[:600], revision, *bars[601:]])
    assert {one.start_us: one.values for one in told} == {bar.start_us: right[bar.start_us] for bar in bars[600:]}


def test_a_past_bar_that_was_never_final_counts_as_it_stands():
    bars = walk(100)
    indicators = live()
    past = Past([*bars[:50], replace(bars[50], final=False), *bars[51:]], complete=True)
    assert indicators.warm(past, [bars[99]], NOW_US)
    assert indicators.take([bars[99]])[0].values == by_calculator(bars)[bars[99].start_us]


def test_no_history_is_an_answer_for_a_new_symbol():
    bar = price_bar(0, 10.0)
    assert live().warm(Past([], complete=True), [bar], bar.last_received_time_us + 1_000_000)


def test_a_state_of_other_parameters_is_refused():
    indicators = live()
    indicators.take([replace(bar, last_event_time_us=bar.end_us - 1) for bar in walk(5)])
    with pytest.raises(IndicatorStateError):
        live(SHORT).restore(indicators.state())


def test_the_state_stays_small():
    indicators = live()
    for bar in walk(500):
        indicators.take([replace(bar, last_event_time_us=bar.end_us - 1)])
    assert len(indicators.state().closed or b"") < 3_000
    assert all(isinstance(bar, Bar) for bar in indicators.waiting)


def test_a_bar_of_which_everything_was_cancelled_is_as_if_it_had_never_been():
    bars = [replace(bar, final=False) for bar in walk(30)]
    one = live()
    told = one.take(bars)
    void = replace(bars[20], trade_count=0, cancelled=bars[20].trade_count)
    again = one.take([void])
    assert [each.start_us for each in again] == [bar.start_us for bar in bars[21:]]
    without = live()
    wanted = last_words(without.take(bars[:20] + bars[21:]))
    said = last_words([each for each in told if each.start_us != void.start_us] + again)
    assert said == wanted
    assert live().take([void]) == []

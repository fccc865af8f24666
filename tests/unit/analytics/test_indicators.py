"""One calculator: hand-worked values, bars told twice or too late, sessions, and what is kept over a restart."""

from dataclasses import replace
from math import log, sqrt

import pytest

from indicator_cases import DEFAULT, MINUTE_US, OneSession, price_bar, walk
from marketstream.analytics.indicator_state import IndicatorStateError
from marketstream.analytics.indicators import IndicatorCalculator, StaleBarError
from marketstream.analytics.parameters import IndicatorParameters
from marketstream.analytics.sessions import Session, UtcDays

SHORT = IndicatorParameters(
    sma=(3,),
    ema=(2, 3),
    rsi=2,
    macd_fast=2,
    macd_slow=3,
    macd_signal=2,
    bollinger=2,
    vwap=2,
    atr=2,
    volume_ratio=2,
    volatility=2,
)
FOUR = (
    price_bar(0, (10, 10, 10, 10), 2, vwap=10.0),
    price_bar(1, (10, 13, 9, 12), 4, vwap=11.0),
    price_bar(2, (12, 12, 11, 11), 6, vwap=11.5),
    price_bar(3, (14, 15, 13, 14), 3, vwap=14.0),
)


def calculator(parameters: IndicatorParameters = SHORT) -> IndicatorCalculator:
    return IndicatorCalculator(parameters, UtcDays())


def test_worked_by_hand() -> None:
    one = calculator()
    first, second, third, fourth = (one.close(bar) for bar in FOUR)
    assert first == {"vwap_session": 10}
    assert second == pytest.approx(
        {
            "ema_2": 11,
            **{"bollinger_upper": 13, "bollinger_middle": 11, "bollinger_lower": 9},
            "vwap": (2 * 10 + 4 * 11) / 6,
            "vwap_session": (2 * 10 + 4 * 11) / 6,
        }
    )
    assert third == pytest.approx(
        {
            **{"sma_3": 11, "ema_2": 11, "ema_3": 11, "rsi_2": 100 * 1 / 1.5, "atr_2": (4 + 1) / 2},
            **{"bollinger_upper": 12.5, "bollinger_middle": 11.5, "bollinger_lower": 10.5},
            "vwap": (4 * 11 + 6 * 11.5) / 10,
            "vwap_session": (2 * 10 + 4 * 11 + 6 * 11.5) / 12,
            "volume_ratio": 6 / 3,
            "volatility": (log(12 / 10) - log(11 / 12)) / sqrt(2),
        }
    )
    fast, slow = 11.5 + (14 - 11.5) * 2 / 3, 12.5
    signal = (0.5 + fast - slow) / 2
    assert fourth == pytest.approx(
        {
            **{"sma_3": 37 / 3, "ema_2": 13, "ema_3": 12.5, "rsi_2": 100 * 2 / 2.25, "atr_2": (2.5 + 4) / 2},
            **{"macd": fast - slow, "macd_signal": signal, "macd_histogram": fast - slow - signal},
            **{"bollinger_upper": 15.5, "bollinger_middle": 12.5, "bollinger_lower": 9.5},
            "vwap": (6 * 11.5 + 3 * 14) / 9,
            "vwap_session": (2 * 10 + 4 * 11 + 6 * 11.5 + 3 * 14) / 15,
            "volume_ratio": 3 / 5,
            "volatility": (log(14 / 11) - log(11 / 12)) / sqrt(2),
        }
    )
    assert set(fourth) == set(SHORT.names)


def test_without_a_vwap_the_typical_price_counts() -> None:
    bar = price_bar(0, (10, 13, 8, 12), 2, vwap=None, provider="polygon")
    assert calculator().close(bar)["vwap_session"] == (13 + 8 + 12) / 3


def test_where_nothing_was_traded_averages_by_volume_are_absent() -> None:
    one = calculator()
    values = [one.close(price_bar(at, 10, volume)) for at, volume in enumerate((0.0, 0.0, 5.0, 5.0))]
    assert ["vwap" in each for each in values] == [False, False, True, True]
    assert ["vwap_session" in each for each in values] == [False, False, True, True]
    assert ["volume_ratio" in each for each in values] == [False, False, False, True]


def test_a_price_below_zero_has_no_return_until_it_left_the_window() -> None:
    one = calculator()
    values = [one.close(price_bar(at, price)) for at, price in enumerate((10.0, -37.0, 10.0, 11.0, 12.0))]
    assert ["volatility" in each for each in values] == [False, False, False, False, True]
    assert all("sma_3" in each for each in values[2:])


def test_what_overflows_is_absent() -> None:
    one = calculator()
    values = [one.close(price_bar(at, 1.5e308, vwap=1.0)) for at in range(5)][-1]
    assert "sma_3" not in values
    assert values["vwap"] == 1


def test_an_older_bar_is_refused_and_changes_nothing() -> None:
    one = calculator()
    one.warm(FOUR[:3])
    state = one.state()
    for older in (FOUR[1], replace(FOUR[2], final=False), replace(FOUR[2], trade_count=0, provider="polygon")):
        with pytest.raises(StaleBarError, match=f"older than the one from {FOUR[2].start_us}"):
            one.preview(older)
    with pytest.raises(StaleBarError):
        one.close(FOUR[1])
    assert one.state() == state
    with pytest.raises(ValueError, match="only a final bar closes"):
        one.close(replace(FOUR[3], final=False))
    assert one.state() == state


def test_a_bar_told_twice_counts_once() -> None:
    one, other = calculator(), calculator()
    for bar in FOUR:
        assert one.close(bar) == one.close(bar) == other.close(bar)
    assert one.state() == other.state()
    assert one.count == 4


@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_revised_bar_takes_the_place_of_the_first(count: int) -> None:
    """So does what is still provisional of it, which is previewed in its place."""
    *past, last = FOUR[:count]
    wrong = replace(last, close=last.low, volume=99.0, trade_count=1)
    reopened = replace(last, trade_count=2, final=False)
    revised = replace(last, trade_count=2, revision=1)
    one, other = calculator(), calculator()
    one.warm([*past, wrong])
    other.warm(past)
    assert one.preview(reopened) == other.preview(reopened)
    assert one.close(revised) == other.close(revised)
    assert one.state() == other.state()
    with pytest.raises(StaleBarError):
        one.close(wrong)


def test_a_session_not_seen_from_its_open_has_no_vwap() -> None:
    session = OneSession(Session(10 * MINUTE_US, 20 * MINUTE_US))
    late, warned, from_before, at_open = (IndicatorCalculator(SHORT, session) for _ in range(4))
    assert "vwap_session" not in late.close(price_bar(11, 50.0))
    assert "vwap_session" not in late.close(price_bar(12, 50.0))
    warned.warm([], complete_since_us=10 * MINUTE_US)
    assert warned.close(price_bar(11, 50.0))["vwap_session"] == 50
    assert "vwap_session" not in from_before.close(price_bar(3, 50.0))
    assert from_before.close(price_bar(11, 60.0))["vwap_session"] == 60
    assert at_open.close(price_bar(10, 60.0))["vwap_session"] == 60


def test_what_is_known_to_be_complete_stays_known_when_a_bar_is_revised() -> None:
    one = IndicatorCalculator(SHORT, OneSession(Session(10 * MINUTE_US, 20 * MINUTE_US)))
    one.close(price_bar(11, 50.0))
    one.close(price_bar(12, 60.0))
    one.warm([], complete_since_us=10 * MINUTE_US)
    assert one.preview(price_bar(13, 70.0))["vwap_session"] == 60
    assert one.close(price_bar(12, 70.0, revision=1))["vwap_session"] == 60
    assert one.close(price_bar(13, 60.0))["vwap_session"] == 60


def test_moving_averages_may_be_left_out() -> None:
    one = calculator(replace(SHORT, sma=(), ema=()))
    one.warm(FOUR)
    assert {name.split("_")[0] for name in one.close(FOUR[3])} == {
        *("rsi", "macd", "bollinger", "vwap", "atr", "volume", "volatility")
    }


def test_the_sessions_vwap_counts_its_own_bars_only() -> None:
    one = IndicatorCalculator(SHORT, OneSession(Session(10 * MINUTE_US, 20 * MINUTE_US)))
    told = {at: one.close(price_bar(at, 10.0 * at)).get("vwap_session") for at in (8, 9, 10, 12, 19, 20, 21)}
    assert told == {8: None, 9: None, 10: 100, 12: 110, 19: pytest.approx(410 / 3), 20: None, 21: None}


def test_each_utc_day_has_a_vwap_of_its_own() -> None:
    one = calculator()
    one.warm([price_bar(0, 5.0)])
    told = [one.close(price_bar(at, float(at)))["vwap_session"] for at in (1, 1440, 1442)]
    assert told == [3, 1440, 1441]


@pytest.mark.parametrize("session", [(30, 90), (15, 120), (0, 50)])
def test_bars_that_do_not_fit_the_session_have_no_vwap(session: tuple[int, int]) -> None:
    """An hourly bar over an open at half past holds what was traded before; no later bar makes up for it."""
    open_us, close_us = (minute * MINUTE_US for minute in session)
    one = IndicatorCalculator(SHORT, OneSession(Session(open_us, close_us)))
    hours = [price_bar(60 * at, 10.0, end_us=60 * (at + 1) * MINUTE_US, interval="1h") for at in range(3)]
    assert ["vwap_session" in one.close(bar) for bar in hours] == [False, False, False]


def test_provisional_history_is_left_out() -> None:
    one, other = calculator(), calculator()
    one.warm([*FOUR[:3], replace(FOUR[3], final=False)])
    other.warm(FOUR[:3])
    assert one.state() == other.state()


def test_a_long_enough_history_is_as_good_as_having_been_there() -> None:
    bars = walk(1_500, seed=6)
    there, warmed = calculator(DEFAULT), calculator(DEFAULT)
    there.warm(bars[:-1])
    warmed.warm(bars[-1 - DEFAULT.history_bars : -1])
    wanted = dict(there.preview(bars[-1]))
    assert warmed.preview(bars[-1]) == pytest.approx(wanted, rel=1e-8)


def test_a_state_of_other_parameters_or_cut_off_is_refused() -> None:
    one, other = calculator(), calculator(replace(SHORT, rsi=3))
    one.warm(FOUR)
    state, kept = one.state(), other.state()
    with pytest.raises(IndicatorStateError, match="other parameters"):
        other.restore(state)
    assert other.state() == kept
    for broken in (b"", state[:-1], state[:-8], b"\x09" + state[1:]):
        with pytest.raises(IndicatorStateError, match="warm from history"):
            one.restore(broken)
    assert one.state() == state


def test_a_state_is_small_and_the_same_everywhere() -> None:
    one = calculator(DEFAULT)
    assert len(one.state()) < 400
    one.warm(walk(300))
    assert len(one.state()) < 2_500
    short = calculator()
    short.warm(FOUR[:1])
    assert short.state()[9:17] == (1).to_bytes(8, "little")


def test_the_newest_bar_taken_back_is_as_if_it_had_never_been():
    bars = walk(300)
    one, other = calculator(DEFAULT), calculator(DEFAULT)
    one.warm(bars[:250])
    one.drop_newest()
    other.warm(bars[:249])
    assert one.preview(bars[250]) == other.preview(bars[250])
    assert [one.close(bar) for bar in bars[250:]] == [other.close(bar) for bar in bars[250:]]
    assert one.state() == other.state()


def test_only_one_bar_can_be_taken_back():
    one = calculator(DEFAULT)
    with pytest.raises(ValueError, match="taken back"):
        one.drop_newest()
    one.warm(walk(3))
    one.drop_newest()
    with pytest.raises(ValueError, match="taken back"):
        one.drop_newest()

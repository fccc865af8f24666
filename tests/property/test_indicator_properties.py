"""Indicators over any bars: how they were fed, kept and restored makes no difference to the last bit."""

from dataclasses import replace
from math import isfinite

from hypothesis import given, settings
from hypothesis import strategies as st

from indicator_cases import MINUTE_US, price_bar
from marketstream.analytics.indicators import IndicatorCalculator
from marketstream.analytics.parameters import IndicatorParameters
from marketstream.analytics.sessions import Session, UtcDays
from marketstream.domain.market import Bar

SHORT = IndicatorParameters(
    sma=(3, 1),
    ema=(2, 5),
    rsi=3,
    macd_fast=2,
    macd_slow=4,
    macd_signal=2,
    bollinger=4,
    vwap=2,
    atr=3,
    volume_ratio=2,
    volatility=3,
)
PRICE_VALUED = ("sma", "ema", "macd", "bollinger", "vwap", "atr")
prices = st.floats(0.01, 1e6) | st.sampled_from((10.0, 10.5, 11.0))
volumes = st.floats(1e-8, 1e9) | st.sampled_from((0.0, 1.0))


class Hours:
    """A market that is open for the last three quarters of each ten minutes."""

    def session_of(self, time_us: int) -> Session | None:
        start = time_us - time_us % (10 * MINUTE_US)
        session = Session(start + 2 * MINUTE_US, start + 10 * MINUTE_US)
        return session if time_us >= session.open_us else None


@st.composite
def one_bar(draw: st.DrawFn, minute: int) -> Bar:
    low, opened, close, vwap, high = sorted(draw(st.tuples(*[prices] * 5)))
    opened, close = draw(st.permutations((opened, close)))
    made_here = draw(st.booleans())
    known = {"vwap": vwap} if made_here else {"vwap": None, "provider": "polygon"}
    return price_bar(minute, (opened, high, low, close), draw(volumes), **known)


@st.composite
def bar_series(draw: st.DrawFn, least: int = 1) -> list[Bar]:
    gaps = draw(st.lists(st.sampled_from((1, 1, 2, 7)), min_size=least, max_size=25))
    return [draw(one_bar(sum(gaps[: at + 1]))) for at in range(len(gaps))]


def calculator(parameters: IndicatorParameters = SHORT) -> IndicatorCalculator:
    return IndicatorCalculator(parameters, Hours())


def closed(bars: list[Bar]) -> list[dict[str, float]]:
    one = calculator()
    return [dict(one.close(bar)) for bar in bars]


@given(bars=bar_series(), data=st.data())
def test_a_preview_never_changes_what_close_gives(bars: list[Bar], data: st.DataObject) -> None:
    one, wanted = calculator(), closed(bars)
    for bar, values in zip(bars, wanted, strict=True):
        for _ in range(data.draw(st.integers(0, 2))):
            partial = data.draw(one_bar(bar.start_us // MINUTE_US))
            one.preview(replace(partial, final=False))
        assert one.preview(bar) == values
        assert one.close(bar) == values
        one.preview(replace(bar, revision=10**18))


@given(bars=bar_series(least=2), data=st.data())
def test_a_restart_anywhere_changes_nothing(bars: list[Bar], data: st.DataObject) -> None:
    """Nor does it forget how the newest bar is done again."""
    at = data.draw(st.integers(0, len(bars) - 1))
    one, other = calculator(), calculator()
    one.warm(bars[:at])
    other.warm(bars[at:])
    other.restore(one.state())
    if at and data.draw(st.booleans()):
        again = data.draw(one_bar(bars[at - 1].start_us // MINUTE_US))
        again = replace(again, provider=None, vwap=again.close, trade_count=9)
        assert other.preview(again) == one.preview(again)
        assert other.close(again) == one.close(again)
    assert [other.close(bar) for bar in bars[at:]] == [one.close(bar) for bar in bars[at:]]
    assert other.state() == one.state()


@given(bars=bar_series(), data=st.data())
def test_history_and_stream_may_meet_anywhere(bars: list[Bar], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(bars)))
    one = calculator()
    one.warm(bars[:at])
    assert [one.close(bar) for bar in bars[at:]] == closed(bars)[at:]


@given(bars=bar_series(), data=st.data())
def test_only_the_last_revision_of_each_bar_counts(bars: list[Bar], data: st.DataObject) -> None:
    one = calculator()
    for bar, values in zip(bars, closed(bars), strict=True):
        for revision in range(data.draw(st.integers(0, 2))):
            wrong = data.draw(one_bar(bar.start_us // MINUTE_US))
            one.close(replace(wrong, provider="polygon", revision=revision))
        assert one.close(replace(bar, revision=5)) == values


@given(bars=bar_series(), exponent=st.integers(-20, 20))
def test_prices_in_another_unit_change_only_what_is_a_price(bars: list[Bar], exponent: int) -> None:
    """Powers of two, with which doubles are multiplied exactly."""
    scale = 2.0**exponent
    scaled = [
        replace(
            bar,
            **{name: getattr(bar, name) * scale for name in ("open", "high", "low", "close")},
            vwap=bar.vwap and bar.vwap * scale,
        )
        for bar in bars
    ]
    wanted = [
        {name: value * scale if name.startswith(PRICE_VALUED) else value for name, value in values.items()}
        for values in closed(bars)
    ]
    assert closed(scaled) == wanted


@given(bars=bar_series(), exponent=st.integers(-20, 20))
def test_volumes_in_another_unit_change_nothing(bars: list[Bar], exponent: int) -> None:
    assert closed([replace(bar, volume=bar.volume * 2.0**exponent) for bar in bars]) == closed(bars)


@settings(max_examples=50)
@given(bars=bar_series(least=10))
def test_values_stay_where_they_must(bars: list[Bar]) -> None:
    for at, values in enumerate(closed(bars)):
        window = bars[max(0, at - 1) : at + 1]
        assert set(values) <= set(SHORT.names)
        assert all(map(isfinite, values.values()))
        assert 0 <= values.get("rsi_3", 50) <= 100
        assert values.get("atr_3", 0) >= 0 <= values.get("volatility", 0)
        if "vwap" in values:
            slack = 1e-12 * values["vwap"]
            assert min(bar.low for bar in window) - slack <= values["vwap"] <= max(bar.high for bar in window) + slack
        if "bollinger_upper" in values:
            assert values["bollinger_lower"] <= values["bollinger_middle"] <= values["bollinger_upper"]


@given(bars=bar_series(), parameters=st.sampled_from((IndicatorParameters(), SHORT)))
def test_a_state_is_as_long_as_it_must_be(bars: list[Bar], parameters: IndicatorParameters) -> None:
    one = IndicatorCalculator(parameters, UtcDays())
    one.warm(bars)
    other = IndicatorCalculator(parameters, UtcDays())
    other.restore(one.state())
    assert (other.count, other.state()) == (len(bars), one.state())

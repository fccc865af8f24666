"""The indicators of a bar carry its version."""

from dataclasses import replace

import pytest

from indicator_cases import price_bar
from marketstream.domain.indicators import Indicators

BAR = price_bar(7, (10, 12, 9, 11), trade_count=5, revision=1)


@pytest.mark.parametrize("bar", [BAR, replace(BAR, final=False), replace(BAR, provider="polygon", revision=99)])
def test_everything_that_says_which_bar_it_was_is_copied(bar) -> None:
    indicators = Indicators.of(bar, {"sma_20": 10.5})
    assert indicators.values == {"sma_20": 10.5}
    assert indicators.version == bar.version
    for name in set(Indicators.__slots__) - {"values"}:
        assert getattr(indicators, name) == getattr(bar, name)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_value_that_is_not_finite_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="not finite"):
        Indicators.of(BAR, {"rsi_14": value})


@pytest.mark.parametrize("name", ["start_us", "trade_count", "revision"])
def test_an_integer_no_store_can_hold_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="64 bits"):
        replace(Indicators.of(BAR, {}), **{name: 2**63})

"""Periods of the indicators: which are refused, and what follows from them."""

import pytest

from marketstream.analytics.parameters import IndicatorParameters
from marketstream.settings import IndicatorSettings


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"sma": (20, 0)}, "sma needs different periods"),
        ({"ema": (12, 12)}, "ema needs different periods"),
        ({"atr": 0}, "atr must be at least 1"),
        ({"vwap": -5}, "vwap must be at least 1"),
        ({"volatility": 1}, "volatility must be at least 2"),
        ({"macd_fast": 26}, "macd_fast must be below macd_slow"),
        ({"bollinger_deviations": 0.0}, "bollinger_deviations"),
        ({"bollinger_deviations": float("nan")}, "bollinger_deviations"),
    ],
)
def test_impossible_periods_are_refused(wrong: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        IndicatorParameters(**wrong)


def test_the_settings_are_the_parameters() -> None:
    made = IndicatorParameters(**IndicatorSettings().model_dump())
    assert made == IndicatorParameters()
    assert made.fingerprint == IndicatorParameters().fingerprint
    changed = IndicatorSettings(sma="7,9", ema=",", rsi=5)
    assert IndicatorParameters(**changed.model_dump()) == IndicatorParameters(sma=(7, 9), ema=(), rsi=5)


def test_names_follow_the_periods() -> None:
    assert IndicatorParameters().names == (
        *("sma_20", "sma_50", "sma_200", "ema_12", "ema_20", "ema_26", "ema_50", "rsi_14"),
        *("macd", "macd_signal", "macd_histogram", "bollinger_upper", "bollinger_middle", "bollinger_lower"),
        *("vwap", "vwap_session", "atr_14", "volume_ratio", "volatility"),
    )
    assert {"sma_7", "rsi_9", "atr_5"} < set(IndicatorParameters(sma=(7,), rsi=9, atr=5).names)


def test_the_history_covers_windows_and_what_averages_remember() -> None:
    """An EMA of 50 forgets to 1e-9 in 518 bars after its seed: (49 / 51) ** 518 = 1e-9."""
    assert IndicatorParameters().history_bars == 50 + 519
    assert IndicatorParameters(ema=(), sma=(5_000,)).history_bars == 5_000


def test_every_parameter_is_in_the_fingerprint() -> None:
    others = [{"sma": (20,)}, {"rsi": 13}, {"macd_fast": 11}, {"bollinger_deviations": 2.5}, {"volatility": 21}]
    prints = {IndicatorParameters(**other).fingerprint for other in [{}, *others]}
    assert len(prints) == 6
    assert IndicatorParameters().fingerprint in prints

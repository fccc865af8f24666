"""How many bars each indicator looks at."""

from dataclasses import astuple, dataclass
from functools import lru_cache
from hashlib import blake2b
from math import ceil, log

# What came before counts for less than this part of a recursive indicator's value.
_FORGOTTEN = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class IndicatorParameters:
    """Periods, in bars that exist: a span without a trade has no bar and counts for nothing.

    Attributes:
        sma: Simple moving averages of the close, each told as `sma_<period>`.
        ema: Exponential moving averages of the close, each told as `ema_<period>`.
        rsi: Wilder's relative strength index, told as `rsi_<period>`.
        macd_fast: Period of the faster of MACD's two averages.
        macd_slow: Period of the slower one.
        macd_signal: Period of the average of their difference.
        bollinger: Period of the Bollinger bands.
        bollinger_deviations: How many population standard deviations the bands are away from their middle.
        vwap: Bars of the rolling volume-weighted average price.
        atr: Wilder's average true range, told as `atr_<period>`.
        volume_ratio: The bar's volume is divided by the mean volume of that many bars before it.
        volatility: Number of log returns whose sample standard deviation is told: per bar, not annualised.

    Raises:
        ValueError: A period is too short, one is named twice, or MACD's fast period is not below its slow one.
    """

    sma: tuple[int, ...] = (20, 50, 200)
    ema: tuple[int, ...] = (12, 20, 26, 50)
    rsi: int = 14
    macd_fast: int = 12
    macd_slow: int = 26
    macd_signal: int = 9
    bollinger: int = 20
    bollinger_deviations: float = 2.0
    vwap: int = 20
    atr: int = 14
    volume_ratio: int = 20
    volatility: int = 20

    def __post_init__(self) -> None:
        for name in ("sma", "ema"):
            periods = getattr(self, name)
            if len(set(periods)) < len(periods) or any(period < 1 for period in periods):
                raise ValueError(f"{name} needs different periods of at least 1, such as 20, 50, 200")
        for name in ("macd_fast", "macd_signal", "vwap", "atr", "volume_ratio"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1")
        for name in ("rsi", "bollinger", "volatility"):
            if getattr(self, name) < 2:
                raise ValueError(f"{name} must be at least 2: one bar has no spread")
        if self.macd_fast >= self.macd_slow:
            raise ValueError("macd_fast must be below macd_slow, such as 12 and 26")
        if not 0 < self.bollinger_deviations < float("inf"):
            raise ValueError("bollinger_deviations must be above 0, such as 2")

    @property
    def names(self) -> tuple[str, ...]:
        """Every name a value may have, in the order in which people read them."""
        return (
            *(f"sma_{period}" for period in self.sma),
            *(f"ema_{period}" for period in self.ema),
            f"rsi_{self.rsi}",
            *("macd", "macd_signal", "macd_histogram"),
            *("bollinger_upper", "bollinger_middle", "bollinger_lower"),
            *("vwap", "vwap_session"),
            f"atr_{self.atr}",
            *("volume_ratio", "volatility"),
        )

    @property
    def seeded(self) -> frozenset[str]:
        """Names of the values that go on from the very first bar: other ones where it is not known, and not absent."""
        averages = (*(f"ema_{period}" for period in self.ema), f"rsi_{self.rsi}", f"atr_{self.atr}")
        return frozenset((*averages, "macd", "macd_signal", "macd_histogram"))

    @property
    def history_bars(self) -> int:
        """How many past bars to warm with so that a restart is not seen in any value to 1e-9.

        EMA, RSI, MACD and ATR never quite forget where they began; after that many bars it counts for less than that.
        The session's VWAP needs its session besides, from its open on.
        """
        windows = (*self.sma, self.bollinger, self.vwap, self.volume_ratio + 1, self.volatility + 1)
        recursive = [period + _memory(2 / (period + 1)) for period in self.ema]
        recursive += [period + 1 + _memory(1 / period) for period in (self.rsi, self.atr)]
        recursive.append(sum(period + _memory(2 / (period + 1)) for period in (self.macd_slow, self.macd_signal)))
        return max(*windows, *recursive)

    @property
    def fingerprint(self) -> bytes:
        """Eight bytes that differ between different parameters; a calculator's state is only of use with its own."""
        return _fingerprint(self)


@lru_cache(maxsize=16)
def _fingerprint(parameters: IndicatorParameters) -> bytes:
    return blake2b(repr(astuple(parameters)).encode(), digest_size=8).digest()


def _memory(weight: float) -> int:
    """Number of steps of an exponential average after which its start is forgotten."""
    return 0 if weight >= 1 else ceil(log(_FORGOTTEN) / log(1 - weight))

"""Indicators over the last so many bars: SMA, Bollinger bands, rolling VWAP, volume ratio and volatility.

What the bars before the newest contribute is prepared once, when they close, so that a provisional bar costs the same
for a window of 20 or 200. It is summed anew each time: a running sum would drift over a million bars.
"""

from array import array
from itertools import accumulate
from math import log, log1p, nan, sqrt
from typing import Protocol

from marketstream.analytics.parameters import IndicatorParameters
from marketstream.analytics.recursive import SMALLEST, Before, Numbers, notional_of
from marketstream.domain.market import Bar


class History:
    """The newest closed bars, as far back as the longest window looks.

    Attributes:
        closes: Closes, the newest last, like the others.
        volumes: Volumes.
        notionals: Price times volume.
        returns: Log returns; not a number for the first bar and where a price is not above zero.
    """

    __slots__ = ("_limits", "closes", "notionals", "returns", "volumes")

    def __init__(self, parameters: IndicatorParameters) -> None:
        self._limits = (
            max((*parameters.sma, parameters.bollinger)),
            max(parameters.volume_ratio + 1, parameters.vwap),
            parameters.vwap,
            parameters.volatility,
        )
        self.closes, self.volumes, self.notionals, self.returns = (array("d") for _ in self._limits)

    @property
    def columns(self) -> tuple["array[float]", ...]:
        """All that is kept."""
        return self.closes, self.volumes, self.notionals, self.returns

    def size(self, count: int) -> int:
        """How many numbers there are after `count` bars."""
        return sum(min(count, limit) for limit in self._limits)

    def load(self, count: int, numbers: "array[float]") -> None:
        """Takes the columns of a history of `count` bars, one after the other, in place of its own."""
        ends = list(accumulate(min(count, limit) for limit in self._limits))
        begins = (0, *ends[:-1])
        self.closes, self.volumes, self.notionals, self.returns = (
            numbers[begin:end] for begin, end in zip(begins, ends, strict=True)
        )

    def append(self, bar: Bar, previous_close: float) -> None:
        """Adds a bar that closed, and forgets what no window reaches."""
        row = (bar.close, bar.volume, notional_of(bar), log_return(previous_close, bar.close))
        for column, number, limit in zip(self.columns, row, self._limits, strict=True):
            column.append(number)
            if len(column) > limit:
                del column[0]

    def drop_newest(self) -> tuple[float, ...]:
        """Takes the newest bar back, and gives what `put_back` needs to have it again."""
        return tuple(column.pop() for column in self.columns)

    def put_back(self, row: tuple[float, ...]) -> None:
        """Undoes `drop_newest`."""
        for column, number in zip(self.columns, row, strict=True):
            column.append(number)


class Windowed(Protocol):
    """An indicator that needs the bars before this one."""

    def prepare(self, history: History) -> Numbers:
        """What the closed bars contribute to the next one's values; empty while they are too few."""

    def tell(self, prepared: Numbers, before: Before, bar: Bar, values: dict[str, float]) -> None:
        """Writes into `values` what is defined at `bar`; `prepared` is not empty."""


class Smas:
    """Simple moving averages of the close."""

    def __init__(self, periods: tuple[int, ...]) -> None:
        self._averages = tuple((f"sma_{period}", period) for period in sorted(periods))

    def prepare(self, history: History) -> Numbers:
        """Sums of the last period - 1 closes, each built on the shorter one's."""
        closes = history.closes
        total, end = 0.0, len(closes)
        sums = []
        for _, period in self._averages:
            begin = len(closes) + 1 - period
            if begin < 0:
                break
            total += sum(closes[begin:end])
            end = begin
            sums.append(total)
        return tuple(sums)

    def tell(self, prepared: Numbers, before: Before, bar: Bar, values: dict[str, float]) -> None:
        """As many averages as there are sums."""
        close = bar.close
        for (name, period), total in zip(self._averages, prepared, strict=False):
            values[name] = (total + close) / period


class Bollinger:
    """Bollinger bands: a simple moving average, and population standard deviations above and below it."""

    def __init__(self, period: int, deviations: float) -> None:
        self._period, self._deviations = period, deviations

    def prepare(self, history: History) -> Numbers:
        """The moments of the last period - 1 closes."""
        return _moments(history.closes, self._period - 1)

    def tell(self, prepared: Numbers, before: Before, bar: Bar, values: dict[str, float]) -> None:
        """The three bands."""
        mean, squares = _with(prepared, bar.close, self._period)
        away = self._deviations * sqrt(squares / self._period)
        values["bollinger_upper"] = mean + away
        values["bollinger_middle"] = mean
        values["bollinger_lower"] = mean - away


class Volatility:
    """Sample standard deviation of the log returns of the closes: per bar, not annualised."""

    def __init__(self, period: int) -> None:
        self._period = period

    def prepare(self, history: History) -> Numbers:
        """The moments of the last period - 1 returns."""
        return _moments(history.returns, self._period - 1)

    def tell(self, prepared: Numbers, before: Before, bar: Bar, values: dict[str, float]) -> None:
        """Absent where a return is undefined."""
        _, squares = _with(prepared, log_return(before.close, bar.close), self._period)
        if squares >= 0:
            values["volatility"] = sqrt(squares / (self._period - 1))


class RollingVwap:
    """Volume-weighted average price of the last bars; absent where nothing was traded in them."""

    def __init__(self, period: int) -> None:
        self._before = period - 1

    def prepare(self, history: History) -> Numbers:
        """Notional and volume of the last period - 1 bars."""
        begin = len(history.notionals) - self._before
        if begin < 0:
            return ()
        return sum(history.notionals[begin:]), sum(history.volumes[len(history.volumes) - self._before :])

    def tell(self, prepared: Numbers, before: Before, bar: Bar, values: dict[str, float]) -> None:
        """Notional by volume."""
        volume = prepared[1] + bar.volume
        if volume > SMALLEST:
            values["vwap"] = (prepared[0] + notional_of(bar)) / volume


class VolumeRatio:
    """The bar's volume by the mean volume of the bars before it; absent where nothing was traded in those."""

    def __init__(self, period: int) -> None:
        self._period = period

    def prepare(self, history: History) -> Numbers:
        """The mean volume of the last period bars."""
        volumes = history.volumes
        return (sum(volumes[-self._period :]) / self._period,) if len(volumes) >= self._period else ()

    def tell(self, prepared: Numbers, before: Before, bar: Bar, values: dict[str, float]) -> None:
        """Volume by mean volume."""
        if prepared[0] > SMALLEST:
            values["volume_ratio"] = bar.volume / prepared[0]


def log_return(previous: float, close: float) -> float:
    """ln(close / previous), exact to the last digits for small changes too; not a number where one is not above 0."""
    if not (previous > 0 and close > 0):
        return nan
    return log1p((close - previous) / previous) if close > previous / 2 else log(close / previous)


def _moments(numbers: "array[float]", count: int) -> Numbers:
    """A centre of the last `count` numbers, and the sums of the distances from it and of their squares.

    Squares of distances, not of the numbers themselves: those would lose a small spread of high prices.
    """
    if len(numbers) < count:
        return ()
    last = numbers[len(numbers) - count :]
    centre = sum(last) / count
    distances = [number - centre for number in last]
    return centre, sum(distances), sum([distance * distance for distance in distances])


def _with(moments: Numbers, number: float, count: int) -> tuple[float, float]:
    """Mean, and sum of the squared distances from it, of `count` numbers: those of `moments` and one more."""
    centre, total, squares = moments
    distance = number - centre
    shift = (total + distance) / count
    left = squares + distance * distance - shift * shift * count
    return centre + shift, 0.0 if left < 0 else left

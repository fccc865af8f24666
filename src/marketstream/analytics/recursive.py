"""Indicators that carry a few numbers from bar to bar: EMA, RSI, MACD, ATR and the session's VWAP.

Each has `start`, its numbers before the first bar, and `step`, which gives its numbers after a bar and writes the bar's
values. Seeds and unstable periods are TA-Lib's: an average begins as the plain mean of its first period.
"""

from dataclasses import dataclass
from math import inf, nan
from typing import Protocol

from marketstream.analytics.sessions import Sessions
from marketstream.domain.market import Bar

Numbers = tuple[float, ...]
# Below, doubles lose digits: a quotient of such numbers is undefined rather than wrong.
SMALLEST = 1e-290


@dataclass(slots=True)
class Before:
    """What is known before a bar.

    Attributes:
        count: How many bars there were.
        close: The close of the last of them; not a number where there is none.
        carried: The numbers of every recursive indicator.
        prepared: The numbers of every windowed indicator.
    """

    count: int
    close: float
    carried: tuple[Numbers, ...]
    prepared: tuple[Numbers, ...]


class Recursive(Protocol):
    """An indicator that needs only its own numbers and the bar."""

    start: Numbers

    def step(self, numbers: Numbers, before: Before, bar: Bar, values: dict[str, float]) -> Numbers:
        """The numbers after `bar`; writes into `values` what is defined there. Changes nothing else."""


class Emas:
    """Exponential moving averages of the close, weight 2 / (period + 1)."""

    def __init__(self, periods: tuple[int, ...]) -> None:
        self._averages = tuple((f"ema_{period}", period, 2 / (period + 1)) for period in periods)
        self.start: Numbers = (0.0,) * len(periods)

    def step(self, numbers: Numbers, before: Before, bar: Bar, values: dict[str, float]) -> Numbers:
        """While an average has too few bars, its number is the sum of the closes so far."""
        count, close = before.count + 1, bar.close
        after = []
        for (name, period, weight), number in zip(self._averages, numbers, strict=True):
            average = _ema_step(number, close, count - period, weight)
            if count >= period:
                average = values[name] = average if count > period else average / period
            after.append(average)
        return tuple(after)


class Rsi:
    """Relative strength index (Wilder, 1978); undefined, and absent, while the close has never changed."""

    start: Numbers = (0.0, 0.0)

    def __init__(self, period: int) -> None:
        self._name, self._period = f"rsi_{period}", period

    def step(self, numbers: Numbers, before: Before, bar: Bar, values: dict[str, float]) -> Numbers:
        """Carries the average gain and loss; their sums while there are too few bars."""
        changes, period = before.count, self._period
        if not changes:
            return numbers
        gain, loss = numbers
        change = bar.close - before.close
        if changes > period:
            gain *= period - 1
            loss *= period - 1
        if change > 0:
            gain += change
        else:
            loss -= change
        if changes >= period:
            gain /= period
            loss /= period
            if gain + loss > SMALLEST:
                values[self._name] = 100 * (gain / (gain + loss))
        return gain, loss


class Macd:
    """Moving average convergence/divergence (Appel): the difference of two EMAs, its EMA, and what lies between.

    As in TA-Lib the fast average is seeded so that both begin at the same bar, and all three values begin together.
    """

    start: Numbers = (0.0, 0.0, 0.0)

    def __init__(self, fast: int, slow: int, signal: int) -> None:
        self._fast, self._slow, self._signal = fast, slow, signal
        self._weights = (2 / (fast + 1), 2 / (slow + 1), 2 / (signal + 1))

    def step(self, numbers: Numbers, before: Before, bar: Bar, values: dict[str, float]) -> Numbers:
        """Carries the fast and the slow average and the signal; sums where there are too few bars."""
        fast, slow, signal = numbers
        fast_weight, slow_weight, signal_weight = self._weights
        past_slow = before.count + 1 - self._slow
        if past_slow > -self._fast:
            fast = _ema_step(fast, bar.close, past_slow, fast_weight)
        slow = _ema_step(slow, bar.close, past_slow, slow_weight)
        if past_slow < 0:
            return fast, slow, signal
        if past_slow == 0:
            fast, slow = fast / self._fast, slow / self._slow
        past_signal = past_slow + 1 - self._signal
        difference = fast - slow
        signal = _ema_step(signal, difference, past_signal, signal_weight)
        if past_signal == 0:
            signal /= self._signal
        if past_signal >= 0:
            values["macd"] = difference
            values["macd_signal"] = signal
            values["macd_histogram"] = difference - signal
        return fast, slow, signal


class Atr:
    """Average true range (Wilder, 1978)."""

    start: Numbers = (0.0,)

    def __init__(self, period: int) -> None:
        self._name, self._period = f"atr_{period}", period

    def step(self, numbers: Numbers, before: Before, bar: Bar, values: dict[str, float]) -> Numbers:
        """Carries the average; the sum of the true ranges while there are too few."""
        ranges, period, last = before.count, self._period, before.close
        if not ranges:
            return numbers
        true_range = max(bar.high, last) - min(bar.low, last)
        if ranges < period:
            return (numbers[0] + true_range,)
        average = numbers[0] if ranges == period else numbers[0] * (period - 1)
        values[self._name] = average = (average + true_range) / period
        return (average,)


class SessionVwap:
    """Volume-weighted average price since the session's open, over its bars.

    Absent outside sessions; on bars that don't fit between open and close, such as hourly ones where the session opens
    at half past; and in a session whose beginning was not seen.

    Args:
        sessions: The market's sessions.
    """

    start: Numbers = (nan, 0.0, 0.0, inf)

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def step(self, numbers: Numbers, before: Before, bar: Bar, values: dict[str, float]) -> Numbers:
        """Carries the session's open, its notional and volume so far, and since when every bar was seen."""
        open_us, notional, volume, seen_from_us = numbers
        start_us, end_us = bar.start_us, bar.end_us
        if start_us < seen_from_us:
            seen_from_us = float(start_us)
        session = self._sessions.session_of(start_us)
        if session is None or end_us > session.close_us or session.open_us % (end_us - start_us):
            return open_us, notional, volume, seen_from_us
        if open_us != session.open_us:
            open_us, notional, volume = float(session.open_us), 0.0, 0.0
        notional += notional_of(bar)
        volume += bar.volume
        if volume > SMALLEST and seen_from_us <= open_us:
            values["vwap_session"] = notional / volume
        return open_us, notional, volume, seen_from_us


def notional_of(bar: Bar) -> float:
    """Price times volume of a bar; by the typical price, (high + low + close) / 3, where no VWAP is told."""
    price = bar.vwap
    return ((bar.high + bar.low + bar.close) / 3 if price is None else price) * bar.volume


def _ema_step(number: float, value: float, past_seed: int, weight: float) -> float:
    """The next average, `past_seed` bars after its seed; up to the seed, the sum."""
    return number + (value - number) * weight if past_seed > 0 else number + value

"""Bars that providers make: from their numbers to a `Bar` or the reason why not, and which of an answer's are final."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isfinite

from marketstream.domain.interval import Interval
from marketstream.domain.market import Bar
from marketstream.domain.outcomes import Parsed, Reason
from marketstream.providers.faults import Source

_LARGEST = 1e15  # as `Tick` has it
_EARLIEST_US = 631_152_000_000_000  # 1990-01-01
_DAY_US = 86_400_000_000


class BarError(ValueError):
    """Numbers that make no bar.

    Args:
        reason: The class of fault.
        detail: What exactly is wrong.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Numbers:
    """A bar's prices and volume, unchecked."""

    open: float
    high: float
    low: float
    close: float
    volume: float


def provider_bar(source: Source, symbol: str, interval: Interval, start_us: int, numbers: Numbers) -> Bar:
    """A provider's bar, not final, with the moment it was received as its revision.

    How far the bar has got is not told by providers of bars: it is taken to cover everything up to its arrival, at
    most to its end.

    Args:
        source: Whose bar and when it came.
        symbol: Canonical symbol.
        interval: Its length.
        start_us: Its first microsecond, UTC.
        numbers: Its prices and volume.

    Raises:
        BarError: The numbers make no bar, or the start is on no boundary or in no sane time.
    """
    received_us, end_us = source.received_time_us, start_us + interval.us
    _check_numbers(numbers)
    if not _EARLIEST_US <= start_us <= received_us + _DAY_US:
        raise BarError(Reason.TIME_OUT_OF_RANGE, f"{start_us} µs is before 1990 or more than a day ahead of now")
    if start_us != interval.start_of(start_us):
        raise BarError(Reason.INVALID_FIELD, f"{start_us} µs is not where a bar of {interval.name} starts")
    return Bar(
        symbol=symbol,
        interval=interval.name,
        start_us=start_us,
        end_us=end_us,
        open=numbers.open,
        high=numbers.high,
        low=numbers.low,
        close=numbers.close,
        volume=numbers.volume,
        vwap=None,
        trade_count=0,
        last_event_time_us=min(max(received_us, start_us), end_us - 1),
        last_received_time_us=received_us,
        revision=received_us,
        provider=source.provider,
    )


def with_finals(outcomes: Sequence[Parsed], received_time_us: int, settled_seconds: float) -> list[Parsed]:
    """One symbol's bars of one answer, those marked final that are.

    A bar is final where the answer holds a newer one, or where it ended longer ago than `settled_seconds`: what a
    provider corrects later has a higher revision.
    """
    bars = [outcome for outcome in outcomes if isinstance(outcome, Bar)]
    newest_us = max((bar.start_us for bar in bars), default=0)
    settled_us = received_time_us - round(settled_seconds * 1_000_000)
    return [
        closed(outcome)
        if isinstance(outcome, Bar) and (outcome.start_us < newest_us or outcome.end_us <= settled_us)
        else outcome
        for outcome in outcomes
    ]


def closed(bar: Bar) -> Bar:
    """The same bar, final: it covers its whole span."""
    return replace(bar, final=True, last_event_time_us=bar.end_us - 1)


def _check_numbers(numbers: Numbers) -> None:
    prices = (numbers.open, numbers.high, numbers.low, numbers.close)
    if not all(map(isfinite, (*prices, numbers.volume))):
        raise BarError(Reason.NOT_FINITE, "a bar's number is not finite")
    if min(prices) <= 0:
        raise BarError(Reason.NON_POSITIVE_PRICE, "a bar's price is not positive")
    if numbers.volume < 0:
        raise BarError(Reason.NEGATIVE_SIZE, "a bar's volume is negative")
    if max(*prices, numbers.volume) > _LARGEST:
        raise BarError(Reason.INVALID_FIELD, f"a bar's price or volume is beyond {_LARGEST:g}")
    if not numbers.low <= min(numbers.open, numbers.close) <= max(numbers.open, numbers.close) <= numbers.high:
        raise BarError(Reason.INCONSISTENT_BAR, "low <= open, close <= high does not hold")

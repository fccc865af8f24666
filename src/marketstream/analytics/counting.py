"""Which versions of bars are looked at, and how they count in a calculator."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from marketstream.analytics.indicators import IndicatorCalculator
from marketstream.domain.indicators import Indicators
from marketstream.domain.market import Bar


def newest_and_finals(bars: Iterable[Bar]) -> Iterable[Bar]:
    """All final versions, and of the others the newest of each bar: there is one for each of its trades."""
    finals = []
    newest: dict[int, Bar] = {}
    for bar in bars:
        if bar.final:
            finals.append(bar)
            continue
        known = newest.get(bar.start_us)
        if known is None or bar.version > known.version:
            newest[bar.start_us] = bar
    return (*newest.values(), *finals)


def told_on(calculator: IndicatorCalculator, bars: Iterable[Bar]) -> Iterator[Indicators]:
    """Closes bar after bar, as if all were final."""
    for bar in bars:
        if not bar.void:
            yield Indicators.of(bar, calculator.preview(bar))
        count(calculator, bar)


def count(calculator: IndicatorCalculator, bar: Bar) -> None:
    """Closes a bar, or leaves out a void one."""
    if not bar.void:
        calculator.close(closing(bar))
    elif calculator.newest is not None and calculator.newest[0] == bar.start_us:
        calculator.drop_newest()


def closing(bar: Bar) -> Bar:
    """The bar as if it were final as it stands."""
    return bar if bar.final else replace(bar, final=True)


def numbers(bar: Bar | None) -> tuple[float | None, ...] | None:
    """What indicators look at; None where there is nothing."""
    return None if bar is None or bar.void else (bar.high, bar.low, bar.close, bar.volume, bar.vwap)

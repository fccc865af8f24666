"""Pages of Binance's REST API into ticks and bars: pure. Ticks are the stream's, but for when they were received."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from marketstream.domain.interval import Interval
from marketstream.domain.outcomes import Parsed, Reason
from marketstream.providers.bars import BarError, Numbers, closed, provider_bar
from marketstream.providers.binance.events import Trade, counted, tick_of, trade_doubt
from marketstream.providers.faults import Source, explain
from marketstream.providers.fields import NumericText, Sequence64, TimeMs
from marketstream.providers.frames import split_array

# Open time, open, high, low, close, volume, close time, quote volume, trades; what follows is of no use here.
_Row = tuple[TimeMs, NumericText, NumericText, NumericText, NumericText, NumericText, TimeMs, NumericText, Sequence64]
_ROW_SIZE = 9
_TRADES = TypeAdapter(list[Trade])
_TRADE = TypeAdapter(Trade)
_ROW = TypeAdapter(_Row)
_RANGE_REASONS = {"T": Reason.TIME_OUT_OF_RANGE, "0": Reason.TIME_OUT_OF_RANGE}
# A bar that ended this long ago by our clock has all its trades.
_SETTLED_US = 2_000_000
_Read = TypeVar("_Read")


@dataclass(frozen=True, slots=True)
class Page:
    """One page.

    Attributes:
        outcomes: Its ticks or bars, and what is wrong with others.
        size: How many elements it has.
        last: Its highest trade number, or latest start in ms; None where none can be read.
    """

    outcomes: list[Parsed]
    size: int
    last: int | None


def parse_trades(body: bytes, symbol: str, source: Source) -> Page | None:
    """A page of aggregate trades; None where it is no array.

    Numbers whose trade was made void come with price 0 and size 0: they are left out.
    """
    try:
        trades = _TRADES.validate_json(body)
        ticks: list[Parsed] = [tick_of(trade, symbol, source.received_time_us, source.provider) for trade in trades]
    except ValueError:  # pydantic's ValidationError, or Tick's refusal of a number
        return _one_by_one(body, lambda element: _trade(element, symbol, source), lambda trade: trade["a"])
    return Page(ticks, len(ticks), max((trade["a"] for trade in trades), default=None))


def parse_bars(body: bytes, symbol: str, interval: Interval, source: Source) -> Page | None:
    """A page of bars; None where it is no array. A bar is final once it ended 2 s ago."""
    return _one_by_one(body, lambda element: _bar(element, symbol, interval, source), lambda row: row[0])


def _one_by_one(body: bytes, parse: Callable[[bytes], Parsed | None], position: Callable[[Any], Any]) -> Page | None:
    elements = split_array(body)
    if elements is None:
        return None
    outcomes = [outcome for element in elements if (outcome := parse(element)) is not None]
    positions = [_position(element, position) for element in elements]
    return Page(outcomes, len(elements), max((each for each in positions if each is not None), default=None))


def _position(element: bytes, read: Callable[[Any], Any]) -> int | None:
    try:
        value = read(from_json(element))
    except (ValueError, LookupError, TypeError):
        return None
    return value if type(value) is int else None


def _trade(element: bytes, symbol: str, source: Source) -> Parsed | None:
    try:
        trade = _TRADE.validate_json(element)
    except ValidationError as error:
        return source.rejected(element, *explain(error, _RANGE_REASONS), symbol)
    if float(trade["p"]) == 0 == float(trade["q"]):
        return None
    try:
        return tick_of(trade, symbol, source.received_time_us, source.provider)
    except ValueError as error:
        return source.rejected(element, trade_doubt(trade), str(error), symbol)


def _bar(element: bytes, symbol: str, interval: Interval, source: Source) -> Parsed:
    try:
        row = _ROW.validate_python(_start_of(element))
    except ValidationError as error:
        return source.rejected(element, *explain(error, _RANGE_REASONS), symbol)
    try:
        bar = provider_bar(source, symbol, interval, row[0] * 1_000, Numbers(*map(float, row[1:6])))
        bar = counted(bar, row[8], float(row[7]))
    except BarError as error:
        return source.rejected(element, error.reason, str(error), symbol)
    return closed(bar) if bar.end_us + _SETTLED_US <= source.received_time_us else bar


def _start_of(element: bytes) -> list[Any]:
    """The first elements of a row; none where it is no array."""
    try:
        row = from_json(element)
    except ValueError:
        return []
    return row[:_ROW_SIZE] if isinstance(row, list) else []

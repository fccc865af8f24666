"""The records of Polygon / Massive's REST API into ticks and bars that equal the stream's: pure."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, NotRequired

from pydantic import Field, TypeAdapter, ValidationError
from pydantic_core import from_json, to_json
from typing_extensions import TypedDict

from marketstream.domain.interval import Interval
from marketstream.domain.market import Bar, Tick
from marketstream.domain.outcomes import Parsed, Reason
from marketstream.providers.bars import BarError, Numbers, provider_bar
from marketstream.providers.faults import Source, explain, number_reason
from marketstream.providers.fields import (
    IdentifierText,
    NonNegativeNumber,
    NumericText,
    PositiveNumber,
    Sequence64,
    SmallInt,
    TimeMs,
)
from marketstream.providers.polygon.parse import NAME, Conditions, averaged, trade_identity

TimeNs = Annotated[int, Field(strict=True, ge=0, le=2**63 - 1)]
_RANGE_REASONS = {
    **dict.fromkeys(("price", "o", "h", "l", "c", "vw"), Reason.NON_POSITIVE_PRICE),
    **dict.fromkeys(("size", "v"), Reason.NEGATIVE_SIZE),
    **dict.fromkeys(("sip_timestamp", "t"), Reason.TIME_OUT_OF_RANGE),
}
# Records about a trade, a cancel, an error or a correction, which the stream doesn't have.
_ABOUT_TRADES = {10, 11, 12}


class _Trade(TypedDict):
    id: IdentifierText
    price: PositiveNumber
    sip_timestamp: TimeNs
    size: NotRequired[NonNegativeNumber]
    decimal_size: NotRequired[NumericText]
    exchange: NotRequired[SmallInt]
    trf_id: NotRequired[SmallInt]
    sequence_number: NotRequired[Sequence64]
    conditions: NotRequired[Conditions | None]
    correction: NotRequired[int]


class _Aggregate(TypedDict):
    o: PositiveNumber
    h: PositiveNumber
    l: PositiveNumber  # noqa: E741  # the wire's name
    c: PositiveNumber
    v: NonNegativeNumber
    t: TimeMs
    vw: NotRequired[PositiveNumber]
    n: NotRequired[SmallInt]


class _LastTrade(TypedDict):
    t: TimeNs


class _Last(TypedDict):
    results: _LastTrade


class _Page(TypedDict):
    results: NotRequired[list[Any] | None]
    next_url: NotRequired[str | None]


_TRADE = TypeAdapter(_Trade)
_AGGREGATE = TypeAdapter(_Aggregate)
_LAST = TypeAdapter(_Last)
_PAGE = TypeAdapter(_Page)


@dataclass(frozen=True, slots=True)
class Page:
    """One page of an answer.

    Attributes:
        outcomes: What its records became.
        next_url: Where the next page is; None on the last.
    """

    outcomes: list[Parsed]
    next_url: str | None


def parse_trades(body: bytes, received_time_us: int, symbol: str) -> Page:
    """A page of `/v3/trades`; each trade has the id, the sequence and the time, in whole ms, that it has on the stream.

    Args:
        body: The answer.
        received_time_us: When it had come, µs UTC.
        symbol: The canonical symbol.
    """
    source = Source(NAME, received_time_us)

    def read(record: Any) -> Parsed | None:
        trade = _TRADE.validate_python(record)
        return None if trade.get("correction") in _ABOUT_TRADES else _tick(trade, source, symbol)

    return _page(body, source, symbol, read)


def parse_bars(body: bytes, received_time_us: int, symbol: str, interval: Interval) -> Page:
    """A page of `/v2/aggs`; none of its bars is final yet.

    Args:
        body: The answer.
        received_time_us: When it had come, µs UTC.
        symbol: The canonical symbol.
        interval: The bars' length.
    """
    source = Source(NAME, received_time_us)

    def read(record: Any) -> Parsed:
        return _bar(_AGGREGATE.validate_python(record), source, symbol, interval)

    return _page(body, source, symbol, read)


def parse_last_trade(body: bytes) -> int:
    """The event time of `/v2/last/trade`, µs UTC in whole ms as on the stream.

    Raises:
        ValueError: The answer is none.
    """
    return _stream_time_us(_LAST.validate_json(body)["results"]["t"])


def _page(body: bytes, source: Source, symbol: str, read: Callable[[Any], Parsed | None]) -> Page:
    try:
        page = _PAGE.validate_python(from_json(body))
    except ValueError as error:
        detail = explain(error, {})[1] if isinstance(error, ValidationError) else str(error)
        return Page([source.rejected(body, Reason.MALFORMED, detail, symbol)], None)
    outcomes = (_outcome(record, source, symbol, read) for record in page.get("results") or ())
    return Page([outcome for outcome in outcomes if outcome is not None], page.get("next_url"))


def _outcome(record: Any, source: Source, symbol: str, read: Callable[[Any], Parsed | None]) -> Parsed | None:
    try:
        return read(record)
    except ValidationError as error:
        reason, detail = explain(error, _RANGE_REASONS)
    except BarError as error:
        reason, detail = error.reason, str(error)
    except ValueError as error:  # a tick's: only a size as text, or none at all, is still unchecked
        reason, detail = number_reason(record["price"], float(record.get("decimal_size", 0))), str(error)
    return source.rejected(to_json(record, inf_nan_mode="constants"), reason, detail, symbol)


def _tick(trade: _Trade, source: Source, symbol: str) -> Tick:
    venue, exact = trade.get("exchange"), trade.get("decimal_size")
    if exact is None and "size" not in trade:
        raise ValueError("neither size nor decimal_size is there")
    return Tick(
        symbol=symbol,
        price=trade["price"],
        size=trade["size"] if exact is None else float(exact),
        event_time_us=_stream_time_us(trade["sip_timestamp"]),
        received_time_us=source.received_time_us,
        provider=NAME,
        trade_id=trade_identity(trade["id"], venue, trade.get("trf_id")),
        sequence=trade.get("sequence_number", 0),
        exchange=None if venue is None else str(venue),
        conditions=tuple(map(str, trade.get("conditions") or ())),
    )


def _bar(aggregate: _Aggregate, source: Source, symbol: str, interval: Interval) -> Bar:
    numbers = Numbers(aggregate["o"], aggregate["h"], aggregate["l"], aggregate["c"], aggregate["v"])
    bar = provider_bar(source, symbol, interval, aggregate["t"] * 1_000, numbers)
    return averaged(bar, aggregate.get("vw"), aggregate.get("n", 0))


def _stream_time_us(time_ns: int) -> int:
    """The stream's `t` is the same moment in whole milliseconds."""
    return time_ns // 1_000_000 * 1_000

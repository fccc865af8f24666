"""Polygon / Massive frames into trades, quotes and bars: pure, one `TypeAdapter` straight from the frame's bytes.

Every frame is a JSON array of events told apart by `ev`: trades (`T`), quotes (`Q`), bars of a minute and of a second
(`AM`, `A`). Every other kind of event, known or not, is ignored, since providers add kinds without notice. What is no
array of objects with a textual `ev` is refused. Of an array with a bad element the good elements pass and the bad one
is refused with its own bytes.
"""

from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from marketstream.domain.interval import Interval
from marketstream.domain.market import Bar, Quote, Tick
from marketstream.domain.outcomes import Parsed, Reason, Rejected
from marketstream.providers.bars import BarError, Numbers, closed, provider_bar
from marketstream.providers.faults import Source, explain, number_reason, read_symbol
from marketstream.providers.fields import (
    IdentifierText,
    NonNegativeNumber,
    NumericText,
    PositiveNumber,
    Sequence64,
    SmallInt,
    SymbolText,
    TimeMs,
)
from marketstream.providers.frames import split_array
from marketstream.providers.symbology import PLAIN, Symbology
from marketstream.providers.times import TimeRangeError, sane_us

NAME = "polygon"
INTERVALS = {"AM": Interval.parse("1min"), "A": Interval.parse("1s")}
_ROUND_LOT = 100.0  # quotes' sizes count lots
_PRICES = dict.fromkeys(("p", "bp", "ap", "o", "h", "l", "c", "vw"), Reason.NON_POSITIVE_PRICE)
_LARGEST = 1e15  # as `Tick` has it
# A trade has a handful; without a limit one could be too large for Kafka.
Conditions = Annotated[list[SmallInt], Field(max_length=32)]
# What a number out of its range means, by event and wire field; `s` is a trade's size and a bar's start.
_TRADE_REASONS = {**_PRICES, "s": Reason.NEGATIVE_SIZE, "t": Reason.TIME_OUT_OF_RANGE}
_QUOTE_REASONS = {
    **_PRICES,
    "bs": Reason.NEGATIVE_SIZE,
    "as": Reason.NEGATIVE_SIZE,
    "t": Reason.TIME_OUT_OF_RANGE,
}
_BAR_REASONS = {
    **_PRICES,
    "v": Reason.NEGATIVE_SIZE,
    "s": Reason.TIME_OUT_OF_RANGE,
    "e": Reason.TIME_OUT_OF_RANGE,
}
# A frame of a megabyte could hold hundreds of thousands of bad elements; beyond this many they share one dead letter.
MAX_REFUSALS_PER_FRAME = 1_000


class _Trade(TypedDict):
    ev: Literal["T"]
    sym: SymbolText
    i: IdentifierText
    p: PositiveNumber
    t: TimeMs
    s: NotRequired[NonNegativeNumber]
    ds: NotRequired[NumericText]  # the size with its fraction, as text
    x: NotRequired[SmallInt]
    trfi: NotRequired[SmallInt]
    q: NotRequired[Sequence64]
    c: NotRequired[Conditions | None]


_Quote = TypedDict(  # `as` is a word of Python's
    "_Quote",
    {
        "ev": Literal["Q"],
        "sym": SymbolText,
        "bp": PositiveNumber,
        "ap": PositiveNumber,
        "t": TimeMs,
        "bs": NotRequired[NonNegativeNumber],
        "as": NotRequired[NonNegativeNumber],
        "bx": NotRequired[SmallInt],
        "ax": NotRequired[SmallInt],
        "q": NotRequired[Sequence64],
    },
)


class _Aggregate(TypedDict):
    ev: Literal["AM", "A"]
    sym: SymbolText
    o: PositiveNumber
    h: PositiveNumber
    l: PositiveNumber  # noqa: E741  # the wire's name
    c: PositiveNumber
    v: NonNegativeNumber
    s: TimeMs
    e: TimeMs
    vw: NotRequired[PositiveNumber]  # of this bar; `a` is the day's
    z: NotRequired[NonNegativeNumber]  # average size of a trade, without its fraction


class _Event(TypedDict):
    ev: Annotated[str, Field(strict=True)]


class _Status(TypedDict):
    ev: Literal["status"]
    status: str
    message: NotRequired[str]


_EVENTS = TypeAdapter(list[Annotated[_Trade | _Quote | _Aggregate, Field(discriminator="ev")]])
_EVENT = TypeAdapter(_Event)
_STATUS = TypeAdapter(_Status)


@dataclass(frozen=True, slots=True)
class Status:
    """A control event: how the connection, the key or a subscription fares."""

    status: str
    message: str


def parse_frame(raw: bytes | str, received_time_us: int, names: Symbology = PLAIN) -> list[Parsed]:
    """The trades, quotes, bars and refusals of one frame, in its order. Never raises on bad data.

    Args:
        raw: The frame as received.
        received_time_us: When it left our socket, µs UTC.
        names: The canonical symbols.
    """
    data = raw.encode(errors="surrogatepass") if isinstance(raw, str) else raw
    try:
        return [_KINDS[event["ev"]].read(event, received_time_us, names) for event in _EVENTS.validate_json(data)]
    except ValueError:  # pydantic's ValidationError, or a value type's refusal of a number
        return _element_by_element(data, Source(NAME, received_time_us), names)


def read_statuses(raw: bytes) -> list[Status]:
    """The frame's control events; empty for every other frame."""
    if b'"status"' not in raw:
        return []
    statuses = []
    for element in split_array(raw) or []:
        try:
            event = _STATUS.validate_json(element)
        except ValidationError:
            continue  # no status: parse_frame answers for it
        statuses.append(Status(event["status"], event.get("message", "")))
    return statuses


def trade_identity(trade_id: str, venue: int | None, facility: int | None) -> str:
    """An id unique within the symbol: Massive's are so only per exchange and trade reporting facility."""
    if venue is None:
        return trade_id
    return f"{venue}-{facility}-{trade_id}" if facility else f"{venue}-{trade_id}"


def averaged(bar: Bar, vwap: float | None, trade_count: int) -> Bar:
    """The bar with its average price and number of trades.

    Raises:
        BarError: The price is beyond any market.
    """
    if vwap is not None and vwap > _LARGEST:
        raise BarError(Reason.INVALID_FIELD, f"vw is beyond {_LARGEST:g}")
    return replace(bar, vwap=vwap, trade_count=trade_count)


def _tick(trade: _Trade, received_time_us: int, names: Symbology) -> Tick:
    venue, exact, conditions = trade.get("x"), trade.get("ds"), trade.get("c")
    if exact is None and "s" not in trade:
        raise ValueError("neither s nor ds is there")
    return Tick(
        symbol=names.canonical(trade["sym"]),
        price=trade["p"],
        size=trade["s"] if exact is None else float(exact),
        event_time_us=trade["t"] * 1_000,
        received_time_us=received_time_us,
        provider=NAME,
        trade_id=trade_identity(trade["i"], venue, trade.get("trfi")),
        sequence=trade.get("q", 0),
        exchange=None if venue is None else str(venue),
        conditions=tuple(map(str, conditions)) if conditions else (),
    )


def _quote(quote: Any, received_time_us: int, names: Symbology) -> Quote:
    bid_venue, ask_venue = quote.get("bx"), quote.get("ax")
    return Quote(
        symbol=names.canonical(quote["sym"]),
        bid_price=quote["bp"],
        bid_size=quote.get("bs", 0.0) * _ROUND_LOT,
        ask_price=quote["ap"],
        ask_size=quote.get("as", 0.0) * _ROUND_LOT,
        event_time_us=sane_us(quote["t"] * 1_000, received_time_us),
        received_time_us=received_time_us,
        provider=NAME,
        sequence=quote.get("q", 0),
        exchange=str(bid_venue) if bid_venue is not None and bid_venue == ask_venue else None,
    )


def _bar(event: _Aggregate, received_time_us: int, names: Symbology) -> Bar:
    interval = INTERVALS[event["ev"]]
    numbers = Numbers(event["o"], event["h"], event["l"], event["c"], event["v"])
    if (event["e"] - event["s"]) * 1_000 != interval.us:
        raise BarError(Reason.INVALID_FIELD, f"s to e is not {interval.name}")
    bar = provider_bar(
        Source(NAME, received_time_us), names.canonical(event["sym"]), interval, event["s"] * 1_000, numbers
    )
    count = _trade_count(event["v"], event.get("z", 0.0))
    return averaged(closed(bar), event.get("vw"), count)  # sent once its window is over


def _trade_count(volume: float, average: float) -> int:
    """How many trades have this volume and average size, rounded in whichever way; 0 where several numbers may be."""
    if average < 2:
        return 0
    fewest = int(volume // (average + 1)) + 1
    return fewest if fewest < volume / (average - 1) <= fewest + 1 else 0


@dataclass(frozen=True, slots=True)
class _Kind:
    """How one kind of event is read."""

    adapter: TypeAdapter[Any]
    reasons: dict[str, Reason]
    read: Any


_KINDS = {
    "T": _Kind(TypeAdapter(_Trade), _TRADE_REASONS, _tick),
    "Q": _Kind(TypeAdapter(_Quote), _QUOTE_REASONS, _quote),
    "AM": _Kind(TypeAdapter(_Aggregate), _BAR_REASONS, _bar),
    "A": _Kind(TypeAdapter(_Aggregate), _BAR_REASONS, _bar),
}


def _element_by_element(data: bytes, source: Source, names: Symbology) -> list[Parsed]:
    elements = split_array(data)
    if elements is None:
        return [_malformed(data, source)]
    outcomes: list[Parsed] = []
    refused = 0
    for element in elements:
        outcome = _outcome(element, source, names)
        refused += isinstance(outcome, Rejected)
        if outcome is not None and (not isinstance(outcome, Rejected) or refused <= MAX_REFUSALS_PER_FRAME):
            outcomes.append(outcome)
    if refused > MAX_REFUSALS_PER_FRAME:
        more = f"{refused - MAX_REFUSALS_PER_FRAME} further elements of this frame"
        outcomes.append(source.rejected(data, Reason.MALFORMED, more))
    return outcomes


def _malformed(data: bytes, source: Source) -> Rejected:
    try:
        _EVENTS.validate_json(data)
    except ValidationError as error:
        return source.rejected(data, Reason.MALFORMED, explain(error, {})[1])
    return source.rejected(data, Reason.MALFORMED, "no array of events")


def _outcome(element: bytes, source: Source, names: Symbology) -> Parsed | None:
    try:
        kind = _KINDS.get(_EVENT.validate_json(element)["ev"])
    except ValidationError as error:
        return source.rejected(element, Reason.MALFORMED, explain(error, {})[1], read_symbol(element, "sym"))
    if kind is None:
        return None
    try:
        event = kind.adapter.validate_json(element)
    except ValidationError as error:
        return source.rejected(element, *explain(error, kind.reasons), read_symbol(element, "sym"))
    try:
        outcome: Parsed = kind.read(event, source.received_time_us, names)
    except ValueError as error:
        return source.rejected(element, _reason(error, event), str(error), event["sym"].upper())
    return outcome


def _reason(error: ValueError, event: Any) -> Reason:
    if isinstance(error, BarError):
        return error.reason
    if isinstance(error, TimeRangeError):
        return Reason.TIME_OUT_OF_RANGE
    # Of the rest only a size as text, none at all, or a number beyond any market is still unchecked.
    return number_reason(event["p"], float(event.get("ds", 0))) if event["ev"] == "T" else Reason.INVALID_FIELD

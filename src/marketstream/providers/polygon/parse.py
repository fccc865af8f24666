"""Polygon / Massive frames into ticks: pure, one `TypeAdapter` straight from the frame's bytes.

Every frame is a JSON array of events told apart by `ev`. Trades (`T`) become ticks; every other kind of event, known or
not, is ignored, since providers add kinds without notice. What is no array of objects with a textual `ev` is refused.
Of an array with a bad element the good elements pass and the bad one is refused with its own bytes.
"""

from dataclasses import dataclass
from typing import Annotated, Literal, NotRequired

from pydantic import Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from marketstream.domain.market import Tick
from marketstream.domain.outcomes import Parsed, Reason, Rejected
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

NAME = "polygon"
_RANGE_REASONS = {
    "p": Reason.NON_POSITIVE_PRICE,
    "s": Reason.NEGATIVE_SIZE,
    "t": Reason.TIME_OUT_OF_RANGE,
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
    c: NotRequired[list[SmallInt] | None]


class _Event(TypedDict):
    ev: Annotated[str, Field(strict=True)]


class _Status(TypedDict):
    ev: Literal["status"]
    status: str
    message: NotRequired[str]


_TRADES = TypeAdapter(list[_Trade])
_TRADE = TypeAdapter(_Trade)
_EVENT = TypeAdapter(_Event)
_STATUS = TypeAdapter(_Status)


@dataclass(frozen=True, slots=True)
class Status:
    """A control event: how the connection, the key or a subscription fares."""

    status: str
    message: str


def parse_frame(raw: bytes | str, received_time_us: int, names: Symbology = PLAIN) -> list[Parsed]:
    """The trades and refusals of one frame, in its order. Never raises on bad data.

    Args:
        raw: The frame as received.
        received_time_us: When it left our socket, µs UTC.
        names: The canonical symbols.
    """
    data = raw.encode(errors="surrogatepass") if isinstance(raw, str) else raw
    try:
        return [_tick(trade, received_time_us, names) for trade in _TRADES.validate_json(data)]
    except ValueError:  # pydantic's ValidationError, or Tick's refusal of a number
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


def _tick(trade: _Trade, received_time_us: int, names: Symbology) -> Tick:
    exchange = trade.get("x")
    return Tick(
        symbol=names.canonical(trade["sym"]),
        price=trade["p"],
        size=_size(trade),
        event_time_us=trade["t"] * 1_000,
        received_time_us=received_time_us,
        provider=NAME,
        trade_id=_trade_id(trade),
        sequence=trade.get("q", 0),
        asset_class="equity",
        exchange=None if exchange is None else str(exchange),
        conditions=tuple(map(str, trade.get("c") or ())),
    )


def _trade_id(trade: _Trade) -> str:
    # Massive's ids are unique per ticker, exchange and trade reporting facility only.
    venue, facility = trade.get("x"), trade.get("trfi")
    if venue is None:
        return trade["i"]
    return f"{venue}-{trade['i']}" if facility is None else f"{venue}-{facility}-{trade['i']}"


def _size(trade: _Trade) -> float:
    exact = trade.get("ds")
    if exact is not None:
        return float(exact)
    if "s" not in trade:
        raise ValueError("neither s nor ds is there")
    return trade["s"]


def _element_by_element(data: bytes, source: Source, names: Symbology) -> list[Parsed]:
    elements = split_array(data)
    if elements is None:
        return [_malformed(data, source)]
    outcomes: list[Parsed] = []
    refused = 0
    for element in elements:
        outcome = _outcome(element, source, names)
        refused += isinstance(outcome, Rejected)
        if outcome is not None and (isinstance(outcome, Tick) or refused <= MAX_REFUSALS_PER_FRAME):
            outcomes.append(outcome)
    if refused > MAX_REFUSALS_PER_FRAME:
        more = f"{refused - MAX_REFUSALS_PER_FRAME} further elements of this frame"
        outcomes.append(source.rejected(data, Reason.MALFORMED, more))
    return outcomes


def _malformed(data: bytes, source: Source) -> Rejected:
    try:
        _TRADES.validate_json(data)
    except ValidationError as error:
        return source.rejected(data, Reason.MALFORMED, explain(error, {})[1])
    return source.rejected(data, Reason.MALFORMED, "no array of events")


def _outcome(element: bytes, source: Source, names: Symbology) -> Parsed | None:
    try:
        kind = _EVENT.validate_json(element)["ev"]
    except ValidationError as error:
        return source.rejected(element, Reason.MALFORMED, explain(error, {})[1], read_symbol(element, "sym"))
    if kind != "T":
        return None
    try:
        trade = _TRADE.validate_json(element)
    except ValidationError as error:
        return source.rejected(element, *explain(error, _RANGE_REASONS), read_symbol(element, "sym"))
    try:
        return _tick(trade, source.received_time_us, names)
    except ValueError as error:  # only a size as text, or none at all, is still unchecked
        reason = number_reason(trade["p"], float(trade.get("ds", 0)))
        return source.rejected(element, reason, str(error), trade["sym"].upper())

"""Frames of the imaginary provider into ticks: pure, one `TypeAdapter` straight from a line's bytes.

A frame holds one JSON object a line. Lines with `"type": "trade"` become ticks; every other type, known or not, is
ignored. A line without a textual `type` is refused. Each line stands for itself: a bad one spoils no other.
"""

from dataclasses import dataclass
from typing import Annotated, Literal, NotRequired

from pydantic import Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from marketstream.domain.market import Tick
from marketstream.domain.outcomes import Parsed, Reason
from marketstream.providers.faults import Source, explain, read_symbol
from marketstream.providers.fields import (
    IdentifierText,
    NonNegativeNumber,
    PositiveNumber,
    Sequence64,
    SymbolText,
    TimeMs,
)
from marketstream.providers.symbology import PLAIN, Symbology

NAME = "template"

# What a number out of its range means, by wire field.
_RANGE_REASONS = {
    "price": Reason.NON_POSITIVE_PRICE,
    "size": Reason.NEGATIVE_SIZE,
    "time_ms": Reason.TIME_OUT_OF_RANGE,
}


class _Trade(TypedDict):
    """The wire's fields that are used, in the strict types of `providers.fields`; others are ignored."""

    type: Literal["trade"]
    symbol: SymbolText
    id: IdentifierText
    price: PositiveNumber
    size: NonNegativeNumber
    time_ms: TimeMs
    sequence: NotRequired[Sequence64]


class _Event(TypedDict):
    type: Annotated[str, Field(strict=True)]


class _Control(TypedDict):
    type: Literal["subscribed", "error"]
    message: NotRequired[str]


_TRADE = TypeAdapter(_Trade)
_EVENT = TypeAdapter(_Event)
_CONTROL = TypeAdapter(_Control)


@dataclass(frozen=True, slots=True)
class Control:
    """An answer to a request of ours."""

    type: Literal["subscribed", "error"]
    message: str


def parse_frame(raw: bytes | str, received_time_us: int, names: Symbology = PLAIN) -> list[Parsed]:
    """The trades and refusals of one frame, in its order. Never raises on bad data.

    Args:
        raw: The frame as received.
        received_time_us: When it left our socket, µs UTC.
        names: The canonical symbols.
    """
    data = raw.encode(errors="surrogatepass") if isinstance(raw, str) else raw
    source = Source(NAME, received_time_us)
    outcomes = (_outcome(line, source, names) for line in data.split(b"\n") if line.strip())
    return [outcome for outcome in outcomes if outcome is not None]


def read_controls(raw: bytes) -> list[Control]:
    """The frame's control messages; empty for every other frame."""
    controls = []
    for line in raw.split(b"\n"):
        try:
            control = _CONTROL.validate_json(line)
        except ValidationError:
            continue  # no control message: parse_frame answers for it
        controls.append(Control(control["type"], control.get("message", "")))
    return controls


def _outcome(line: bytes, source: Source, names: Symbology) -> Parsed | None:
    try:
        return _tick(_TRADE.validate_json(line), source, names)
    except ValidationError as error:
        fault = error
    try:
        kind = _EVENT.validate_json(line)["type"]
    except ValidationError as error:
        return source.rejected(line, Reason.MALFORMED, explain(error, {})[1], read_symbol(line, "symbol"))
    if kind != "trade":
        return None
    return source.rejected(line, *explain(fault, _RANGE_REASONS), read_symbol(line, "symbol"))


def _tick(trade: _Trade, source: Source, names: Symbology) -> Tick:
    """Maps wire fields to a tick: times to µs, the id made unique within (symbol, provider), the symbol canonical."""
    return Tick(
        symbol=names.canonical(trade["symbol"]),
        price=trade["price"],
        size=trade["size"],
        event_time_us=trade["time_ms"] * 1_000,
        received_time_us=source.received_time_us,
        provider=source.provider,
        trade_id=trade["id"],
        sequence=trade.get("sequence", 0),
        asset_class="equity",
    )

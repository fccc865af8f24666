"""Binance frames into ticks, quotes and bars: pure, one `TypeAdapter` each straight from the frame's bytes.

Aggregate trades, best bids and asks (`bookTicker`) and klines are read, bare or wrapped by a combined stream as
`{"stream": …, "data": …}`. Ignored are other events: by the stream's name where a frame is wrapped, by `e` where it is
bare; and replies to our own requests, which `read_control` reads. Everything else is refused.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError
from pydantic_core import from_json
from typing_extensions import TypedDict

from marketstream.domain.market import Bar, Quote, Tick
from marketstream.domain.outcomes import Parsed, Reason
from marketstream.providers.bars import BarError
from marketstream.providers.binance.events import (
    BarEvent,
    QuoteEvent,
    TradeEvent,
    bar_doubt,
    bar_of_event,
    quote_doubt,
    quote_of_event,
    tick_of_event,
    trade_doubt,
)
from marketstream.providers.faults import Source, explain, read_symbol
from marketstream.providers.symbology import PLAIN, Symbology
from marketstream.providers.times import TimeRangeError

NAME = "binance"
_REPLY_KEYS = {"result", "error", "code"}
_QUOTE_KEYS = {"u", "s", "b", "B", "a", "A"}
_SHUTDOWN = "serverShutdown"
_HINT_BYTES = 64  # holds the name of the stream, which comes first in a wrapped frame
_StreamName = Annotated[str, Field(strict=True)]


class _CombinedTrade(TypedDict):
    stream: _StreamName
    data: TradeEvent


class _CombinedQuote(TypedDict):
    stream: _StreamName
    data: QuoteEvent


class _CombinedBar(TypedDict):
    stream: _StreamName
    data: BarEvent


@dataclass(frozen=True, slots=True)
class _Kind:
    """One kind of event.

    Attributes:
        combined: Reads a wrapped one.
        bare: Reads a bare one.
        make: The value of a read one, of the moment it was received, the canonical symbols and the provider; None
            where there is nothing in it.
        doubt: What is wrong with a read one whose value could not be made.
        range_reasons: By field, what a number out of its range means.
    """

    combined: TypeAdapter[Any]
    bare: TypeAdapter[Any]
    make: Callable[[Any, int, Symbology, str], Tick | Quote | Bar | None]
    doubt: Callable[[Any], Reason]
    range_reasons: Mapping[str, Reason]


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to one of our requests; `error` is None where it was granted."""

    error: str | None


@dataclass(frozen=True, slots=True)
class Shutdown:
    """The server is about to close the connection and asks to connect anew."""


def parse_frame(
    raw: bytes | str, received_time_us: int, names: Symbology = PLAIN, provider: str = NAME
) -> list[Parsed]:
    """The value or refusal of one frame; empty for frames that hold neither. Never raises on bad data.

    Args:
        raw: The frame as received.
        received_time_us: When it left our socket, µs UTC.
        names: The canonical symbols.
        provider: On whose market.
    """
    data = raw.encode(errors="surrogatepass") if isinstance(raw, str) else raw
    kind = _hinted(data)
    try:
        value = kind.make(kind.combined.validate_json(data)["data"], received_time_us, names, provider)
    except ValueError:  # pydantic's ValidationError, or the value's refusal of a number
        return _by_kind(data, Source(provider, received_time_us), names)
    return [value] if value else []


def read_control(raw: bytes) -> Reply | Shutdown | None:
    """The frame's control message, if it is one. Ask only of frames without a value."""
    try:
        frame = from_json(raw)
    except ValueError:
        return None
    if not isinstance(frame, dict):
        return None
    event = frame.get("data") if "stream" in frame else frame
    if isinstance(event, dict) and event.get("e") == _SHUTDOWN:
        return Shutdown()
    if "stream" in frame or not _REPLY_KEYS & frame.keys():
        return None
    error = frame.get("error") or (frame if "code" in frame else None)
    return Reply(None if error is None else str(error))


_TRADES = _Kind(
    combined=TypeAdapter(_CombinedTrade),
    bare=TypeAdapter(TradeEvent),
    make=tick_of_event,
    doubt=trade_doubt,
    range_reasons={"T": Reason.TIME_OUT_OF_RANGE},
)
_QUOTES = _Kind(
    combined=TypeAdapter(_CombinedQuote),
    bare=TypeAdapter(QuoteEvent),
    make=quote_of_event,
    doubt=quote_doubt,
    range_reasons={"T": Reason.TIME_OUT_OF_RANGE},
)
_BARS = _Kind(
    combined=TypeAdapter(_CombinedBar),
    bare=TypeAdapter(BarEvent),
    make=bar_of_event,
    doubt=bar_doubt,
    range_reasons={"t": Reason.TIME_OUT_OF_RANGE, "E": Reason.TIME_OUT_OF_RANGE},
)
_KINDS = {"aggTrade": _TRADES, "bookTicker": _QUOTES, "kline": _BARS}


def _hinted(data: bytes) -> _Kind:
    """The kind a wrapped frame most likely is; a wrong guess costs time only."""
    start = data[:_HINT_BYTES]
    if b"@aggTrade" in start:
        return _TRADES
    if b"@bookTicker" in start:
        return _QUOTES
    return _BARS if b"@kline" in start else _TRADES


def _by_kind(data: bytes, source: Source, names: Symbology) -> list[Parsed]:
    try:
        frame = from_json(data)
    except ValueError as error:
        return [source.rejected(data, Reason.MALFORMED, f"Invalid JSON: {error}")]
    name = _kind_name(frame)
    if name is None:
        return [source.rejected(data, Reason.MALFORMED, "neither an event, a stream nor a reply")]
    kind = _KINDS.get(name)
    return [] if kind is None else _outcome(data, kind, "stream" in frame, source, names)


def _kind_name(frame: Any) -> str | None:
    """The event's name, without what a stream's name adds to it; None for what Binance never sends."""
    if not isinstance(frame, dict):
        return None
    stream, event = frame.get("stream"), frame.get("e")
    if isinstance(stream, str) and "data" in frame:
        return stream.partition("@")[2].partition("@")[0].partition("_")[0] or stream or None
    if isinstance(event, str):
        return event or None
    if frame.keys() >= _QUOTE_KEYS:
        return "bookTicker"
    return "reply" if _REPLY_KEYS & frame.keys() else None


def _outcome(data: bytes, kind: _Kind, combined: bool, source: Source, names: Symbology) -> list[Parsed]:
    symbol = read_symbol(data, *(("data", "s") if combined else ("s",)))
    try:
        event = kind.combined.validate_json(data)["data"] if combined else kind.bare.validate_json(data)
    except ValidationError as error:
        return [source.rejected(data, *explain(error, kind.range_reasons), symbol)]
    try:
        value = kind.make(event, source.received_time_us, names, source.provider)
    except ValueError as error:
        return [source.rejected(data, _reason(error, kind, event), str(error), symbol)]
    return [value] if value else []


def _reason(error: ValueError, kind: _Kind, event: Any) -> Reason:
    if isinstance(error, BarError):
        return error.reason
    return Reason.TIME_OUT_OF_RANGE if isinstance(error, TimeRangeError) else kind.doubt(event)

"""Binance spot frames into ticks: pure, one `TypeAdapter` straight from the frame's bytes.

Aggregate trades become ticks, bare or wrapped by a combined stream as `{"stream": …, "data": …}`. Ignored are other
events: by the stream's name where a frame is wrapped, by `e` where it is bare; and replies to our own requests, which
`read_control` reads. Everything else is refused.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError
from pydantic_core import from_json
from typing_extensions import TypedDict

from marketstream.domain.market import Tick
from marketstream.domain.outcomes import Parsed, Reason
from marketstream.providers.faults import Source, explain, number_reason, read_symbol
from marketstream.providers.fields import NumericText, Sequence64, StrictBool, SymbolText, TimeMs
from marketstream.providers.symbology import PLAIN, Symbology

NAME = "binance"
_EVENT = "aggTrade"
_RANGE_REASONS = {"T": Reason.TIME_OUT_OF_RANGE}
_REPLY_KEYS = {"result", "error", "code"}
_SHUTDOWN = "serverShutdown"


class _Trade(TypedDict):
    e: Literal["aggTrade"]
    s: SymbolText
    a: Sequence64  # consecutive per symbol
    p: NumericText
    q: NumericText
    T: TimeMs
    m: StrictBool  # the buyer is the maker, so the taker sold


class _Combined(TypedDict):
    stream: Annotated[str, Field(strict=True)]
    data: _Trade


_COMBINED = TypeAdapter(_Combined)
_TRADE = TypeAdapter(_Trade)


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to one of our requests; `error` is None where it was granted."""

    error: str | None


@dataclass(frozen=True, slots=True)
class Shutdown:
    """The server is about to close the connection and asks to connect anew."""


def parse_frame(raw: bytes | str, received_time_us: int, names: Symbology = PLAIN) -> list[Parsed]:
    """The trade or refusal of one frame; empty for frames that hold neither. Never raises on bad data.

    Args:
        raw: The frame as received.
        received_time_us: When it left our socket, µs UTC.
        names: The canonical symbols.
    """
    data = raw.encode(errors="surrogatepass") if isinstance(raw, str) else raw
    try:
        return [_tick(_COMBINED.validate_json(data)["data"], received_time_us, names)]
    except ValueError:  # pydantic's ValidationError, or Tick's refusal of a number
        return _by_kind(data, Source(NAME, received_time_us), names)


def read_control(raw: bytes) -> Reply | Shutdown | None:
    """The frame's control message, if it is one. Ask only of frames without a trade."""
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


def _tick(trade: _Trade, received_time_us: int, names: Symbology) -> Tick:
    return Tick(
        symbol=names.canonical(trade["s"]),
        price=float(trade["p"]),
        size=float(trade["q"]),
        event_time_us=trade["T"] * 1_000,
        received_time_us=received_time_us,
        provider=NAME,
        trade_id=str(trade["a"]),
        sequence=trade["a"],
        asset_class="crypto",
        exchange=NAME,
        side="sell" if trade["m"] else "buy",
    )


def _by_kind(data: bytes, source: Source, names: Symbology) -> list[Parsed]:
    try:
        frame = from_json(data)
    except ValueError as error:
        return [source.rejected(data, Reason.MALFORMED, f"Invalid JSON: {error}")]
    kind = _kind(frame)
    if kind == _EVENT:
        return [_outcome(data, "stream" in frame, source, names)]
    return [] if kind else [source.rejected(data, Reason.MALFORMED, "neither an event, a stream nor a reply")]


def _kind(frame: Any) -> str | None:
    """The event's name; None for what Binance never sends."""
    if not isinstance(frame, dict):
        return None
    stream, event = frame.get("stream"), frame.get("e")
    if isinstance(stream, str) and "data" in frame:
        return stream.partition("@")[2].partition("@")[0] or stream or None
    if isinstance(event, str):
        return event or None
    return "reply" if _REPLY_KEYS & frame.keys() else None


def _outcome(data: bytes, combined: bool, source: Source, names: Symbology) -> Parsed:
    symbol = read_symbol(data, *(("data", "s") if combined else ("s",)))
    try:
        trade = _COMBINED.validate_json(data)["data"] if combined else _TRADE.validate_json(data)
    except ValidationError as error:
        return source.rejected(data, *explain(error, _RANGE_REASONS), symbol)
    try:
        return _tick(trade, source.received_time_us, names)
    except ValueError as error:
        return source.rejected(data, number_reason(float(trade["p"]), float(trade["q"])), str(error), symbol)

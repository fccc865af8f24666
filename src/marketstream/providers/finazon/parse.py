"""Finazon frames and answers into bars: pure, one `TypeAdapter` straight from the bytes.

A frame is one JSON object. What has the channel `bars`, or looks like a bar, becomes one; other channels, heartbeats
and the answers to our own requests (`read_control`) are ignored. Everything else is refused. A bar comes again and
again as it grows: each is a revision of the same bar, never something to add. One whose frequency is its length comes
once, when it is over, and so is final.
"""

import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError
from pydantic_core import from_json
from typing_extensions import TypedDict

from marketstream.domain.errors import Fault
from marketstream.domain.interval import Interval
from marketstream.domain.market import Bar
from marketstream.domain.outcomes import Parsed, Reason
from marketstream.providers.bars import BarError, Numbers, closed, provider_bar
from marketstream.providers.faults import Source, explain, read_symbol
from marketstream.providers.fields import NonNegativeNumber, PositiveNumber, Sequence64, SymbolText
from marketstream.providers.symbology import PLAIN, Symbology
from marketstream.providers.times import utc_us

NAME = "finazon"

# Its names of lengths, as in `aggregation` and `interval`. A day is not among them: it would be New York's, not UTC's.
INTERVALS = {name: Interval.parse(text) for name, text in {"1s": "1s", "10s": "10s", "1h": "1h"}.items()} | {
    f"{minutes}m": Interval.parse(f"{minutes}min") for minutes in (1, 5, 10, 15, 30)
}
_RANGE_REASONS = dict.fromkeys("ohlc", Reason.NON_POSITIVE_PRICE) | {
    "v": Reason.NEGATIVE_SIZE,
    "t": Reason.TIME_OUT_OF_RANGE,
}
_MAX_REFUSALS = 50
_UNKNOWN_TICKER = re.compile(r"ticker\s+(\S+)\s+you have specified", re.IGNORECASE)
# Its documented codes; what has none is told apart by its words.
_CODES = {
    "INVALID_API_KEY": Fault.BAD_KEY,
    "UNAUTHORIZED_ACCESS": Fault.PLAN,
    "API_RATE_LIMIT_EXCEEDED": Fault.BURST_LIMIT,
    "INVALID_TICKER": Fault.UNKNOWN_SYMBOL,
    "UNSUPPORTED_MARKET": Fault.UNSUPPORTED,
    "ENDPOINT_NOT_FOUND": Fault.UNSUPPORTED,
    "INVALID_PARAMETER": Fault.PROTOCOL,
    "INVALID_DATE_RANGE": Fault.PROTOCOL,
    "REQUEST_TIMEOUT": Fault.NETWORK,
    "DATA_UNAVAILABLE": Fault.NETWORK,
    "INTERNAL_SERVER_ERROR": Fault.NETWORK,
}
_WORDS = (
    (("api key", "apikey", "unauthorized", "authentication", "invalid key"), Fault.BAD_KEY),
    (("per day", "daily"), Fault.DAILY_QUOTA),
    (("bandwidth", "traffic"), Fault.BANDWIDTH),
    (("blocked", "banned"), Fault.BANNED),
    (("rate limit", "too many", "number of api calls", "exceeded", "connections"), Fault.BURST_LIMIT),
    (("plan", "subscription to", "upgrade", "permission", "not authorized", "forbidden"), Fault.PLAN),
    (("ticker",), Fault.UNKNOWN_SYMBOL),
)


class _Numbers(TypedDict):
    t: Sequence64  # start of the bar, in s
    o: PositiveNumber
    h: PositiveNumber
    l: PositiveNumber  # noqa: E741  # the wire's name
    c: PositiveNumber
    v: NonNegativeNumber


class _Bar(_Numbers):
    s: SymbolText
    f: Annotated[str, Field(strict=True)]
    aggr: Literal["1s", "10s", "1m", "5m", "10m", "15m", "30m", "1h"]


class _Series(TypedDict):
    data: list[Any]


_BAR = TypeAdapter(_Bar)
_NUMBERS = TypeAdapter(_Numbers)
_SERIES = TypeAdapter(_Series)


@dataclass(frozen=True, slots=True)
class Subscribed:
    """A request of ours was granted, but for the tickers refused in messages of their own."""


@dataclass(frozen=True, slots=True)
class RefusedTicker:
    """One ticker is not carried; the others of the same request are."""

    ticker: str
    message: str


@dataclass(frozen=True, slots=True)
class Failure:
    """An error that ends the conversation."""

    fault: Fault
    message: str


def parse_frame(raw: bytes | str, received_time_us: int, names: Symbology = PLAIN) -> list[Parsed]:
    """The bar or refusal of one frame; empty for frames that hold neither. Never raises on bad data.

    Args:
        raw: The frame as received.
        received_time_us: When it left our socket, µs UTC.
        names: The canonical symbols.
    """
    data = raw.encode(errors="surrogatepass") if isinstance(raw, str) else raw
    source = Source(NAME, received_time_us)
    try:
        bar = _BAR.validate_json(data)
        if names.canonical_names and bar["s"].upper() not in names.canonical_names:
            return [source.rejected(data, Reason.UNKNOWN_SYMBOL, f"{bar['s']} was not asked for", bar["s"].upper())]
        return [_bar(bar, names.canonical(bar["s"]), source)]
    except ValidationError as error:
        return _by_kind(data, error, source)
    except BarError as fault:
        return [source.rejected(data, fault.reason, str(fault), read_symbol(data, "s"))]


def read_control(raw: bytes) -> Subscribed | RefusedTicker | Failure | None:
    """The frame's answer to a request of ours, if it is one that matters. Ask only of frames without a bar."""
    frame = _object(raw)
    if frame is None:
        return None
    if frame.get("status") == "error":
        message = str(frame.get("message", "an error without words"))
        if (unknown := _UNKNOWN_TICKER.search(message)) is not None:
            return RefusedTicker(unknown[1], message)
        if "already subscribed" in message.lower():
            return None
        return Failure(fault_of(frame.get("code"), message), message)
    return Subscribed() if frame.get("code") == "SUCCESS_SUBSCRIPTION" else None


def parse_series(body: bytes, received_time_us: int, symbol: str, interval: Interval) -> list[Parsed]:
    """The bars and refusals of one `time_series` answer, rising, none final. Never raises on bad data.

    Args:
        body: The answer's body.
        received_time_us: When it had come, µs UTC.
        symbol: The canonical symbol that was asked for; the answer doesn't repeat it.
        interval: The length that was asked for.
    """
    source = Source(NAME, received_time_us)
    try:
        elements = _SERIES.validate_json(body)["data"]
    except ValidationError as error:
        return [source.rejected(body, Reason.MALFORMED, explain(error, {})[1], symbol)]
    bars: list[Bar] = []
    refused: list[Parsed] = []
    for element in elements:
        try:
            bars.append(_numbered(_NUMBERS.validate_python(element), source, symbol, interval))
        except (ValidationError, ValueError) as error:
            reason, detail = _why(error)
            refused.append(source.rejected(repr(element).encode(), reason, detail, symbol))
    return [*sorted(bars, key=lambda bar: bar.start_us), *refused[:_MAX_REFUSALS]]


def fault_of(code: Any, message: str) -> Fault:
    """What an error means: by its documented code, else by its words."""
    if isinstance(code, str) and code in _CODES:
        return _CODES[code]
    words = message.lower()
    return next((fault for told, fault in _WORDS if any(word in words for word in told)), Fault.PROTOCOL)


def _bar(bar: _Bar, symbol: str, source: Source) -> Bar:
    made = _numbered(bar, source, symbol, INTERVALS[bar["aggr"]])
    return closed(made) if bar["f"] == bar["aggr"] else made


def _numbered(bar: _Numbers, source: Source, symbol: str, interval: Interval) -> Bar:
    numbers = Numbers(bar["o"], bar["h"], bar["l"], bar["c"], bar["v"])
    try:
        start_us = utc_us(bar["t"])
    except ValueError as error:
        raise BarError(Reason.TIME_OUT_OF_RANGE, str(error)) from None
    return provider_bar(source, symbol, interval, start_us, numbers)


def _why(error: ValueError) -> tuple[Reason, str]:
    if isinstance(error, ValidationError):
        return explain(error, _RANGE_REASONS)
    return (error.reason if isinstance(error, BarError) else Reason.INVALID_FIELD), str(error)


def _by_kind(data: bytes, error: ValidationError, source: Source) -> list[Parsed]:
    frame = _object(data)
    if frame is None:
        return [source.rejected(data, Reason.MALFORMED, "no JSON object")]
    if frame.get("ch") == "bars" or {"s", "t", "o"} <= frame.keys():
        return [source.rejected(data, *explain(error, _RANGE_REASONS), read_symbol(data, "s"))]
    if isinstance(frame.get("ch"), str) or isinstance(frame.get("status"), str) or isinstance(frame.get("event"), str):
        return []
    return [source.rejected(data, Reason.MALFORMED, "neither a bar, an answer nor a heartbeat")]


def _object(raw: bytes) -> dict[str, Any] | None:
    try:
        frame = from_json(raw)
    except ValueError:
        return None
    return frame if isinstance(frame, dict) else None

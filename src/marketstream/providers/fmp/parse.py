"""FMP frames into ticks, quotes and cancels: pure, one `TypeAdapter` for each kind, straight from the frame's bytes.

Every frame is one JSON object: a trade, a quote or a break (a trade taken back) by its `type` `T`, `Q` or `B`; what a
kind has no use for is null. Other types are ignored, and so are answers and heartbeats, which have an `event` or a
`message` and are read by `refusals`. Everything else is refused.

FMP gives no trade ids. A trade's identity is its content: time, price and size. A frame that is sent again is therefore
the same trade, and two prints that are equal in all three count once. A break repeats all three, so it names its trade.
"""

from functools import lru_cache
from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field, TypeAdapter
from pydantic_core import from_json
from typing_extensions import TypedDict

from marketstream.domain.market import Cancel, Quote, Tick
from marketstream.domain.outcomes import Parsed, Reason
from marketstream.domain.symbols import asset_class_of
from marketstream.providers.faults import Source, read_symbol
from marketstream.providers.fields import IdentifierText, NonNegativeNumber, PositiveNumber, SymbolText
from marketstream.providers.rows import reason_of
from marketstream.providers.symbology import PLAIN, Symbology
from marketstream.providers.times import sane_us, utc_us

NAME = "fmp"
_RANGE_REASONS = {
    **dict.fromkeys(("lp", "ap", "bp"), Reason.NON_POSITIVE_PRICE),
    **dict.fromkeys(("ls", "as", "bs"), Reason.NEGATIVE_SIZE),
}
_TimeText = Annotated[str, Field(strict=True, max_length=40)]
_Time = Annotated[int, Field(strict=True)] | Annotated[float, Field(strict=True)] | _TimeText
_asset_class = lru_cache(maxsize=4_096)(asset_class_of)


class _Last(TypedDict):
    s: SymbolText
    t: _Time
    lp: PositiveNumber
    ls: NonNegativeNumber
    e: NotRequired[IdentifierText | None]  # crypto's exchange


class _Trade(_Last):
    type: Literal["T"]


class _Break(_Last):
    type: Literal["B"]


_Quote = TypedDict(
    "_Quote",
    {
        "s": SymbolText,
        "t": _Time,
        "type": Literal["Q"],
        "ap": PositiveNumber,
        "bp": PositiveNumber,
        "as": NotRequired[NonNegativeNumber | None],
        "bs": NotRequired[NonNegativeNumber | None],
        "e": NotRequired[IdentifierText | None],
    },
)

_TRADE = TypeAdapter(_Trade)
_BREAK = TypeAdapter(_Break)
_QUOTE = TypeAdapter(_Quote)


def parse_frame(raw: bytes | str, received_time_us: int, names: Symbology = PLAIN) -> list[Parsed]:
    """The trade, quote, cancel or refusal of one frame; empty for answers and heartbeats. Never raises on bad data.

    Args:
        raw: The frame as received.
        received_time_us: When it left our socket, µs UTC.
        names: The canonical symbols.
    """
    data = raw.encode(errors="surrogatepass") if isinstance(raw, str) else raw
    source = Source(NAME, received_time_us)
    try:
        # A guess from the bytes alone; where it is wrong, the frame is read again below.
        return [_read("Q" if b'"Q"' in data else "T", data, source, names)]
    except ValueError:  # pydantic's ValidationError, or a refusal of a number or a time
        return _by_type(data, source, names)


def _read(kind: str, data: bytes, source: Source, names: Symbology) -> Parsed:
    if kind == "T":
        return _tick(_TRADE.validate_json(data), source, names)
    if kind == "Q":
        return _quote(_QUOTE.validate_json(data), source, names)
    return _cancel(_BREAK.validate_json(data), source, names)


def _tick(trade: _Trade, source: Source, names: Symbology) -> Tick:
    symbol = names.canonical(trade["s"])
    time_us = utc_us(trade["t"])
    return Tick(
        symbol=symbol,
        price=trade["lp"],
        size=trade["ls"],
        event_time_us=time_us,
        received_time_us=source.received_time_us,
        provider=NAME,
        trade_id=_identity(trade, time_us),
        asset_class=_asset_class(symbol),
        exchange=trade.get("e"),
    )


def _cancel(broken: _Break, source: Source, names: Symbology) -> Cancel:
    symbol = names.canonical(broken["s"])
    time_us = sane_us(utc_us(broken["t"]), source.received_time_us)
    return Cancel(
        symbol=symbol,
        price=broken["lp"],
        size=broken["ls"],
        event_time_us=time_us,
        received_time_us=source.received_time_us,
        provider=NAME,
        trade_id=_identity(broken, time_us),
        asset_class=_asset_class(symbol),
    )


def _quote(quote: _Quote, source: Source, names: Symbology) -> Quote:
    symbol = names.canonical(quote["s"])
    return Quote(
        symbol=symbol,
        bid_price=quote["bp"],
        bid_size=quote.get("bs") or 0.0,
        ask_price=quote["ap"],
        ask_size=quote.get("as") or 0.0,
        event_time_us=sane_us(utc_us(quote["t"]), source.received_time_us),
        received_time_us=source.received_time_us,
        provider=NAME,
        asset_class=_asset_class(symbol),
        exchange=quote.get("e"),
    )


def _identity(trade: _Last, time_us: int) -> str:
    # A time in ns tells trades of the same microsecond apart; other numbers and texts say no more than `time_us`.
    time = trade["t"]
    return f"{time if isinstance(time, int) else time_us}:{trade['lp']!r}:{trade['ls']!r}"


def _by_type(data: bytes, source: Source, names: Symbology) -> list[Parsed]:
    try:
        frame = from_json(data)
    except ValueError as error:
        return [source.rejected(data, Reason.MALFORMED, f"Invalid JSON: {error}")]
    symbol = read_symbol(data, "s")
    canonical = symbol and names.canonical(symbol)
    kind = frame.get("type") if isinstance(frame, dict) else None
    if not isinstance(kind, str) or "s" not in frame:
        if isinstance(frame, dict) and _is_answer(frame):
            return []
        return [source.rejected(data, Reason.MALFORMED, "neither a trade, a quote, a break nor an answer", canonical)]
    if kind not in ("T", "Q", "B"):
        return []
    try:
        return [_read(kind, data, source, names)]
    except ValueError as error:
        return [source.rejected(data, *reason_of(error, _RANGE_REASONS), canonical)]


def _is_answer(frame: dict[str, Any]) -> bool:
    return isinstance(frame.get("event"), str) or isinstance(frame.get("message"), str)

"""Finage frames into ticks and quotes: pure, one `TypeAdapter` for each kind, straight from the frame's bytes.

Every frame is one JSON object. What it is, its fields tell: `q` a crypto trade, `p` any other trade, an ask and a bid
(`ap` or `a`, `bp` or `b`) a quote. Ignored are notices, which `refusals` reads: `{"status_code": …, "message": …}`, and
text such as `401 - invalid socket key`. Everything else is refused.

Finage gives no trade ids. A trade's identity is its content: time, price, size, and conditions or source. A frame that
is sent again is therefore the same trade, and two prints that are equal in all of these count once.
"""

from functools import lru_cache
from typing import Annotated, Any, NotRequired

from pydantic import Field, TypeAdapter
from pydantic_core import from_json
from typing_extensions import TypedDict

from marketstream.domain.market import Quote, Tick
from marketstream.domain.outcomes import Parsed, Reason
from marketstream.domain.symbols import asset_class_of
from marketstream.providers.faults import Source, number_reason, read_symbol
from marketstream.providers.fields import (
    IdentifierText,
    NonNegativeNumber,
    NumericText,
    PositiveNumber,
    SmallInt,
    StrictBool,
    SymbolText,
)
from marketstream.providers.finage.refusals import read_notice
from marketstream.providers.rows import reason_of
from marketstream.providers.symbology import PLAIN, Symbology
from marketstream.providers.times import sane_us, utc_us

NAME = "finage"
_RANGE_REASONS = {
    **dict.fromkeys(("p", "ap", "a", "bp", "b"), Reason.NON_POSITIVE_PRICE),
    **dict.fromkeys(("v", "as", "bs"), Reason.NEGATIVE_SIZE),
    "t": Reason.TIME_OUT_OF_RANGE,
}
_Time = Annotated[int, Field(strict=True, ge=0)]
_Conditions = Annotated[list[SmallInt], Field(max_length=32)]
_asset_class = lru_cache(maxsize=4_096)(asset_class_of)


class _StockTrade(TypedDict):
    s: SymbolText
    p: PositiveNumber
    v: NonNegativeNumber
    t: _Time
    c: NotRequired[_Conditions | None]
    dp: NotRequired[StrictBool | None]  # printed in a dark pool


class _CryptoTrade(TypedDict):
    s: SymbolText
    p: NumericText
    q: NumericText
    t: _Time
    src: NotRequired[IdentifierText | None]


# Stocks' quotes come with either spelling of the prices, currencies' with the shorter one and without sizes.
_Quote = TypedDict(
    "_Quote",
    {
        "s": SymbolText,
        "ap": NotRequired[PositiveNumber],
        "a": NotRequired[PositiveNumber],
        "bp": NotRequired[PositiveNumber],
        "b": NotRequired[PositiveNumber],
        "as": NotRequired[NonNegativeNumber | None],
        "bs": NotRequired[NonNegativeNumber | None],
        "t": _Time,
    },
)


_STOCK = TypeAdapter(_StockTrade)
_CRYPTO = TypeAdapter(_CryptoTrade)
_QUOTE = TypeAdapter(_Quote)


def parse_frame(raw: bytes | str, received_time_us: int, names: Symbology = PLAIN) -> list[Parsed]:
    """The trade, quote or refusal of one frame; empty for notices. Never raises on bad data.

    Args:
        raw: The frame as received.
        received_time_us: When it left our socket, µs UTC.
        names: The canonical symbols.
    """
    data = raw.encode(errors="surrogatepass") if isinstance(raw, str) else raw
    source = Source(NAME, received_time_us)
    try:
        # A guess from the bytes alone; where it is wrong, the frame is read again below.
        if b'"q":' in data:
            return [_crypto_tick(_CRYPTO.validate_json(data), source, names)]
        if b'"p":' in data:
            return [_stock_tick(_STOCK.validate_json(data), source, names)]
        return [_quote(_QUOTE.validate_json(data), source, names)]
    except ValueError:  # pydantic's ValidationError, or a refusal of a number or a time
        return _by_fields(data, source, names)


def _stock_tick(trade: _StockTrade, source: Source, names: Symbology) -> Tick:
    symbol = names.canonical(trade["s"])
    conditions = tuple(map(str, trade.get("c") or ()))
    dark = ":dp" if trade.get("dp") else ""
    return Tick(
        symbol=symbol,
        price=trade["p"],
        size=trade["v"],
        event_time_us=utc_us(trade["t"]),
        received_time_us=source.received_time_us,
        provider=NAME,
        trade_id=f"{trade['t']}:{trade['p']!r}:{trade['v']!r}:{'.'.join(conditions)}{dark}",
        asset_class=_asset_class(symbol),
        conditions=conditions,
    )


def _crypto_tick(trade: _CryptoTrade, source: Source, names: Symbology) -> Tick:
    symbol = names.canonical(trade["s"])
    price, size, exchange = float(trade["p"]), float(trade["q"]), trade.get("src")
    return Tick(
        symbol=symbol,
        price=price,
        size=size,
        event_time_us=utc_us(trade["t"]),
        received_time_us=source.received_time_us,
        provider=NAME,
        trade_id=f"{trade['t']}:{price!r}:{size!r}:{exchange or ''}",
        asset_class="crypto",
        exchange=exchange,
    )


def _quote(quote: _Quote, source: Source, names: Symbology) -> Quote:
    symbol = names.canonical(quote["s"])
    ask, bid = quote.get("ap", quote.get("a")), quote.get("bp", quote.get("b"))
    if ask is None or bid is None:
        raise ValueError("an ask and a bid are not both there")
    return Quote(
        symbol=symbol,
        bid_price=bid,
        bid_size=quote.get("bs") or 0.0,
        ask_price=ask,
        ask_size=quote.get("as") or 0.0,
        event_time_us=sane_us(utc_us(quote["t"]), source.received_time_us),
        received_time_us=source.received_time_us,
        provider=NAME,
        asset_class=_asset_class(symbol),
    )


def _by_fields(data: bytes, source: Source, names: Symbology) -> list[Parsed]:
    if read_notice(data) is not None:
        return []
    try:
        frame = from_json(data)
    except ValueError as error:
        return [source.rejected(data, Reason.MALFORMED, f"Invalid JSON: {error}")]
    symbol = read_symbol(data, "s")
    canonical = symbol and names.canonical(symbol)
    if not isinstance(frame, dict) or not frame.keys() & {"p", "q", "ap", "a", "bp", "b"}:
        return [source.rejected(data, Reason.MALFORMED, "neither a trade, a quote nor a notice", canonical)]
    try:
        return [_read(data, frame, source, names)]
    except ValueError as error:
        reason, detail = reason_of(error, _RANGE_REASONS)
    if reason is Reason.INVALID_FIELD and "q" in frame:
        reason = _text_reason(frame)
    return [source.rejected(data, reason, detail, canonical)]


def _read(data: bytes, frame: dict[str, Any], source: Source, names: Symbology) -> Parsed:
    if "q" in frame:
        return _crypto_tick(_CRYPTO.validate_json(data), source, names)
    if "p" in frame:
        return _stock_tick(_STOCK.validate_json(data), source, names)
    return _quote(_QUOTE.validate_json(data), source, names)


def _text_reason(frame: dict[str, Any]) -> Reason:
    """Why a crypto trade was refused; its numbers are text, which says nothing of their range."""
    try:
        return number_reason(float(frame["p"]), float(frame["q"]))
    except (ValueError, TypeError, KeyError, OverflowError):
        return Reason.INVALID_FIELD

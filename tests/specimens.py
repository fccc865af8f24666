"""Frames of every provider: the documented ones, as the unit tests have them, and those the replay server writes."""

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any

import orjson

from marketstream.testing.market import Market
from marketstream.testing.replay.conversation import Batch
from marketstream.testing.replay.dialect import RestRequest, Rules
from marketstream.testing.replay.dialects import DIALECTS
from marketstream.testing.replay.history import PlayedHistory
from unit.providers import test_alpha_vantage_parse as alpha_vantage_wire
from unit.providers import test_binance_parse as binance_wire
from unit.providers import test_finage_parse as finage_wire
from unit.providers import test_finazon_parse as finazon_wire
from unit.providers import test_fmp_parse as fmp_wire
from unit.providers import test_polygon_parse as polygon_wire

START = 1_714_400_040_000_000
NOW = 1_714_500_000_000_000  # later than every frame here
_DIALECTS = {dialect.provider: dialect for dialect in DIALECTS}


def spoken(provider: str, path: str, requests: Sequence[dict[str, Any]], symbols: Iterable[str]) -> list[bytes]:
    """What the replay server sends a client on this path who says these things, and then as a market trades."""
    conversation = _DIALECTS[provider].converse(path, Rules())
    frames = [*conversation.greeting().frames]
    for request in requests:
        frames += conversation.answer(orjson.dumps(request), 0.0).frames
    trades = list(islice(Market(tuple(symbols), ticks_per_second=0.1).trades(START), 12))
    history = PlayedHistory()
    for first in range(0, len(trades), 2):
        batch = trades[first : first + 2]
        history.add(batch)
        frames += [outgoing.frame for outgoing in conversation.frames(Batch(batch, history))]
    frames += conversation.cancelled(trades[0])
    frames += conversation.farewell(START)
    return [*frames, *conversation.answer(b"?", 0.0).frames, *conversation.refused("burst").frames]


def _polygon() -> list[bytes]:
    wire = polygon_wire
    requests = [{"action": "auth", "params": "k"}, {"action": "subscribe", "params": "T.*,Q.*,AM.*,A.*"}]
    events = (wire.TRADE, wire.QUOTE, wire.MINUTE, wire.STATUS)
    together = wire.frame(*events)
    return [*map(wire.frame, events), together, *spoken("polygon", "/stocks", requests, ["AAPL", "MSFT"])]


def _binance() -> list[bytes]:
    wire = binance_wire
    streams = [f"btcusdt@{kind}" for kind in ("trade", "aggTrade", "bookTicker", "kline_1m")]
    request = {"method": "SUBSCRIBE", "params": streams, "id": 1}
    bare = [*map(orjson.dumps, (wire.TRADE, wire.KLINE, wire.GOOD_KLINE, wire.BOOK, *wire.OTHERS))]
    wrapped = [
        wire.combined(wire.TRADE),
        wire.combined(wire.GOOD_KLINE, "bnbbtc@kline_1m"),
        wire.combined(wire.BOOK, "bnbusdt@bookTicker"),
    ]
    raw, combined = (spoken("binance", path, [request], ["BTCUSDT"]) for path in ("/ws", "/stream"))
    return bare + wrapped + raw + combined


def _binance_usdm() -> list[bytes]:
    wire = binance_wire
    request = {"method": "SUBSCRIBE", "params": ["btcusdt@aggTrade", "btcusdt@bookTicker", "btcusdt@kline_1m"], "id": 1}
    documented = [
        orjson.dumps(wire.USDM_TRADE),
        wire.combined(wire.USDM_TRADE, "btcusdt@aggTrade"),
        orjson.dumps(wire.USDM_BOOK),
        wire.combined(wire.USDM_BOOK, "bnbusdt@bookTicker"),
        wire.combined(wire.GOOD_KLINE, "bnbbtc@kline_1m"),
    ]
    paths = ("/market/stream", "/market/ws", "/public/stream")
    return documented + [each for path in paths for each in spoken("binance_usdm", path, [request], ["BTCUSDT-PERP"])]


def _finage() -> list[bytes]:
    wire = finage_wire
    quotes = [wire.STOCK_QUOTE, wire.STOCK_QUOTE_WITH_CHANGE, wire.FOREX]
    documented = [wire.STOCK, wire.CRYPTO, wire.CRYPTO_PLAIN, *quotes]
    request = {"action": "subscribe", "symbols": "AAPL,BTCUSD,GBP/USD"}
    return documented + wire.NOTICES + spoken("finage", "/finage?token=k", [request], ["AAPL", "BTCUSD", "GBPUSD"])


def _fmp() -> list[bytes]:
    wire = fmp_wire
    requests: list[dict[str, Any]] = [
        {"event": "login", "data": {"apiKey": "k"}},
        {"event": "subscribe", "data": {"ticker": ["aapl", "btcusd", "xauusd"]}},
    ]
    documented = [wire.TRADE, wire.BREAK, wire.QUOTE, *wire.ANSWERS]
    return documented + spoken("fmp", "/fmp", requests, ["AAPL", "BTCUSD", "XAUUSD"])


def _finazon() -> list[bytes]:
    wire = finazon_wire
    common = {"event": "subscribe", "dataset": "us_stocks_essential", "channel": "bars", "aggregation": "1m"}
    requests: list[dict[str, Any]] = [
        {**common, "tickers": ["AAPL", "?"], "frequency": "1s"},
        {**common, "tickers": ["MSFT"], "frequency": "1m"},
        {"event": "heartbeat"},
    ]
    documented = [wire.BAR, wire.GRANTED, wire.HEARTBEAT]
    return documented * 3 + spoken("finazon", "/v1?apikey=k", requests, ["AAPL", "MSFT"])


def _alpha_vantage() -> list[bytes]:
    wire = alpha_vantage_wire
    times = (f"2020-03-24 {time}:00" for time in ("16:00", "15:55", "15:50"))
    documented = [wire.answer(dict.fromkeys(times, wire.VALUES)), wire.answer({}), wire.QUOTE]
    history = PlayedHistory()
    history.add(islice(Market(("AAPL",), ticks_per_second=0.02).trades(START), 8))
    queries = [
        {"function": "TIME_SERIES_INTRADAY", "symbol": "AAPL", "interval": "1min", "apikey": "k"},
        {"function": "TIME_SERIES_INTRADAY", "symbol": "AAPL", "interval": "5min", "outputsize": "full", "apikey": "k"},
        {"function": "GLOBAL_QUOTE", "symbol": "AAPL", "apikey": "k"},
        {"function": "TIME_SERIES_INTRADAY", "symbol": "AAPL", "interval": "7min", "apikey": "k"},
    ]
    asked = [(query, Rules()) for query in queries] + [(queries[0], Rules(quota="daily"))]
    dialect = _DIALECTS["alpha_vantage"]
    answered = [
        dialect.reply(RestRequest("/query", {**query, "apikey": "k"}, {}, NOW), history, rules).body
        for query, rules in asked
    ]
    return documented + answered


SPECIMENS: dict[str, Callable[[], list[bytes]]] = {
    "polygon": _polygon,
    "finage": _finage,
    "fmp": _fmp,
    "finazon": _finazon,
    "alpha_vantage": _alpha_vantage,
    "binance": _binance,
    "binance_usdm": _binance_usdm,
}

"""The Finage protocol, server side.

Any path with `?token=…` greets with two statuses or refuses with a text, and takes `subscribe` and `unsubscribe`, which
it does not acknowledge. Stocks' trades and quotes are streamed, crypto's trades and currencies' quotes, which the
provider splits over servers. REST serves last trades, last quotes and aggregates, compressed as the provider insists.
The wording of spent quotas and of malformed requests is ours: the provider's is not documented.
"""

import gzip
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import orjson

from marketstream.domain.symbols import asset_class_of
from marketstream.testing.market_trade import MarketTrade
from marketstream.testing.replay.conversation import POLICY_VIOLATION, Answer, Batch, Outgoing
from marketstream.testing.replay.dialect import Dialect, RestReply, RestRequest, Rules
from marketstream.testing.replay.history import PlayedHistory
from marketstream.testing.replay.numbers import decimal_text
from marketstream.testing.replay.quotes import quote_at

_SESSION = "e0fb1b68-1905-48e3-9fd2-d482bf5e1f0a"  # any will do
_REFUSALS: Mapping[str, tuple[HTTPStatus, str]] = {
    "burst": (HTTPStatus.TOO_MANY_REQUESTS, "too many requests, please slow down"),
    "daily": (HTTPStatus.TOO_MANY_REQUESTS, "you have used up the requests of your monthly quota"),
    "bandwidth": (HTTPStatus.TOO_MANY_REQUESTS, "you have used up the bandwidth of your package"),
    "plan": (HTTPStatus.UNAUTHORIZED, "please upgrade your package to access this market"),
    "ban": (HTTPStatus.FORBIDDEN, "your address is blocked"),
}
_NO_KEY = "Please use your APIKey to make a request."
_NO_PERMISSION = "You do not have permission to make a request to this endpoint."
_NO_SYMBOL = "Please check the symbol and try again."
_BARS = re.compile(r"/agg/(stock|crypto|forex)/([^/]+)/([0-9]+)/(minute|hour|day)/([0-9-]{10})/([0-9-]{10})")
_SYMBOL = re.compile(r"[A-Za-z0-9.-]{1,20}")  # any other is unknown
_UNIT_US = {"minute": 60_000_000, "hour": 3_600_000_000, "day": 86_400_000_000}
_DAY_US = _UNIT_US["day"]
_DEFAULT_BARS, _MAX_BARS = 100, 50_000
_MARKETS = {"equity": "stock", "crypto": "crypto", "forex": "forex", "commodity": "forex"}


def encode_trade(trade: MarketTrade) -> bytes:
    """A trade frame; nothing for currencies, which have only quotes. Times are truncated to ms."""
    time_ms = trade.event_time_us // 1_000
    market = _MARKETS[asset_class_of(trade.symbol)]
    if market == "stock":
        size: float = int(trade.size) if trade.size == int(trade.size) else trade.size
        event: dict[str, Any] = {"s": trade.symbol, "p": trade.price, "c": trade.conditions, "v": size, "dp": False}
        return orjson.dumps({**event, "t": time_ms})
    if market == "crypto":
        amounts = {"p": decimal_text(trade.price), "q": decimal_text(trade.size)}
        return orjson.dumps({"s": trade.symbol, **amounts, "dex": False, "src": "A", "t": time_ms})
    return b""


def encode_quote(trade: MarketTrade) -> bytes:
    """The quote frame after a trade; nothing for crypto, which has only trades. Currencies have the short spelling."""
    market = _MARKETS[asset_class_of(trade.symbol)]
    quote, time_ms = quote_at(trade), trade.event_time_us // 1_000
    if market == "stock":
        prices = {"ap": quote.ask_price, "bp": quote.bid_price, "as": quote.ask_size, "bs": quote.bid_size}
        return orjson.dumps({"s": trade.symbol, **prices, "t": time_ms})
    if market == "forex":
        change = {"dd": "-0.0108", "dc": "-0.8082", "ppms": False}
        symbol = f"{trade.symbol[:3]}/{trade.symbol[3:]}"
        return orjson.dumps({"s": symbol, "a": quote.ask_price, "b": quote.bid_price, **change, "t": time_ms})
    return b""


def speaks(path: str) -> bool:
    """Whether a request's path is one of this protocol's."""
    address = urlsplit(path)
    return address.path == "/finage" or "token" in parse_qs(address.query, keep_blank_values=True)


class FinageConversation:
    """One client of the Finage protocol.

    Args:
        path: The request's path and query, which has the key.
        rules: Who is let in.
    """

    provider = "finage"

    def __init__(self, path: str, rules: Rules) -> None:
        self._key = parse_qs(urlsplit(path).query).get("token", [""])[0]
        self._rules = rules
        self._let_in = False
        self._symbols: dict[str, None] = {}

    @property
    def subscribed(self) -> bool:
        """Whether any symbol is subscribed."""
        return bool(self._symbols)

    def greeting(self) -> Answer:
        """Two statuses, or a refusal and the end."""
        if not self._rules.accepts_key(self._key):
            why = "invalid socket key" if self._key else "use your socket key to connect"
            return Answer((f"401 - {why}".encode(),), (POLICY_VIOLATION, why))
        self._let_in = True
        return Answer((_status(200, "authorizing"), _status(200, "connected to the adapter")))

    def farewell(self, now_us: int) -> tuple[bytes, ...]:
        """Nothing: this protocol has no such frame."""
        return ()

    def refused(self, quota: str) -> Answer:
        """A text, then the end."""
        status, words = _REFUSALS.get(quota, _REFUSALS["burst"])
        return Answer((f"{status.value} - {words}".encode(),), (POLICY_VIOLATION, quota))

    def cancelled(self, trade: MarketTrade) -> tuple[bytes, ...]:
        """Nothing: this protocol takes no trade back."""
        return ()

    def answer(self, request: str | bytes, now_seconds: float) -> Answer:
        """Takes a subscription in silence; anything else gets an error status, or the end while a quota is used up."""
        if self._rules.quota:
            return self.refused(self._rules.quota)
        try:
            message = orjson.loads(request)
            action, symbols = message["action"], message["symbols"].split(",")
        except (orjson.JSONDecodeError, TypeError, KeyError, AttributeError):
            return Answer((_status(400, "expected an object with action and symbols"),))
        if action not in ("subscribe", "unsubscribe") or not self._let_in:
            return Answer((_status(400, f"unknown action: {action}"),))
        for symbol in filter(None, map(str.strip, symbols)):
            if action == "subscribe":
                self._symbols[_canonical(symbol)] = None
            else:
                self._symbols.pop(_canonical(symbol), None)
        return Answer()

    def frames(self, batch: Batch) -> Iterator[Outgoing]:
        """A frame for each trade and one for the quote after it, as far as the market has them."""
        trades, quotes = batch.encoded(encode_trade), batch.encoded(encode_quote)
        for index, trade in enumerate(batch.trades):
            if trade.symbol not in self._symbols:
                continue
            frames = [frame for frame in (trades[index], quotes[index]) if frame]
            for number, frame in enumerate(frames, start=1):
                yield Outgoing(frame, index + (number == len(frames)))


def serves(path: str) -> bool:
    """Whether a REST request's path is one of this provider's."""
    return path.startswith(("/last/", "/agg/", "/history/"))


def reply(request: RestRequest, history: PlayedHistory, rules: Rules) -> RestReply:
    """Answers last trades, last quotes and aggregates."""
    if "gzip" not in request.headers.get("accept-encoding", ""):
        return RestReply(b'{"error":"GZip compression required"}', HTTPStatus.NOT_ACCEPTABLE)
    key = request.query.get("apikey", "")
    if not rules.accepts_key(key):
        return _error(HTTPStatus.NOT_ACCEPTABLE, _NO_PERMISSION if key else _NO_KEY)
    if rules.quota:
        status, words = _REFUSALS[rules.quota]
        wait = round(rules.retry_after_seconds)
        return _error(status, words, {"Retry-After": str(wait)} if wait else None)
    path = unquote(request.path)
    if match := _BARS.fullmatch(path):
        return _bars(match, request.query, history)
    for prefix, answer in _LAST.items():
        if path.startswith(prefix):
            trade = history.last(path.removeprefix(prefix).upper())
            return _error(HTTPStatus.BAD_REQUEST, _NO_SYMBOL) if trade is None else _json(answer(trade))
    return _error(HTTPStatus.NOT_FOUND, "no such endpoint")


def _last_stock(trade: MarketTrade) -> dict[str, Any]:
    return {**_last_crypto(trade), "size": trade.size}


def _last_forex(trade: MarketTrade) -> dict[str, Any]:
    return {**_last_crypto(trade), "timestamp": trade.event_time_us // 1_000_000}


def _last_crypto(trade: MarketTrade) -> dict[str, Any]:
    return {"symbol": trade.symbol, "price": trade.price, "timestamp": trade.event_time_us // 1_000}


def _last_quote(trade: MarketTrade) -> dict[str, Any]:
    quote = quote_at(trade)
    sizes = {"asize": quote.ask_size, "bsize": quote.bid_size}
    prices = {"ask": quote.ask_price, "bid": quote.bid_price}
    return {"symbol": trade.symbol, **prices, **sizes, "timestamp": trade.event_time_us // 1_000}


_LAST: Mapping[str, Callable[[MarketTrade], dict[str, Any]]] = {
    "/last/trade/stock/": _last_stock,
    "/last/trade/forex/": _last_forex,
    "/last/crypto/": _last_crypto,
    "/last/stock/": _last_quote,
    "/last/forex/": _last_quote,
}


def _bars(match: re.Match[str], query: Mapping[str, str], history: PlayedHistory) -> RestReply:
    _, symbol, size, unit, first, last = match.groups()
    length_us = int(size) * _UNIT_US[unit]
    if not _SYMBOL.fullmatch(symbol):
        return _error(HTTPStatus.BAD_REQUEST, _NO_SYMBOL)
    try:
        start_us, end_us = _midnight_us(first), _midnight_us(last) + _DAY_US
        limit = min(int(query.get("limit", _DEFAULT_BARS)), _MAX_BARS)
    except ValueError:
        return _error(HTTPStatus.BAD_REQUEST, "Please check the dates and the limit and try again.")
    results = [
        {"o": bar.open, "h": bar.high, "l": bar.low, "c": bar.close, "v": bar.volume, "t": bar.start_us // 1_000}
        for bar in history.bars(symbol.upper(), length_us, start_us, end_us)
    ]
    if query.get("sort") == "desc":
        results.reverse()
    return _json({"symbol": symbol.upper(), "totalResults": len(results[:limit]), "results": results[:limit]})


def _midnight_us(day: str) -> int:
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) * 1_000_000


def _canonical(name: str) -> str:
    return name.upper().replace("/", "")


def _status(code: int, message: str) -> bytes:
    return orjson.dumps({"status_code": code, "message": message, "id": _SESSION})


def _json(value: Any, status: HTTPStatus = HTTPStatus.OK, headers: Mapping[str, str] | None = None) -> RestReply:
    body = gzip.compress(orjson.dumps(value), compresslevel=1, mtime=0)
    return RestReply(body, status, {"Content-Encoding": "gzip", **(headers or {})})


def _error(status: HTTPStatus, message: str, headers: Mapping[str, str] | None = None) -> RestReply:
    return _json({"error": message}, status, headers)


DIALECT = Dialect(provider="finage", speaks=speaks, converse=FinageConversation, serves=serves, reply=reply)

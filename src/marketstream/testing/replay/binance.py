"""The Binance market-stream protocol, server side: spot's, and what futures share with it.

`/ws/<stream>` sends raw events, `/stream?streams=a/b` wraps them with their stream's name, and both take `SUBSCRIBE`,
`UNSUBSCRIBE`, `LIST_SUBSCRIPTIONS`, `SET_PROPERTY` and `GET_PROPERTY`. `<symbol>@trade`, `@aggTrade` (one trade per
aggregate), `@bookTicker` and `@kline_<interval>` are streamed; any other stream can be subscribed to and stays silent,
as a misspelt one does at the provider. A bar is sent when it is over, as soon as the next one's first trade shows it,
and while it grows at most every 2 s of the market's time.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson

from marketstream.testing.market_trade import MarketTrade
from marketstream.testing.replay.binance_rest import reply
from marketstream.testing.replay.binance_venue import (
    INTERVALS_US,
    Venue,
    aggregate_of,
    book_of,
    encode_kline,
    event_of,
)
from marketstream.testing.replay.conversation import POLICY_VIOLATION, Answer, Batch, Outgoing
from marketstream.testing.replay.dialect import Dialect, Rules
from marketstream.testing.replay.history import PlayedHistory

_TOO_MANY_STREAMS = Answer(close=(POLICY_VIOLATION, "Too many streams"))
_METHODS = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")
_INVALID_VALUE, _INVALID_REQUEST, _INVALID_JSON = 1, 2, 3
_KLINE = "kline_"
_KLINE_UPDATE_US = 2_000_000


def encode_trade(trade: MarketTrade) -> bytes:
    """A `trade` event."""
    body = aggregate_of(trade)
    shared = {name: body[name] for name in ("p", "q", "T", "m")}
    return orjson.dumps({**event_of("trade", trade), "t": trade.sequence, **shared, "M": True})


def encode_aggregate(trade: MarketTrade) -> bytes:
    """An `aggTrade` event."""
    return orjson.dumps({**event_of("aggTrade", trade), **aggregate_of(trade), "M": True})


def encode_book(trade: MarketTrade) -> bytes:
    """A `bookTicker` event, which has no time."""
    return orjson.dumps(book_of(trade))


SPOT = Venue(
    provider="binance",
    routes={"": frozenset({"trade", "aggTrade", "bookTicker", "kline"})},
    encoders={"trade": encode_trade, "aggTrade": encode_aggregate, "bookTicker": encode_book},
    futures=False,
    intervals=frozenset(INTERVALS_US),
    max_streams=1_024,
    requests_per_second=5,
    rest_path="/api/v3",
    weight_limit=6_000,
    trade_weight=4,
    max_bars=1_000,
)


@dataclass(slots=True)
class _Growing:
    """How far a client has been sent a bar."""

    start_us: int
    sent_us: int | None = None


class BinanceConversation:
    """One client of the Binance protocol.

    Args:
        path: The request's path and query, which may name streams.
        rules: Who is let in.
        venue: Spot or futures.
    """

    def __init__(self, path: str, rules: Rules | None = None, venue: Venue = SPOT) -> None:
        parts = urlsplit(path)
        route = next((route for route in venue.routes if route and parts.path.startswith(route + "/")), "")
        plain = parts.path.removeprefix(route)
        self._rules = rules or Rules()
        self._venue = venue
        self._kinds = venue.routes.get(route, frozenset())
        self._combined = plain == "/stream"
        named = parse_qs(parts.query).get("streams", [""])[0] if self._combined else plain.removeprefix("/ws")
        self._streams: dict[str, None] = dict.fromkeys(filter(None, named.split("/")))
        self._wanted: dict[str, tuple[str, ...]] = {}
        self._growing: dict[tuple[str, str], _Growing] = {}
        self._heard = PlayedHistory()  # stands in for what has been played where a batch doesn't bring that
        self._requests: deque[float] = deque(maxlen=venue.requests_per_second)
        self._index()

    @property
    def provider(self) -> str:
        """The venue's."""
        return self._venue.provider

    @property
    def subscribed(self) -> bool:
        """Whether any stream that is played is subscribed."""
        return bool(self._wanted)

    def greeting(self) -> Answer:
        """Nothing, unless the path names too many streams or a quota is used up: this protocol greets nobody."""
        if self._rules.quota is not None:
            return self.refused(self._rules.quota)
        return _TOO_MANY_STREAMS if len(self._streams) > self._venue.max_streams else Answer()

    def farewell(self, now_us: int) -> tuple[bytes, ...]:
        """The `serverShutdown` event."""
        event = orjson.dumps({"e": "serverShutdown", "E": now_us // 1_000})
        return (_wrapped("!serverShutdown", event) if self._combined else event,)

    def refused(self, quota: str) -> Answer:
        """The end."""
        return Answer(close=(POLICY_VIOLATION, f"limit exceeded: {quota}"))

    def cancelled(self, trade: MarketTrade) -> tuple[bytes, ...]:
        """Nothing: this protocol takes no trade back."""
        return ()

    def answer(self, request: str | bytes, now_seconds: float) -> Answer:
        """Handles a request; too many in a second, or too many streams, end the connection."""
        if self._rules.quota is not None:
            return self.refused(self._rules.quota)
        crowded = len(self._requests) == self._requests.maxlen and now_seconds - self._requests[0] < 1
        self._requests.append(now_seconds)
        if crowded:
            return Answer(close=(POLICY_VIOLATION, "Too many requests"))
        try:
            message = orjson.loads(request)
        except orjson.JSONDecodeError as error:
            return _error(_INVALID_JSON, f"Invalid JSON: {error}")
        if not isinstance(message, dict) or "method" not in message:
            return _error(_INVALID_REQUEST, "Invalid request: missing field method")
        if message["method"] not in _METHODS:
            expected = ", ".join(f"`{method}`" for method in _METHODS)
            return _error(
                _INVALID_REQUEST, f"Invalid request: unknown variant {message['method']}, expected one of {expected}"
            )
        if not _is_id(message.get("id")):
            return _error(_INVALID_REQUEST, "Invalid request: request ID must be an unsigned integer or a string")
        return self._handle(message["method"], message.get("params"), message.get("id"))

    def frames(self, batch: Batch) -> Iterator[Outgoing]:
        """One frame per trade and subscribed stream of single events, and bars as they grow and end."""
        played = batch.history
        if played is None:
            self._heard.add(batch.trades)
            played = self._heard
        for index, trade in enumerate(batch.trades):
            symbol = self._venue.wire_symbol(trade.symbol, played)
            kinds = self._wanted.get(symbol or "", ())
            for number, kind in enumerate(kinds, start=1):
                passed = index + (number == len(kinds))
                encode = self._venue.encoders.get(kind)
                events = self._klines(kind, trade, played) if encode is None else (batch.encoded(encode)[index],)
                for event in events:
                    yield Outgoing(self._dressed(event, symbol, kind), passed)

    def _dressed(self, event: bytes, symbol: str | None, kind: str) -> bytes:
        return _wrapped(f"{(symbol or '').lower()}@{kind}", event) if self._combined else event

    def _klines(self, kind: str, trade: MarketTrade, played: PlayedHistory) -> Iterator[bytes]:
        interval = kind.removeprefix(_KLINE)
        length_us = INTERVALS_US[interval]
        start_us = trade.event_time_us // length_us * length_us
        growing = self._growing.setdefault((interval, trade.symbol), _Growing(start_us))
        symbol = self._venue.wire_symbol(trade.symbol, played) or trade.symbol
        encode = partial(encode_kline, symbol, interval, event_time_us=trade.event_time_us)
        if start_us > growing.start_us:
            over = played.bars(trade.symbol, length_us, growing.start_us, growing.start_us + 1)
            yield from map(encode, over)
            growing.start_us, growing.sent_us = start_us, None
        fresh = growing.sent_us is None or trade.event_time_us - growing.sent_us >= _KLINE_UPDATE_US
        if start_us == growing.start_us and fresh:
            growing.sent_us = trade.event_time_us
            yield from map(encode, played.bars(trade.symbol, length_us, start_us, start_us + 1))

    def _handle(self, method: str, params: Any, number: Any) -> Answer:
        if method == "LIST_SUBSCRIPTIONS":
            return _result(list(self._streams), number)
        if not isinstance(params, list) or not all(isinstance(name, str | bool) for name in params):
            return _error(_INVALID_REQUEST, "Invalid request: params must be a list", number)
        if method.endswith("_PROPERTY"):
            return self._property(method, params, number)
        names = [str(name) for name in params]
        if method == "UNSUBSCRIBE":
            for name in names:
                self._streams.pop(name, None)
        elif len(self._streams | dict.fromkeys(names)) > self._venue.max_streams:
            return _TOO_MANY_STREAMS
        else:
            self._streams |= dict.fromkeys(names)
        self._index()
        return _result(None, number)

    def _property(self, method: str, params: list[Any], number: Any) -> Answer:
        if params[:1] != ["combined"]:
            return _error(0, "Unknown property", number)
        if method == "GET_PROPERTY":
            return _result(self._combined, number)
        if len(params) != 2 or not isinstance(params[1], bool):
            return _error(_INVALID_VALUE, "Invalid value type: expected Boolean", number)
        self._combined = params[1]
        return _result(None, number)

    def _index(self) -> None:
        wanted: dict[str, tuple[str, ...]] = {}
        for stream in self._streams:
            symbol, _, kind = stream.partition("@")
            if symbol == symbol.lower() and self._plays(kind):
                wanted[symbol.upper()] = (*wanted.get(symbol.upper(), ()), kind)
        self._wanted = wanted

    def _plays(self, kind: str) -> bool:
        if kind.startswith(_KLINE):
            return "kline" in self._kinds and kind.removeprefix(_KLINE) in self._venue.intervals
        return kind in self._kinds and kind in self._venue.encoders


def dialect_of(venue: Venue) -> Dialect:
    """A venue's protocol: streams below its routes, and REST."""

    def speaks(path: str) -> bool:
        plain = urlsplit(path).path
        return any(plain.startswith(route) and _is_stream(plain.removeprefix(route)) for route in venue.routes)

    return Dialect(
        provider=venue.provider,
        speaks=speaks,
        converse=lambda path, rules: BinanceConversation(path, rules, venue),
        serves=lambda path: path.startswith(venue.rest_path + "/"),
        reply=partial(reply, venue),
    )


def _is_stream(path: str) -> bool:
    return path in ("/ws", "/stream") or path.startswith("/ws/")


def _wrapped(stream: str, event: bytes) -> bytes:
    return b'{"stream":%b,"data":%b}' % (orjson.dumps(stream), event)


def _is_id(value: Any) -> bool:
    return value is None or isinstance(value, str) or (type(value) is int and value >= 0)


def _result(result: Any, number: Any) -> Answer:
    return Answer((orjson.dumps({"result": result, "id": number}),))


def _error(code: int, message: str, number: Any = None) -> Answer:
    error = {"code": code, "msg": message}
    return Answer((orjson.dumps(error if number is None else {**error, "id": number}),))


DIALECT = dialect_of(SPOT)

"""The Binance spot market-stream protocol, server side.

`/ws/<stream>` sends raw events, `/stream?streams=a/b` wraps them with their stream's name, and both take `SUBSCRIBE`,
`UNSUBSCRIBE`, `LIST_SUBSCRIPTIONS`, `SET_PROPERTY` and `GET_PROPERTY`. `<symbol>@trade` and `<symbol>@aggTrade` are
streamed, one trade per aggregate; any other stream can be subscribed to and stays silent, as a misspelt one does at the
provider.
"""

from collections import deque
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson

from marketstream.testing.market_trade import MarketTrade
from marketstream.testing.replay.conversation import POLICY_VIOLATION, Answer, Batch, Outgoing
from marketstream.testing.replay.numbers import decimal_text

MAX_STREAMS = 1_024
MAX_REQUESTS_PER_SECOND = 5
_TOO_MANY_STREAMS = Answer(close=(POLICY_VIOLATION, "Too many streams"))
_METHODS = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")
_INVALID_VALUE, _INVALID_REQUEST, _INVALID_JSON = 1, 2, 3


def encode_trade(trade: MarketTrade) -> bytes:
    """A `trade` event. Times are truncated to ms; a trade without a side counts as bought."""
    return orjson.dumps({**_event("trade", trade), "t": trade.sequence, **_body(trade)})


def encode_aggregate(trade: MarketTrade) -> bytes:
    """An `aggTrade` event that holds just this trade; `a`, `f` and `l` are its sequence."""
    number = trade.sequence
    return orjson.dumps({**_event("aggTrade", trade), "a": number, "f": number, "l": number, **_body(trade)})


_ENCODERS = {"trade": encode_trade, "aggTrade": encode_aggregate}


def speaks(path: str) -> bool:
    """Whether a request's path is one of this protocol's."""
    plain = urlsplit(path).path
    return plain in ("/ws", "/stream") or plain.startswith("/ws/")


class BinanceConversation:
    """One client of the Binance protocol.

    Args:
        path: The request's path and query, which may name streams.
    """

    provider = "binance"

    def __init__(self, path: str) -> None:
        parts = urlsplit(path)
        self._combined = parts.path == "/stream"
        named = parse_qs(parts.query).get("streams", [""])[0] if self._combined else parts.path.removeprefix("/ws")
        self._streams: dict[str, None] = dict.fromkeys(filter(None, named.split("/")))
        self._wanted: dict[str, tuple[str, ...]] = {}
        self._requests: deque[float] = deque(maxlen=MAX_REQUESTS_PER_SECOND)
        self._index()

    @property
    def subscribed(self) -> bool:
        """Whether any trade stream is subscribed."""
        return bool(self._wanted)

    def greeting(self) -> Answer:
        """Nothing, unless the path names too many streams: this protocol greets nobody."""
        return _TOO_MANY_STREAMS if len(self._streams) > MAX_STREAMS else Answer()

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
        """Handles a request; more than five in a second, or too many streams, end the connection."""
        crowded = len(self._requests) == MAX_REQUESTS_PER_SECOND and now_seconds - self._requests[0] < 1
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
        """One frame per trade and subscribed stream."""
        for index, trade in enumerate(batch.trades):
            kinds = self._wanted.get(trade.symbol, ())
            for number, kind in enumerate(kinds, start=1):
                event = batch.encoded(_ENCODERS[kind])[index]
                frame = _wrapped(f"{trade.symbol.lower()}@{kind}", event) if self._combined else event
                yield Outgoing(frame, index + (number == len(kinds)))

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
        elif len(self._streams | dict.fromkeys(names)) > MAX_STREAMS:
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
            if kind in _ENCODERS and symbol == symbol.lower():
                wanted[symbol.upper()] = (*wanted.get(symbol.upper(), ()), kind)
        self._wanted = wanted


def _event(kind: str, trade: MarketTrade) -> dict[str, Any]:
    return {"e": kind, "E": trade.event_time_us // 1_000, "s": trade.symbol}


def _body(trade: MarketTrade) -> dict[str, Any]:
    return {
        "p": decimal_text(trade.price),
        "q": decimal_text(trade.size),
        "T": trade.event_time_us // 1_000,
        "m": trade.side == "sell",
        "M": True,
    }


def _wrapped(stream: str, event: bytes) -> bytes:
    return b'{"stream":%b,"data":%b}' % (orjson.dumps(stream), event)


def _is_id(value: Any) -> bool:
    return value is None or isinstance(value, str) or (type(value) is int and value >= 0)


def _result(result: Any, number: Any) -> Answer:
    return Answer((orjson.dumps({"result": result, "id": number}),))


def _error(code: int, message: str, number: Any = None) -> Answer:
    error = {"code": code, "msg": message}
    return Answer((orjson.dumps(error if number is None else {**error, "id": number}),))

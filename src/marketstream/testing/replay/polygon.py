"""The Polygon / Massive stocks protocol, server side.

Every frame is a JSON array. A status frame greets; `auth` comes first, then `subscribe` and `unsubscribe` with channels
such as `T.IBM` or `T.*`: trades (`T`), quotes (`Q`) and bars of a minute or a second (`AM`, `A`), the latter once a
trade of the next one comes. The wording of the refusal before `auth` is ours: the provider's is not documented.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import orjson

from marketstream.testing.market_trade import MarketTrade
from marketstream.testing.replay import polygon_rest
from marketstream.testing.replay.conversation import POLICY_VIOLATION, Answer, Batch, Outgoing
from marketstream.testing.replay.dialect import Dialect, Rules
from marketstream.testing.replay.history import LiveBars, PlayedBar
from marketstream.testing.replay.numbers import shortest_text
from marketstream.testing.replay.polygon_rest import TAPE, venue_number
from marketstream.testing.replay.quotes import quote_at

_BAR_LENGTHS = {"AM": 60_000_000, "A": 1_000_000}
_KINDS = ("T", "Q", *_BAR_LENGTHS)
_ROUND_LOT = 100
_NO_PLAN = "Your plan doesn't include websocket access. Visit https://massive.com/pricing to upgrade."
_TOO_MANY = (
    "Maximum number of websocket connections exceeded. You have reached the connection limit for your account. "
    "Please contact support at https://massive.com/contact to increase your limit."
)


def encode_trade(trade: MarketTrade) -> bytes:
    """A `T` event. Times are truncated to ms; a size with a fraction is in `ds`, and its whole part in `s`."""
    whole = int(trade.size)
    event: dict[str, Any] = {
        "ev": "T",
        "sym": trade.symbol,
        "x": venue_number(trade),
        "i": trade.trade_id,
        "z": TAPE,
        "p": trade.price,
        "s": whole,
        "t": trade.event_time_us // 1_000,
        "q": trade.sequence,
    }
    if whole != trade.size:
        event["ds"] = shortest_text(trade.size)
    if trade.conditions:
        event["c"] = trade.conditions
    return orjson.dumps(event)


def encode_quote(trade: MarketTrade) -> bytes:
    """The `Q` event that a trade leaves behind; sizes are round lots, of which there is at least one."""
    quote, venue = quote_at(trade), venue_number(trade)
    return orjson.dumps(
        {
            "ev": "Q",
            "sym": trade.symbol,
            "bx": venue,
            "bp": quote.bid_price,
            "bs": max(1, int(quote.bid_size) // _ROUND_LOT),
            "ax": venue,
            "ap": quote.ask_price,
            "as": max(1, int(quote.ask_size) // _ROUND_LOT),
            "c": 0,
            "t": trade.event_time_us // 1_000,
            "q": trade.sequence,
            "z": TAPE,
        }
    )


def encode_bar(kind: str, symbol: str, bar: PlayedBar) -> bytes:
    """An `AM` or `A` event. What the day has had so far isn't known here: `av`, `op` and `a` are the bar's own."""
    return orjson.dumps(
        {
            "ev": kind,
            "sym": symbol,
            "v": bar.volume,
            "av": bar.volume,
            "op": bar.open,
            "vw": bar.vwap,
            "o": bar.open,
            "c": bar.close,
            "h": bar.high,
            "l": bar.low,
            "a": bar.vwap,
            "z": int(bar.volume / bar.trade_count),
            "s": bar.start_us // 1_000,
            "e": bar.end_us // 1_000,
        }
    )


_ENCODERS: Mapping[str, Callable[[MarketTrade], bytes]] = {"T": encode_trade, "Q": encode_quote}


class PolygonConversation:
    """One client of the Polygon protocol.

    Args:
        rules: Who is let in.
    """

    provider = "polygon"

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._authenticated = False
        self._wanted: dict[str, set[str]] = {kind: set() for kind in _KINDS}  # symbols, or `*`, by kind of event
        self._bars = {kind: LiveBars(length) for kind, length in _BAR_LENGTHS.items()}

    @property
    def subscribed(self) -> bool:
        """Whether any channel is subscribed."""
        return any(self._wanted.values())

    def greeting(self) -> Answer:
        """The `connected` status."""
        return Answer((_status("connected", "Connected Successfully"),))

    def farewell(self, now_us: int) -> tuple[bytes, ...]:
        """Nothing: this protocol has no such frame."""
        return ()

    def refused(self, quota: str) -> Answer:
        """A status, then the end; the provider has no words of its own but for the plan and for connections."""
        if quota == "plan":
            return Answer((_status("auth_failed", _NO_PLAN),), (POLICY_VIOLATION, quota))
        return Answer((_status("max_connections", _TOO_MANY),), (POLICY_VIOLATION, quota))

    def cancelled(self, trade: MarketTrade) -> tuple[bytes, ...]:
        """Nothing: corrections do not come by this stream."""
        return ()

    def answer(self, request: str | bytes, now_seconds: float) -> Answer:
        """Handles `auth`, `subscribe` and `unsubscribe`; anything else gets an error status."""
        try:
            message = orjson.loads(request)
            action, params = message["action"], message["params"]
        except (orjson.JSONDecodeError, TypeError, KeyError):
            return Answer((_status("error", "invalid message: expected an object with action and params"),))
        if not isinstance(params, str):
            return Answer((_status("error", "invalid message: params must be a string"),))
        if action == "auth":
            return self._authenticate(params)
        if action not in ("subscribe", "unsubscribe"):
            return Answer((_status("error", f"unknown action: {action}"),))
        if not self._authenticated:
            return Answer((_status("error", "not authenticated"),))
        return Answer((self._change(action, params),))

    def frames(self, batch: Batch) -> Iterator[Outgoing]:
        """One array with all of the batch's events that were subscribed to."""
        kinds = [kind for kind in _KINDS if self._wanted[kind]]
        if kinds == ["T"]:
            events = batch.encoded(encode_trade)
            if "*" not in self._wanted["T"]:
                pairs = zip(events, batch.trades, strict=True)
                events = [event for event, trade in pairs if trade.symbol in self._wanted["T"]]
        else:
            events = [event for index in range(len(batch.trades)) for event in self._events(batch, index, kinds)]
        if events:
            yield Outgoing(b"[%b]" % b",".join(events), len(batch.trades))

    def _events(self, batch: Batch, index: int, kinds: list[str]) -> Iterator[bytes]:
        """What one trade of a batch causes: the bars it closes, the trade, the quote it leaves."""
        trade = batch.trades[index]
        for kind in sorted(kinds, key=lambda kind: kind in _ENCODERS):
            if self._wanted[kind].isdisjoint((trade.symbol, "*")):
                continue
            if kind in _ENCODERS:
                yield batch.encoded(_ENCODERS[kind])[index]
            else:
                closed, _ = self._bars[kind].add(trade)
                if closed is not None:
                    yield encode_bar(kind, trade.symbol, closed)

    def _authenticate(self, key: str) -> Answer:
        if not self._rules.accepts_key(key):
            return Answer((_status("auth_failed", "authentication failed"),), (POLICY_VIOLATION, "auth failed"))
        if self._rules.quota is not None:
            return self.refused(self._rules.quota)
        self._authenticated = True
        return Answer((_status("auth_success", "authenticated"),))

    def _change(self, action: str, params: str) -> bytes:
        statuses = []
        for channel in filter(None, map(str.strip, params.split(","))):
            kind, dot, symbol = channel.partition(".")
            if kind not in _KINDS or not dot or not symbol:
                statuses.append({"ev": "status", "status": "error", "message": f"unknown channel: {channel}"})
                continue
            if action == "subscribe":
                self._wanted[kind].add(symbol)
            else:
                self._wanted[kind].discard(symbol)
            statuses.append({"ev": "status", "status": "success", "message": f"{action}d to: {channel}"})
        return orjson.dumps(statuses) if statuses else _status("error", "params names no channel")


def _status(status: str, message: str) -> bytes:
    return orjson.dumps([{"ev": "status", "status": status, "message": message}])


DIALECT = Dialect(
    provider="polygon",
    speaks=lambda path: urlsplit(path).path == "/stocks",
    converse=lambda _path, rules: PolygonConversation(rules),
    serves=polygon_rest.serves,
    reply=polygon_rest.reply,
)

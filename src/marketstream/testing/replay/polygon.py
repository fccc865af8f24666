"""The Polygon / Massive stocks protocol, server side.

Every frame is a JSON array. A status frame greets; `auth` comes first, then `subscribe` and `unsubscribe` with channels
such as `T.IBM` or `T.*`. Trades (`T`) are streamed; quotes and aggregates (`Q`, `A`, `AM`) can be subscribed to and
stay silent. The wording of the refusal before `auth` is ours: the provider's is not documented.
"""

from collections.abc import Callable, Iterator
from typing import Any

import orjson

from marketstream.testing.market_trade import MarketTrade
from marketstream.testing.replay.conversation import POLICY_VIOLATION, Answer, Batch, Outgoing
from marketstream.testing.replay.numbers import shortest_text

_CHANNELS = ("T", "Q", "A", "AM")
_TAPE = 1  # a trade file doesn't say where its symbol is listed

# The provider's numbers of the venues that trade files name by the SIPs' letters.
_VENUES = {
    "A": 1,
    "B": 2,
    "C": 3,
    "D": 4,
    "I": 6,
    "J": 7,
    "K": 8,
    "M": 9,
    "N": 10,
    "P": 11,
    "Q": 12,
    "T": 12,
    "L": 14,
    "V": 15,
    "W": 16,
    "X": 17,
    "Y": 18,
    "Z": 19,
    "H": 20,
    "U": 21,
}
_UNKNOWN_VENUE = 0


def encode_trade(trade: MarketTrade) -> bytes:
    """A `T` event. Times are truncated to ms; a size with a fraction is in `ds`, and its whole part in `s`."""
    whole = int(trade.size)
    event: dict[str, Any] = {
        "ev": "T",
        "sym": trade.symbol,
        "x": _VENUES.get(trade.exchange or "", _UNKNOWN_VENUE),
        "i": trade.trade_id,
        "z": _TAPE,
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


class PolygonConversation:
    """One client of the Polygon protocol.

    Args:
        accepts_key: Whether an API key is good.
    """

    provider = "polygon"

    def __init__(self, accepts_key: Callable[[str], bool]) -> None:
        self._accepts_key = accepts_key
        self._authenticated = False
        self._channels: dict[str, None] = {}

    @property
    def subscribed(self) -> bool:
        """Whether any trade channel is subscribed."""
        return any(channel.startswith("T.") for channel in self._channels)

    def greeting(self) -> Answer:
        """The `connected` status."""
        return Answer((_status("connected", "Connected Successfully"),))

    def farewell(self, now_us: int) -> tuple[bytes, ...]:
        """Nothing: this protocol has no such frame."""
        return ()

    def refused(self, quota: str) -> Answer:
        """A status, then the end."""
        return Answer((_status("max_connections", f"limit exceeded: {quota}"),), (POLICY_VIOLATION, quota))

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
        """One array with all of the batch's trades that were subscribed to."""
        events = batch.encoded(encode_trade)
        if "T.*" not in self._channels:
            wanted = {channel[2:] for channel in self._channels if channel.startswith("T.")}
            events = [event for event, trade in zip(events, batch.trades, strict=True) if trade.symbol in wanted]
        if events:
            yield Outgoing(b"[%b]" % b",".join(events), len(batch.trades))

    def _authenticate(self, key: str) -> Answer:
        if not key or not self._accepts_key(key):
            return Answer((_status("auth_failed", "authentication failed"),), (POLICY_VIOLATION, "auth failed"))
        self._authenticated = True
        return Answer((_status("auth_success", "authenticated"),))

    def _change(self, action: str, params: str) -> bytes:
        statuses = []
        for channel in filter(None, map(str.strip, params.split(","))):
            kind, dot, symbol = channel.partition(".")
            if kind not in _CHANNELS or not dot or not symbol:
                statuses.append({"ev": "status", "status": "error", "message": f"unknown channel: {channel}"})
                continue
            if action == "subscribe":
                self._channels[channel] = None
            else:
                self._channels.pop(channel, None)
            statuses.append({"ev": "status", "status": "success", "message": f"{action}d to: {channel}"})
        return orjson.dumps(statuses) if statuses else _status("error", "params names no channel")


def _status(status: str, message: str) -> bytes:
    return orjson.dumps([{"ev": "status", "status": status, "message": message}])

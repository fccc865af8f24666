"""The Finazon protocol, server side.

`/v1?apikey=…` takes `subscribe`, `unsubscribe` and `heartbeat`; bars are sent as they grow: their state at the first
trade in every `frequency`, and once more when the next bar begins. Where the frequency is the bar's length, that last
state is the only one. REST serves `/latest/{publisher}/{dataset}/time_series`. The wording of refusals is documented
for REST only; the WebSocket's is kept like it, and the one for an unknown ticker is as others have met it.
"""

import re
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson

from marketstream.testing.market_trade import MarketTrade
from marketstream.testing.replay.conversation import POLICY_VIOLATION, Answer, Batch, Outgoing
from marketstream.testing.replay.dialect import Dialect, Quota, RestReply, RestRequest, Rules
from marketstream.testing.replay.history import LiveBars, PlayedBar, PlayedHistory

MAX_MESSAGES_PER_MINUTE = 100
MAX_MESSAGE_BYTES = 100_000
_FREQUENCIES = {"1s": 1_000_000, "10s": 10_000_000, "1m": 60_000_000}
_INTERVALS = _FREQUENCIES | {f"{minutes}m": minutes * 60_000_000 for minutes in (5, 10, 15, 30)} | {"1h": 3_600_000_000}
_TICKER = re.compile(r"[A-Z0-9][A-Z0-9./-]{0,19}")  # any other is unknown
_SERIES = re.compile(r"/latest/[a-z_]+/[a-z_]+/time_series")
_DEFAULT_PAGE, _LARGEST_PAGE = 10, 1_000

_BAD_KEY = (
    "INVALID_API_KEY",
    "The provided API key is invalid or has expired. Please check your API key and try again",
)
_REFUSALS: Mapping[Quota, tuple[HTTPStatus, str, str]] = {
    "burst": (
        HTTPStatus.TOO_MANY_REQUESTS,
        "API_RATE_LIMIT_EXCEEDED",
        "You have exceeded the allowed number of API calls within the minute. Please wait and try again later.",
    ),
    "plan": (
        HTTPStatus.UNAUTHORIZED,
        "UNAUTHORIZED_ACCESS",
        "You are not authorized to access the requested endpoint or you have insufficient permissions.",
    ),
    # Not documented; worded so that only the words tell.
    "daily": (HTTPStatus.TOO_MANY_REQUESTS, "", "You have used up the API calls of your key {key} per day."),
    "bandwidth": (HTTPStatus.PAYMENT_REQUIRED, "", "The traffic of your workspace is used up."),
    "ban": (HTTPStatus.FORBIDDEN, "", "Your address is blocked for a while."),
}


def encode_bar(ticker: str, bar: PlayedBar, subscription: "_Subscription") -> bytes:
    """A bar as the stream sends it."""
    common = {"d": subscription.dataset, "p": "finazon", "ch": "bars"}
    lengths = {"f": subscription.frequency, "aggr": subscription.aggregation}
    return orjson.dumps({**common, **lengths, "s": ticker, **_numbers(bar)})


@dataclass(slots=True)
class _Subscription:
    """What a client wants of one ticker, and how far it has been sent."""

    dataset: str
    frequency: str
    aggregation: str
    bars: LiveBars = field(init=False)
    slot: int = -1

    def __post_init__(self) -> None:
        self.bars = LiveBars(_INTERVALS[self.aggregation])

    def states(self, trade: MarketTrade) -> Iterator[PlayedBar]:
        """The states that are sent at a trade."""
        over, growing = self.bars.add(trade)
        if over is not None:
            yield over
        slot = trade.event_time_us // _FREQUENCIES[self.frequency]
        if slot != self.slot and self.frequency != self.aggregation:
            yield growing
        self.slot = slot


class FinazonConversation:
    """One client of the Finazon protocol.

    Args:
        path: The request's path and query, which has the key.
        rules: Who is let in.
    """

    provider = "finazon"

    def __init__(self, path: str, rules: Rules) -> None:
        self._key = parse_qs(urlsplit(path).query).get("apikey", [""])[0]
        self._rules = rules
        self._wanted: dict[str, tuple[str, _Subscription]] = {}  # by canonical symbol, with the ticker
        self._messages: deque[float] = deque(maxlen=MAX_MESSAGES_PER_MINUTE)

    @property
    def subscribed(self) -> bool:
        """Whether any ticker is subscribed."""
        return bool(self._wanted)

    def greeting(self) -> Answer:
        """Nothing, unless the key is no good."""
        if not self._rules.accepts_key(self._key):
            return Answer((_error(*_BAD_KEY),), (POLICY_VIOLATION, "unauthorized"))
        return Answer()

    def farewell(self, now_us: int) -> tuple[bytes, ...]:
        """Nothing: this protocol has no such frame."""
        return ()

    def refused(self, quota: str) -> Answer:
        """An error, then the end."""
        refusal = next((refusal for name, refusal in _REFUSALS.items() if name == quota), None)
        code, message = refusal[1:] if refusal else ("", f"limit exceeded: {quota}")
        return Answer((_error(code, message.format(key=self._key)),), (POLICY_VIOLATION, quota))

    def cancelled(self, trade: MarketTrade) -> tuple[bytes, ...]:
        """Nothing: bars are corrected by sending them again."""
        return ()

    def answer(self, request: str | bytes, now_seconds: float) -> Answer:
        """Handles a message; the hundred and first within a minute ends the connection."""
        crowded = len(self._messages) == MAX_MESSAGES_PER_MINUTE and now_seconds - self._messages[0] < 60
        self._messages.append(now_seconds)
        if crowded:
            return self.refused("burst")
        try:
            message = orjson.loads(request)
            event = message["event"]
        except (orjson.JSONDecodeError, TypeError, KeyError):
            return Answer((_error("INVALID_PARAMETER", "The event parameter is missing or invalid."),))
        if event == "heartbeat":
            return Answer((orjson.dumps({"event": "heartbeat", "status": "success"}),))
        if event not in ("subscribe", "unsubscribe") or len(request) > MAX_MESSAGE_BYTES:
            return Answer((_error("INVALID_PARAMETER", "The event parameter is missing or invalid."),))
        return self._change(event, message)

    def frames(self, batch: Batch) -> Iterator[Outgoing]:
        """One frame for every state of a bar that is due."""
        for index, trade in enumerate(batch.trades):
            ticker, subscription = self._wanted.get(trade.symbol, ("", None))
            if subscription is None:
                continue
            states = [encode_bar(ticker, bar, subscription) for bar in subscription.states(trade)]
            for number, frame in enumerate(states, start=1):
                yield Outgoing(frame, index + (number == len(states)))

    def _change(self, event: str, message: dict[str, Any]) -> Answer:
        tickers, dataset = message.get("tickers"), str(message.get("dataset"))
        frequency, aggregation = str(message.get("frequency")), str(message.get("aggregation"))
        if not isinstance(tickers, list) or message.get("channel") != "bars" or "dataset" not in message:
            return Answer((_error("INVALID_PARAMETER", "The tickers parameter is missing or invalid."),))
        if frequency not in _FREQUENCIES or aggregation not in _INTERVALS:
            return Answer((_error("INVALID_PARAMETER", "The frequency parameter is missing or invalid."),))
        known = [ticker for ticker in tickers if isinstance(ticker, str) and _TICKER.fullmatch(ticker)]
        frames = [_error("", _unknown(ticker)) for ticker in tickers if ticker not in known]
        for ticker in known:
            self._wanted.pop(_canonical(ticker), None)
            if event == "subscribe":
                self._wanted[_canonical(ticker)] = (ticker, _Subscription(dataset, frequency, aggregation))
        if known:
            code = "SUCCESS_SUBSCRIPTION" if event == "subscribe" else "SUCCESS_UNSUBSCRIPTION"
            frames.insert(0, orjson.dumps({"status": "success", "code": code, "data": known}))
        return Answer(tuple(frames))


def _serves(path: str) -> bool:
    return path.startswith("/latest/")


def _reply(request: RestRequest, history: PlayedHistory, rules: Rules) -> RestReply:
    header = request.headers.get("authorization", "")
    key = request.query.get("apikey") or header.removeprefix("apikey ")
    if not rules.accepts_key(key):
        return _refusal(HTTPStatus.UNAUTHORIZED, *_BAD_KEY)
    if rules.quota is not None:
        status, code, message = _REFUSALS[rules.quota]
        headers = {"Retry-After": f"{rules.retry_after_seconds:.0f}"} if rules.quota == "burst" else {}
        return _refusal(status, code, message.format(key=key), headers)
    if not _SERIES.fullmatch(request.path):
        message = f"The requested endpoint {request.path} does not exist or could not be found."
        return _refusal(HTTPStatus.NOT_FOUND, "ENDPOINT_NOT_FOUND", message)
    return _series(request, history)


def _series(request: RestRequest, history: PlayedHistory) -> RestReply:
    ticker, length_us = request.query.get("ticker", ""), _INTERVALS.get(request.query.get("interval", ""))
    if length_us is None:
        message = "The interval parameter is missing or invalid."
        return _refusal(HTTPStatus.BAD_REQUEST, "INVALID_PARAMETER", message)
    if not _TICKER.fullmatch(ticker):
        message = "The provided ticker is invalid or unsupported."
        return _refusal(HTTPStatus.BAD_REQUEST, "INVALID_TICKER", message)
    query = {name: int(text) for name, text in request.query.items() if text.isdigit()}
    end_us = query.get("end_at", request.now_us // 1_000_000) * 1_000_000
    bars = list(history.bars(_canonical(ticker), length_us, query.get("start_at", 0) * 1_000_000, end_us + 1))
    if request.query.get("order", "desc") == "desc":
        bars.reverse()
    size = min(query.get("page_size", _DEFAULT_PAGE), _LARGEST_PAGE)
    first = query.get("page", 0) * size
    return RestReply(orjson.dumps({"data": [_numbers(bar) for bar in bars[first : first + size]]}))


def _numbers(bar: PlayedBar) -> dict[str, Any]:
    prices = {"o": bar.open, "h": bar.high, "l": bar.low, "c": bar.close}
    return {"t": bar.start_us // 1_000_000, **prices, "v": bar.volume}


def _canonical(ticker: str) -> str:
    return ticker.replace("/", "")


def _unknown(ticker: Any) -> str:
    return f"The ticker {ticker} you have specified is not supported by the dataset"


def _error(code: str, message: str) -> bytes:
    return orjson.dumps({"status": "error", **({"code": code} if code else {}), "message": message})


def _refusal(status: HTTPStatus, code: str, message: str, headers: Mapping[str, str] | None = None) -> RestReply:
    return RestReply(_error(code, message), status, headers or {})


DIALECT = Dialect(
    provider="finazon",
    speaks=lambda path: urlsplit(path).path == "/v1",
    converse=FinazonConversation,
    serves=_serves,
    reply=_reply,
)

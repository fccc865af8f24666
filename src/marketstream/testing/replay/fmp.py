"""The Financial Modeling Prep protocol, server side.

`/fmp` carries every market; `/fmp/crypto` and `/fmp/forex`, in place of the provider's other hosts, one each. `login`
comes first, then `subscribe` and `unsubscribe` with lower-case tickers: others are acknowledged and stay silent. Trades
(`T`), the quotes after them (`Q`) and breaks (`B`) are streamed; of the three ways in which the provider writes times,
stocks have ns, crypto ms and currencies ISO text. REST serves `/stable/quote` and `/stable/historical-chart/…`. The
wording of answers follows what others have met; it is not documented.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, time, timedelta
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import orjson

from marketstream.domain.market import AssetClass
from marketstream.domain.symbols import asset_class_of
from marketstream.testing.market_trade import MarketTrade
from marketstream.testing.replay.conversation import POLICY_VIOLATION, Answer, Batch, Outgoing
from marketstream.testing.replay.dialect import Dialect, RestReply, RestRequest, Rules
from marketstream.testing.replay.history import PlayedBar, PlayedHistory
from marketstream.testing.replay.quotes import quote_at

_NEW_YORK = ZoneInfo("America/New_York")
_UPGRADE = (
    "Please upgrade your plan or visit our documentation for more details at https://site.financialmodelingprep.com/"
)
_BAD_KEY = (
    "Invalid API KEY. Feel free to create a Free API Key or visit "
    "https://site.financialmodelingprep.com/faqs?search=why-is-my-api-key-invalid for more information."
)
_REFUSALS: Mapping[str, tuple[HTTPStatus, str]] = {
    "burst": (HTTPStatus.TOO_MANY_REQUESTS, f"Limit Reach . {_UPGRADE}"),
    "daily": (HTTPStatus.TOO_MANY_REQUESTS, f"Limit Reach . {_UPGRADE}"),  # the provider has one wording for both
    "bandwidth": (HTTPStatus.TOO_MANY_REQUESTS, f"Bandwidth Limit Reach . {_UPGRADE}"),
    "plan": (
        HTTPStatus.PAYMENT_REQUIRED,
        "Premium Endpoint: this endpoint is not available under your current subscription. Please visit our "
        "subscription page to upgrade your plan at https://site.financialmodelingprep.com/developer/docs/pricing",
    ),
    "ban": (HTTPStatus.FORBIDDEN, "Your address is blocked."),
}
_MARKETS: Mapping[str, frozenset[AssetClass]] = {
    "/fmp": frozenset({"equity", "crypto", "forex", "commodity"}),
    "/fmp/crypto": frozenset({"crypto"}),
    "/fmp/forex": frozenset({"forex", "commodity"}),
}
_CHART = re.compile(r"/stable/historical-chart/(1min|5min|15min|30min|1hour|4hour)")
_MINUTES = {"1min": 1, "5min": 5, "15min": 15, "30min": 30, "1hour": 60, "4hour": 240}
_NOTHING = dict.fromkeys(("ap", "as", "bp", "bs", "lp", "ls"))


def encode_trade(trade: MarketTrade) -> bytes:
    """A `T` frame."""
    return _frame("T", trade, {"lp": trade.price, "ls": trade.size})


def encode_break(trade: MarketTrade) -> bytes:
    """A `B` frame, which repeats what the trade's frame said."""
    return _frame("B", trade, {"lp": trade.price, "ls": trade.size})


def encode_quote(trade: MarketTrade) -> bytes:
    """The `Q` frame after a trade."""
    quote = quote_at(trade)
    sizes = {"as": quote.ask_size, "bs": quote.bid_size}
    return _frame("Q", trade, {"ap": quote.ask_price, "bp": quote.bid_price, **sizes})


def speaks(path: str) -> bool:
    """Whether a request's path is one of this protocol's."""
    return urlsplit(path).path in _MARKETS


class FmpConversation:
    """One client of the FMP protocol.

    Args:
        path: The request's path, which tells the market.
        rules: Who is let in.
    """

    provider = "fmp"

    def __init__(self, path: str, rules: Rules) -> None:
        self._carried = _MARKETS.get(urlsplit(path).path, _MARKETS["/fmp"])
        self._rules = rules
        self._logged_in = False
        self._tickers: dict[str, None] = {}

    @property
    def subscribed(self) -> bool:
        """Whether any ticker is subscribed."""
        return bool(self._tickers)

    def greeting(self) -> Answer:
        """Nothing: this protocol greets nobody."""
        return Answer()

    def farewell(self, now_us: int) -> tuple[bytes, ...]:
        """Nothing: this protocol has no such frame."""
        return ()

    def refused(self, quota: str) -> Answer:
        """An answer with a status, then the end."""
        status, message = _REFUSALS.get(quota, _REFUSALS["burst"])
        return Answer((_answer("login", status.value, message),), (POLICY_VIOLATION, quota))

    def cancelled(self, trade: MarketTrade) -> tuple[bytes, ...]:
        """The break of a trade that was subscribed to."""
        return (encode_break(trade),) if self._wants(trade) else ()

    def answer(self, request: str | bytes, now_seconds: float) -> Answer:
        """Handles `login`, `subscribe` and `unsubscribe`; all else is an error. While a quota is used up, the end."""
        if self._rules.quota:
            return self.refused(self._rules.quota)
        try:
            message = orjson.loads(request)
            event, data = message["event"], message["data"]
            value = data["apiKey" if event == "login" else "ticker"]
        except (orjson.JSONDecodeError, TypeError, KeyError):
            return Answer((_answer("error", 400, "expected an object with event and data"),))
        if event == "login":
            return self._log_in(str(value))
        if event not in ("subscribe", "unsubscribe"):
            return Answer((_answer(str(event), 400, "unknown event"),))
        if not self._logged_in:
            return Answer((b'{"message":"Unauthorized"}',), (POLICY_VIOLATION, "unauthorized"))
        return self._change(event, [value] if isinstance(value, str) else list(map(str, value)))

    def frames(self, batch: Batch) -> Iterator[Outgoing]:
        """A frame for each trade and one for the quote after it."""
        trades, quotes = batch.encoded(encode_trade), batch.encoded(encode_quote)
        for index, trade in enumerate(batch.trades):
            if self._wants(trade):
                yield Outgoing(trades[index], index)
                yield Outgoing(quotes[index], index + 1)

    def _wants(self, trade: MarketTrade) -> bool:
        return _ticker(trade.symbol).lower() in self._tickers and asset_class_of(trade.symbol) in self._carried

    def _log_in(self, key: str) -> Answer:
        if not self._rules.accepts_key(key):
            return Answer((b'{"message":"Unauthorized"}',), (POLICY_VIOLATION, "unauthorized"))
        self._logged_in = True
        return Answer((_answer("login", 200, "Authenticated"),))

    def _change(self, event: str, tickers: list[str]) -> Answer:
        for ticker in tickers:
            if event == "subscribe":
                self._tickers[ticker] = None
            else:
                self._tickers.pop(ticker, None)
        return Answer((_answer(event, 200, f"{event.capitalize()}d to: {', '.join(tickers)}"),))


def serves(path: str) -> bool:
    """Whether a REST request's path is one of this provider's."""
    return path.startswith("/stable/")


def reply(request: RestRequest, history: PlayedHistory, rules: Rules) -> RestReply:
    """Answers quotes and charts. A bad key is told with status 200, a plan's end as plain text."""
    if not rules.accepts_key(request.query.get("apikey", "")):
        return RestReply(orjson.dumps({"Error Message": _BAD_KEY}))
    if rules.quota:
        status, message = _REFUSALS[rules.quota]
        body = message.encode() if rules.quota == "plan" else orjson.dumps({"Error Message": message})
        return RestReply(body, status)
    symbols = {_ticker(symbol): symbol for symbol in history.symbols()}
    symbol = symbols.get(request.query.get("symbol", ""), "")
    if request.path == "/stable/quote":
        trade = history.last(symbol)
        return RestReply(orjson.dumps([] if trade is None else [_quote(trade, history)]))
    if match := _CHART.fullmatch(request.path):
        return _chart(symbol, _MINUTES[match[1]] * 60_000_000, request, history)
    return RestReply(b"[]", HTTPStatus.NOT_FOUND)


def _quote(trade: MarketTrade, history: PlayedHistory) -> dict[str, Any]:
    day = history.between(trade.symbol, trade.event_time_us - 86_400_000_000, trade.event_time_us + 1)
    prices = [each.price for each in day]
    return {
        "symbol": _ticker(trade.symbol),
        "price": trade.price,
        "change": trade.price - prices[0],
        "volume": sum(each.size for each in day),
        "dayLow": min(prices),
        "dayHigh": max(prices),
        "open": prices[0],
        "previousClose": prices[0],
        "exchange": trade.exchange or "NASDAQ",
        "timestamp": trade.event_time_us // 1_000_000,
    }


def _chart(symbol: str, length_us: int, request: RestRequest, history: PlayedHistory) -> RestReply:
    today = datetime.fromtimestamp(request.now_us // 1_000_000, _NEW_YORK).date().isoformat()
    try:
        start_us = _midnight_us(request.query.get("from", today))
        end_us = _midnight_us(request.query.get("to", today), days=1)
    except ValueError:
        return RestReply(orjson.dumps({"Error Message": "Invalid date"}), HTTPStatus.BAD_REQUEST)
    bars = [_bar(bar) for bar in history.bars(symbol, length_us, start_us, end_us)]
    return RestReply(orjson.dumps(bars[::-1]))


def _bar(bar: PlayedBar) -> dict[str, Any]:
    start = datetime.fromtimestamp(bar.start_us // 1_000_000, _NEW_YORK).strftime("%Y-%m-%d %H:%M:%S")
    prices = {"open": bar.open, "low": bar.low, "high": bar.high, "close": bar.close}
    return {"date": start, **prices, "volume": bar.volume}


def _midnight_us(day: str, days: int = 0) -> int:
    date = datetime.fromisoformat(day).date() + timedelta(days=days)
    return int(datetime.combine(date, time(), _NEW_YORK).timestamp()) * 1_000_000


def _ticker(symbol: str) -> str:
    return symbol.replace(".", "-")


def _frame(kind: str, trade: MarketTrade, values: dict[str, float]) -> bytes:
    head = {"s": _ticker(trade.symbol).lower(), "t": _time(trade), "type": kind}
    return orjson.dumps({**head, **_NOTHING, **values})


def _time(trade: MarketTrade) -> int | str:
    asset_class = asset_class_of(trade.symbol)
    if asset_class == "equity":
        return trade.event_time_us * 1_000
    if asset_class == "crypto":
        return trade.event_time_us // 1_000
    moment = datetime(1970, 1, 1) + timedelta(microseconds=trade.event_time_us)
    return moment.isoformat(timespec="microseconds") + "Z"


def _answer(event: str, status: int, message: str) -> bytes:
    return orjson.dumps({"event": event, "status": status, "message": message})


DIALECT = Dialect(provider="fmp", speaks=speaks, converse=FmpConversation, serves=serves, reply=reply)

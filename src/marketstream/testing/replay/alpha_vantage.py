"""The Alpha Vantage protocol, server side: REST at `/query`, where everything comes with HTTP 200.

`TIME_SERIES_INTRADAY` gives the bars of what has been played, the newest 100 or with `outputsize=full` all of a `month`
or of the last 30 days; `GLOBAL_QUOTE` the latest trading day. Refusals are in the provider's own words; the one for the
daily quota repeats the key.
"""

import re
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

import orjson

from marketstream.providers.times import eastern_text, utc_us
from marketstream.testing.replay.conversation import Conversation
from marketstream.testing.replay.dialect import Dialect, Quota, RestReply, RestRequest, Rules
from marketstream.testing.replay.history import PlayedBar, PlayedHistory

_SYMBOL = re.compile(r"[A-Z0-9][A-Z0-9.-]{0,19}")  # any other is unknown
_COMPACT_BARS = 100
_FULL_DAYS = 30
_INTERVALS = {f"{minutes}min": minutes * 60_000_000 for minutes in (1, 5, 15, 30, 60)}
_PLANS = "any of the premium plans at https://www.alphavantage.co/premium/"
_BURST = (
    "Thank you for using Alpha Vantage! Please consider spreading out your free API requests more sparingly (1 request "
    f"per second). You may subscribe to {_PLANS} to lift the free key rate limit (25 requests per day), raise the "
    "per-second burst limit, and instantly unlock all premium endpoints"
)
_DAILY = (
    "We have detected your API key as {key} and our standard API rate limit is 25 requests per day. Please subscribe "
    f"to {_PLANS} to instantly remove all daily rate limits."
)
_PREMIUM = (
    f"Thank you for using Alpha Vantage! This is a premium endpoint. You may subscribe to {_PLANS} to instantly unlock "
    "all premium endpoints"
)
# It limits no traffic and bans nobody, as far as is known.
_REFUSALS: Mapping[Quota, str] = {
    "burst": _BURST,
    "daily": _DAILY,
    "plan": _PREMIUM,
    "bandwidth": _DAILY,
    "ban": _BURST,
}
_BAD_KEY = (
    "the parameter apikey is invalid or missing. Please claim your free API key on "
    "(https://www.alphavantage.co/support/#api-key). It should take less than 20 seconds."
)
_BAD_CALL = (
    "Invalid API call. Please retry or visit the documentation (https://www.alphavantage.co/documentation/) for {}."
)


def reply(request: RestRequest, history: PlayedHistory, rules: Rules) -> RestReply:
    """Answers a request."""
    query = request.query
    key, function = query.get("apikey", ""), query.get("function", "")
    if not rules.accepts_key(key):
        return _json({"Error Message": _BAD_KEY})
    if rules.quota is not None:
        return _json({"Information": _REFUSALS[rules.quota].format(key=key)})
    symbol = query.get("symbol", "").upper()
    if _SYMBOL.fullmatch(symbol):
        if function == "GLOBAL_QUOTE":
            return _json({"Global Quote": _quote(symbol, history)})
        if function == "TIME_SERIES_INTRADAY" and query.get("interval") in _INTERVALS:
            return _json(_series(symbol, query, request.now_us, history))
    return _json({"Error Message": _BAD_CALL.format(function)})


def _series(symbol: str, query: Mapping[str, str], now_us: int, history: PlayedHistory) -> dict[str, Any]:
    interval, full = query["interval"], query.get("outputsize") == "full"
    start_us, end_us = _span(query.get("month"), now_us)
    bars = list(history.bars(symbol, _INTERVALS[interval], start_us, end_us))
    bars = bars if full else bars[-_COMPACT_BARS:]
    newest = eastern_text(bars[-1].start_us) if bars else ""
    return {
        "Meta Data": {
            "1. Information": f"Intraday ({interval}) open, high, low, close prices and volume",
            "2. Symbol": symbol,
            "3. Last Refreshed": newest,
            "4. Interval": interval,
            "5. Output Size": "Full size" if full else "Compact",
            "6. Time Zone": "US/Eastern",
        },
        f"Time Series ({interval})": {eastern_text(bar.start_us): _values(bar) for bar in reversed(bars)},
    }


def _span(month: str | None, now_us: int) -> tuple[int, int]:
    if month is None:
        return now_us - _FULL_DAYS * 86_400_000_000, now_us + 1
    first = date.fromisoformat(f"{month}-01")
    return utc_us(first.isoformat()), utc_us((first + timedelta(days=32)).replace(day=1).isoformat())


def _quote(symbol: str, history: PlayedHistory) -> dict[str, Any]:
    last = history.last(symbol)
    if last is None:
        return {}
    midnight_us = utc_us(eastern_text(last.event_time_us)[:10])
    today = history.between(symbol, midnight_us, last.event_time_us + 1)
    earlier = history.between(symbol, 0, midnight_us)
    before = earlier[-1].price if earlier else today[0].price
    prices = [trade.price for trade in today]
    return {
        "01. symbol": symbol,
        "02. open": f"{prices[0]:.4f}",
        "03. high": f"{max(prices):.4f}",
        "04. low": f"{min(prices):.4f}",
        "05. price": f"{last.price:.4f}",
        "06. volume": f"{sum(trade.size for trade in today):.0f}",
        "07. latest trading day": eastern_text(last.event_time_us)[:10],
        "08. previous close": f"{before:.4f}",
        "09. change": f"{last.price - before:.4f}",
        "10. change percent": f"{(last.price / before - 1) * 100:.4f}%",
    }


def _values(bar: PlayedBar) -> dict[str, str]:
    prices = {"1. open": bar.open, "2. high": bar.high, "3. low": bar.low, "4. close": bar.close}
    return {name: f"{price:.4f}" for name, price in prices.items()} | {"5. volume": f"{bar.volume:.0f}"}


def _json(answer: dict[str, Any]) -> RestReply:
    return RestReply(orjson.dumps(answer, option=orjson.OPT_INDENT_2))


def _no_stream(path: str, rules: Rules) -> Conversation:
    raise NotImplementedError("Alpha Vantage has no stream")


DIALECT = Dialect(
    provider="alpha_vantage",
    speaks=lambda _path: False,
    converse=_no_stream,
    serves=lambda path: path == "/query",
    reply=reply,
)

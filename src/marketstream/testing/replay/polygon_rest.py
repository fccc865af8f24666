"""Polygon / Massive's REST API, server side: past trades, bars and the last trade, from what has been played."""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

import orjson

from marketstream.testing.market_trade import MarketTrade
from marketstream.testing.replay.dialect import Quota, RestReply, RestRequest, Rules
from marketstream.testing.replay.history import PlayedBar, PlayedHistory
from marketstream.testing.replay.numbers import shortest_text

TAPE = 1  # a trade file doesn't say where its symbol is listed
HOST = "https://api.massive.com"  # in next_url, whoever was asked
_LARGEST_PAGE = 50_000
_TRADES = re.compile(r"/v3/trades/([^/]+)")
_LAST = re.compile(r"/v2/last/trade/([^/]+)")
_BARS = re.compile(
    r"/v2/aggs/ticker/([^/]+)/range/([1-9][0-9]{0,3})/(second|minute|hour)/([0-9]{13})/([0-9]{13})", re.ASCII
)
_LENGTHS_US = {"second": 1_000_000, "minute": 60_000_000, "hour": 3_600_000_000}
_BURST = "You've exceeded the maximum requests per minute, please wait or upgrade your subscription to continue."
# By quota: status, and the body's status and its words under their name.
_REFUSALS: Mapping[Quota, tuple[HTTPStatus, str, str, str]] = {
    "burst": (HTTPStatus.TOO_MANY_REQUESTS, "ERROR", "error", f"{_BURST} https://massive.com/pricing"),
    "plan": (
        HTTPStatus.FORBIDDEN,
        "NOT_AUTHORIZED",
        "message",
        "You are not entitled to this data. Please upgrade your plan at https://massive.com/pricing",
    ),
    # The provider has no such quotas; what its clients wait for and try again stands for them.
    "daily": (HTTPStatus.TOO_MANY_REQUESTS, "ERROR", "error", _BURST),
    "bandwidth": (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "ERROR", "error", "Too much data was asked for."),
    "ban": (HTTPStatus.TOO_MANY_REQUESTS, "ERROR", "error", _BURST),
}

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


def venue_number(trade: MarketTrade) -> int:
    """The provider's number of a trade's venue."""
    return _VENUES.get(trade.exchange or "", _UNKNOWN_VENUE)


def serves(path: str) -> bool:
    """Whether a REST request's path is this provider's."""
    return path.startswith(("/v3/trades/", "/v2/last/trade/", "/v2/aggs/ticker/"))


def reply(request: RestRequest, history: PlayedHistory, rules: Rules) -> RestReply:
    """Answers from what has been played."""
    key = request.headers.get("authorization", "").removeprefix("Bearer ") or request.query.get("apiKey", "")
    if not rules.accepts_key(key):
        words = "Unknown API Key" if key else "API Key was not provided"
        return _refusal(HTTPStatus.UNAUTHORIZED, "ERROR", "error", words)
    if rules.quota is not None:
        headers = {"Retry-After": f"{rules.retry_after_seconds:.0f}"} if rules.quota == "burst" else {}
        return _refusal(*_REFUSALS[rules.quota], headers)
    if match := _TRADES.fullmatch(request.path):
        return _trades(request, history, unquote(match[1]))
    if match := _LAST.fullmatch(request.path):
        return _last(history.last(unquote(match[1])), unquote(match[1]))
    if match := _BARS.fullmatch(request.path):
        return _bars(request, history, match)
    return _refusal(HTTPStatus.NOT_FOUND, "NOT_FOUND", "message", "Data not found.")


def _trades(request: RestRequest, history: PlayedHistory, symbol: str) -> RestReply:
    query = _asked(request)
    start_ns, end_ns = _number(query, "timestamp.gte", 0), _number(query, "timestamp.lt", 2**63 - 1)
    # A played trade's moment is a whole microsecond.
    trades = history.between(symbol, -(-start_ns // 1_000), -(-end_ns // 1_000))
    if query.get("order", "desc") == "desc":
        trades.reverse()
    return _page(request, query, [_record(trade) for trade in _slice(query, trades, 1_000)], len(trades))


def _bars(request: RestRequest, history: PlayedHistory, match: re.Match[str]) -> RestReply:
    query = _asked(request)
    length_us = int(match[2]) * _LENGTHS_US[match[3]]
    start_us, end_us = int(match[4]) * 1_000, int(match[5]) * 1_000 + 1_000
    bars = list(history.bars(unquote(match[1]), length_us, start_us // length_us * length_us, end_us))
    if query.get("sort", "asc") == "desc":
        bars.reverse()
    return _page(request, query, [_aggregate(bar) for bar in _slice(query, bars, 5_000)], len(bars))


def _last(trade: MarketTrade | None, symbol: str) -> RestReply:
    if trade is None:
        return _refusal(HTTPStatus.NOT_FOUND, "NOT_FOUND", "message", "Data not found.")
    time_ns = trade.event_time_us * 1_000
    result = {
        "T": symbol,
        "i": trade.trade_id,
        "p": trade.price,
        "q": trade.sequence,
        "s": int(trade.size),
        "t": time_ns,
        "x": venue_number(trade),
        "y": time_ns,
        "z": TAPE,
    }
    return RestReply(orjson.dumps({"request_id": "replay", "results": result, "status": "OK"}))


def _record(trade: MarketTrade) -> dict[str, Any]:
    time_ns = trade.event_time_us * 1_000
    return {
        **({"conditions": trade.conditions} if trade.conditions else {}),
        **({"decimal_size": shortest_text(trade.size)} if trade.size != int(trade.size) else {}),
        "exchange": venue_number(trade),
        "id": trade.trade_id,
        "participant_timestamp": time_ns,
        "price": trade.price,
        "sequence_number": trade.sequence,
        "sip_timestamp": time_ns,
        "size": int(trade.size),
        "tape": TAPE,
    }


def _aggregate(bar: PlayedBar) -> dict[str, Any]:
    prices = {"o": bar.open, "h": bar.high, "l": bar.low, "c": bar.close}
    return {"v": bar.volume, "vw": bar.vwap, **prices, "t": bar.start_us // 1_000, "n": bar.trade_count}


def _asked(request: RestRequest) -> dict[str, str]:
    """The query, of a further page what its cursor says."""
    cursor = request.query.get("cursor")
    if cursor is None:
        return dict(request.query)
    try:
        query: dict[str, str] = orjson.loads(base64.urlsafe_b64decode(cursor))
    except (binascii.Error, orjson.JSONDecodeError):
        return {}
    return query


def _slice(query: Mapping[str, str], records: Sequence[Any], usual: int) -> Sequence[Any]:
    first = _number(query, "skip", 0)
    return records[first : first + min(_number(query, "limit", usual), _LARGEST_PAGE)]


def _page(request: RestRequest, query: dict[str, str], results: Sequence[Any], total: int) -> RestReply:
    body: dict[str, Any] = {"results": results, "resultsCount": len(results), "status": "OK", "request_id": "replay"}
    done = _number(query, "skip", 0) + len(results)
    if done < total:
        cursor = base64.urlsafe_b64encode(orjson.dumps({**query, "skip": str(done)})).decode()
        body["next_url"] = f"{HOST}{request.path}?cursor={cursor}"
    return RestReply(orjson.dumps(body))


def _number(query: Mapping[str, str], name: str, usual: int) -> int:
    text = query.get(name, "")
    return int(text) if text.isascii() and text.isdigit() else usual


def _refusal(
    status: HTTPStatus, verdict: str, field: str, words: str, headers: Mapping[str, str] | None = None
) -> RestReply:
    return RestReply(orjson.dumps({"status": verdict, "request_id": "replay", field: words}), status, headers or {})

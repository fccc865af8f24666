"""Binance's REST API, server side: `ping`, `time`, `aggTrades` and `klines` of what has been played.

Every answer tells the request weight used in the current minute; beyond the limit follow 429 and `Retry-After`.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson

from marketstream.domain.symbols import asset_class_of
from marketstream.testing.market_trade import MarketTrade
from marketstream.testing.replay.binance_venue import INTERVALS_US, Venue, aggregate_of, kline_row
from marketstream.testing.replay.dialect import Quota, RestReply, RestRequest, Rules
from marketstream.testing.replay.history import PlayedHistory

_MAX_TRADES = 1_000
_DEFAULT_LIMIT = 500
_MINUTE_US = 60_000_000
_LAST_MS = 2**53
_TOO_MUCH = "Too much request weight used; current limit is {} request weight per 1 MINUTE."
# Binance knows no daily quota and no bandwidth; what comes nearest is said for them.
_QUOTAS: Mapping[Quota, HTTPStatus] = {
    "burst": HTTPStatus.TOO_MANY_REQUESTS,
    "daily": HTTPStatus.TOO_MANY_REQUESTS,
    "bandwidth": HTTPStatus.FORBIDDEN,
    "ban": HTTPStatus.IM_A_TEAPOT,
    "plan": HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS,
}


class _RefusedError(Exception):
    """A request that Binance answers with status 400.

    Args:
        code: Binance's.
        message: Its words.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def reply(venue: Venue, request: RestRequest, played: PlayedHistory, rules: Rules) -> RestReply:
    """Answers a request."""
    if rules.quota is not None:
        return _exhausted(venue, request, rules)
    endpoint = request.path.removeprefix(venue.rest_path)
    used = _spend(rules, request.now_us, _weight(venue, endpoint, request.query))
    headers = {"X-MBX-USED-WEIGHT": str(used), "X-MBX-USED-WEIGHT-1M": str(used)}
    if used > venue.weight_limit:
        wait = -(-(_MINUTE_US - request.now_us % _MINUTE_US) // 1_000_000)
        body = _error(-1003, _TOO_MUCH.format(venue.weight_limit))
        return RestReply(body, HTTPStatus.TOO_MANY_REQUESTS, headers | {"Retry-After": str(wait)})
    try:
        return RestReply(orjson.dumps(_answer(venue, endpoint, request, played)), headers=headers)
    except _RefusedError as refused:
        return RestReply(_error(refused.code, refused.message), HTTPStatus.BAD_REQUEST, headers)


def _answer(venue: Venue, endpoint: str, request: RestRequest, played: PlayedHistory) -> Any:
    match endpoint:
        case "/ping":
            return {}
        case "/time":
            return {"serverTime": request.now_us // 1_000}
        case "/aggTrades":
            return _aggregates(venue, request.query, played)
        case "/klines":
            return _klines(venue, request.query, played)
    raise _RefusedError(-1000, f"no endpoint {endpoint}")


def _aggregates(venue: Venue, query: Mapping[str, str], played: PlayedHistory) -> list[dict[str, Any]]:
    symbol = _symbol(venue, query, played)
    limit = min(_number(query, "limit") or _DEFAULT_LIMIT, _MAX_TRADES)
    first, start_ms, end_ms = (_number(query, name) for name in ("fromId", "startTime", "endTime"))
    if first is not None and (start_ms, end_ms) != (None, None):
        raise _RefusedError(-1128, "Combination of optional parameters invalid.")
    if start_ms is not None and end_ms is not None:
        _check_span(venue, start_ms, end_ms)
    trades = _chosen(played, symbol, limit, (first, start_ms, end_ms))
    spot = {} if venue.futures else {"M": True}
    return [{**aggregate_of(trade), **spot} for trade in trades if _is_kept(venue, trade, played)]


def _chosen(
    played: PlayedHistory, symbol: str, limit: int, span: tuple[int | None, int | None, int | None]
) -> list[MarketTrade]:
    first, start_ms, end_ms = span
    if first is not None:
        return played.numbered_from(symbol, first, limit)
    if (start_ms, end_ms) == (None, None):
        newest = played.last(symbol)
        return played.numbered_from(symbol, newest.sequence - limit + 1, limit) if newest else []
    end_us = ((_LAST_MS if end_ms is None else end_ms) + 1) * 1_000
    trades = played.between(symbol, (start_ms or 0) * 1_000, end_us)
    return trades[-limit:] if start_ms is None else trades[:limit]


def _is_kept(venue: Venue, trade: MarketTrade, played: PlayedHistory) -> bool:
    """Whether the API still has a trade, by the market's own time."""
    newest = played.last(trade.symbol)
    if venue.kept_ms is None or newest is None:
        return True
    return newest.event_time_us - trade.event_time_us <= venue.kept_ms * 1_000


def _klines(venue: Venue, query: Mapping[str, str], played: PlayedHistory) -> list[list[Any]]:
    symbol = _symbol(venue, query, played)
    interval = query.get("interval", "")
    if interval not in venue.intervals:
        raise _RefusedError(-1120, "Invalid interval.")
    limit = min(_number(query, "limit") or _DEFAULT_LIMIT, venue.max_bars)
    start_ms, end_ms = _number(query, "startTime"), _number(query, "endTime")
    end_us = ((_LAST_MS if end_ms is None else end_ms) + 1) * 1_000
    bars = list(played.bars(symbol, INTERVALS_US[interval], (start_ms or 0) * 1_000, end_us))
    return [kline_row(bar) for bar in (bars[-limit:] if start_ms is None else bars[:limit])]


def _symbol(venue: Venue, query: Mapping[str, str], played: PlayedHistory) -> str:
    """The played symbol that is asked about; one that has not traded yet must at least be named like a pair."""
    name = query.get("symbol", "")
    if not name:
        raise _RefusedError(-1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.")
    if not name.isalnum() or not name.isascii() or name != name.upper():
        raise _RefusedError(-1100, "Illegal characters found in parameter 'symbol'; legal range is '^[A-Z0-9]{1,20}$'.")
    symbol = venue.played_symbol(name, played)
    if played.last(symbol) is None and asset_class_of(name) != "crypto":
        raise _RefusedError(-1121, "Invalid symbol.")
    return symbol


def _number(query: Mapping[str, str], name: str) -> int | None:
    text = query.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise _RefusedError(-1100, f"Illegal characters found in parameter '{name}'; legal range is '^[0-9]{{1,20}}$'.")
    return int(text)


def _check_span(venue: Venue, start_ms: int, end_ms: int) -> None:
    if start_ms > end_ms:
        raise _RefusedError(-1102, "Start time is greater than end time.")
    if venue.window_ms is not None and end_ms - start_ms >= venue.window_ms:
        raise _RefusedError(-1127, "More than 1 hours between startTime and endTime.")


def _weight(venue: Venue, endpoint: str, query: Mapping[str, str]) -> int:
    if endpoint == "/aggTrades":
        return venue.trade_weight
    if endpoint != "/klines":
        return 1
    if not venue.futures:
        return 2
    limit = int(query["limit"]) if query.get("limit", "").isdigit() else _DEFAULT_LIMIT
    return next((weight for below, weight in ((100, 1), (500, 2), (1_001, 5)) if limit < below), 10)


def _spend(rules: Rules, now_us: int, weight: int) -> int:
    """Counts request weight, and returns how much of it the current minute has seen."""
    minute = now_us // _MINUTE_US
    used = rules.weights.get(minute, 0) + weight
    rules.weights.clear()
    rules.weights[minute] = used
    return used


def _exhausted(venue: Venue, request: RestRequest, rules: Rules) -> RestReply:
    status = _QUOTAS[rules.quota or "burst"]
    wait = {"Retry-After": f"{rules.retry_after_seconds:.0f}"}
    if status is HTTPStatus.FORBIDDEN:
        return RestReply(b"<html><title>403 Forbidden</title></html>", status, {"Content-Type": "text/html"})
    if status is HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS:
        text = "Service unavailable from a restricted location according to 'b. Eligibility' of the terms."
        return RestReply(_error(0, text), status)
    if status is HTTPStatus.IM_A_TEAPOT:
        until_ms = request.now_us // 1_000 + round(rules.retry_after_seconds * 1_000)
        text = f"Way too much request weight used; IP banned until {until_ms}."
        return RestReply(_error(-1003, text), status, wait)
    return RestReply(_error(-1003, _TOO_MUCH.format(venue.weight_limit)), status, wait)


def _error(code: int, message: str) -> bytes:
    return orjson.dumps({"code": code, "msg": message})

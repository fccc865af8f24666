"""Binance's REST API, server side, without HTTP."""

from http import HTTPStatus
from typing import Any

import orjson
import pytest

from marketstream.testing.market_trade import MarketTrade
from marketstream.testing.replay import binance, binance_usdm
from marketstream.testing.replay.dialect import Dialect, Quota, RestReply, RestRequest, Rules
from marketstream.testing.replay.history import PlayedHistory

START_MS = 1_672_531_200_000
NOW_US = 1_700_000_010_000_000
SPOT, USDM = binance.DIALECT, binance_usdm.DIALECT


def trade(number: int, symbol: str = "BTCUSDT", every_ms: int = 1_000) -> MarketTrade:
    """Trade `number` of one every second, a fraction of a millisecond late."""
    time_us = (START_MS + every_ms * number) * 1_000 + 999
    return MarketTrade(symbol, 100.0 + number, 2.0, time_us, "X", "sell" if number % 2 else "buy", str(number), number)


@pytest.fixture
def played() -> PlayedHistory:
    history = PlayedHistory()
    history.add([trade(number) for number in range(1, 2_501)])
    return history


def get(dialect: Dialect, path: str, played: PlayedHistory, rules: Rules | None = None, **query: Any) -> RestReply:
    assert dialect.serves(path)
    texts = {name: str(value) for name, value in query.items()}
    return dialect.reply(RestRequest(path, texts, {}, NOW_US), played, rules or Rules())


def trades(played: PlayedHistory, dialect: Dialect = SPOT, **query: Any) -> Any:
    path = "/fapi/v1/aggTrades" if dialect is USDM else "/api/v3/aggTrades"
    reply = get(dialect, path, played, **{"symbol": "BTCUSDT", **query})
    answer = orjson.loads(reply.body)
    return [each["a"] for each in answer] if isinstance(answer, list) else answer["code"]


def test_an_aggregate_trade_has_the_documented_fields(played: PlayedHistory) -> None:
    reply = get(SPOT, "/api/v3/aggTrades", played, symbol="BTCUSDT", fromId=7, limit=1)
    expected = {
        "a": 7,
        "p": "107.00000000",
        "q": "2.00000000",
        "f": 7,
        "l": 7,
        "T": START_MS + 7_000,
        "m": True,
    }
    assert orjson.loads(reply.body) == [expected | {"M": True}]
    assert reply.headers["X-MBX-USED-WEIGHT-1M"] == "4"
    reply = get(USDM, "/fapi/v1/aggTrades", played, symbol="BTCUSDT", fromId=7, limit=1)
    assert orjson.loads(reply.body) == [expected]
    assert reply.headers["X-MBX-USED-WEIGHT-1M"] == "20"


@pytest.mark.parametrize("dialect", [SPOT, USDM])
def test_trades_by_number_and_by_time(played: PlayedHistory, dialect: Dialect) -> None:
    assert trades(played, dialect) == list(range(2_001, 2_501))
    assert trades(played, dialect, limit=1) == [2_500]
    assert trades(played, dialect, limit=5_000) == list(range(1_501, 2_501))
    assert trades(played, dialect, fromId=2_499) == [2_499, 2_500]
    assert trades(played, dialect, fromId=2_501) == []
    assert trades(played, dialect, fromId=3, limit=2) == [3, 4]
    span = {"startTime": START_MS + 3_000, "endTime": START_MS + 5_000}
    assert trades(played, dialect, **span) == [3, 4, 5]
    assert trades(played, dialect, **span, limit=2) == [3, 4]
    assert trades(played, dialect, endTime=START_MS + 5_000, limit=2) == [4, 5]


def test_futures_allow_less_than_an_hour_and_keep_two_days(played: PlayedHistory) -> None:
    hour = {"startTime": START_MS, "endTime": START_MS + 3_600_000}
    assert trades(played, SPOT, **hour)[0] == 1
    assert trades(played, USDM, **hour) == -1127
    assert trades(played, USDM, startTime=START_MS, endTime=START_MS + 3_599_999)[0] == 1
    played.add([trade(3_000, every_ms=60_000)])
    assert trades(played, SPOT, fromId=1, limit=2) == [1, 2]
    assert trades(played, USDM, fromId=1, limit=2) == []


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"symbol": ""}, -1102),
        ({"symbol": "NOSUCH"}, -1121),
        ({"symbol": "btcusdt"}, -1100),
        ({"symbol": "BTC-USDT"}, -1100),
        ({"limit": "x"}, -1100),
        ({"fromId": 1, "startTime": START_MS}, -1128),
        ({"startTime": 2, "endTime": 1}, -1102),
    ],
)
def test_bad_requests_have_binances_codes(played: PlayedHistory, query: dict[str, Any], code: int) -> None:
    assert trades(played, SPOT, **query) == code


def test_a_pair_that_has_not_traded_yet_is_empty_and_no_error(played: PlayedHistory) -> None:
    assert trades(played, SPOT, symbol="ETHUSDT") == []
    assert trades(played, SPOT, symbol="ETHUSDT", fromId=1) == []


def test_futures_are_perpetuals_where_those_are_played(played: PlayedHistory) -> None:
    played.add([trade(9_000, "BTCUSDT-PERP")])
    assert trades(played, USDM, limit=1) == [9_000]
    assert trades(played, SPOT, limit=1) == [2_500]


def test_klines(played: PlayedHistory) -> None:
    query = {"symbol": "BTCUSDT", "interval": "1m", "startTime": START_MS + 60_000, "endTime": START_MS + 179_999}
    rows = orjson.loads(get(SPOT, "/api/v3/klines", played, **query).body)
    assert [row[0] for row in rows] == [START_MS + 60_000, START_MS + 120_000]
    value = sum((100 + number) * 2 for number in range(60, 120))
    assert rows[0] == [
        START_MS + 60_000,
        "160.00000000",
        "219.00000000",
        "160.00000000",
        "219.00000000",
        "120.00000000",
        START_MS + 119_999,
        f"{value}.00000000",
        60,
        "60.00000000",
        f"{value // 2}.00000000",
        "0",
    ]
    newest = orjson.loads(get(SPOT, "/api/v3/klines", played, symbol="BTCUSDT", interval="1m", limit=2).body)
    assert [row[0] for row in newest] == [START_MS + 2_400_000, START_MS + 2_460_000, START_MS + 2_500_000][:2]
    bad = orjson.loads(get(SPOT, "/api/v3/klines", played, symbol="BTCUSDT", interval="7m").body)
    assert bad["code"] == -1120
    assert orjson.loads(get(USDM, "/fapi/v1/klines", played, symbol="BTCUSDT", interval="1s").body)["code"] == -1120


@pytest.mark.parametrize(("limit", "weight"), [(99, "1"), (100, "2"), (500, "5"), (1_000, "5"), (1_001, "10")])
def test_futures_klines_weigh_by_their_number(played: PlayedHistory, limit: int, weight: str) -> None:
    reply = get(USDM, "/fapi/v1/klines", played, symbol="BTCUSDT", interval="1m", limit=limit)
    assert reply.headers["X-MBX-USED-WEIGHT-1M"] == weight


def test_ping_and_time(played: PlayedHistory) -> None:
    assert get(SPOT, "/api/v3/ping", played).body == b"{}"
    assert orjson.loads(get(USDM, "/fapi/v1/time", played).body) == {"serverTime": NOW_US // 1_000}
    assert orjson.loads(get(SPOT, "/api/v3/account", played).body)["code"] == -1000


def test_weight_adds_up_within_a_minute_and_ends_in_429(played: PlayedHistory) -> None:
    rules = Rules()
    replies = [get(USDM, "/fapi/v1/aggTrades", played, rules, symbol="BTCUSDT", limit=1) for _ in range(121)]
    assert [reply.status for reply in replies[:120]] == [HTTPStatus.OK] * 120
    assert replies[119].headers["X-MBX-USED-WEIGHT-1M"] == "2400"
    assert replies[120].status is HTTPStatus.TOO_MANY_REQUESTS
    assert replies[120].headers["Retry-After"] == "30"
    assert orjson.loads(replies[120].body)["code"] == -1003
    later = RestRequest("/fapi/v1/ping", {}, {}, NOW_US + 60_000_000)
    assert USDM.reply(later, played, rules).headers["X-MBX-USED-WEIGHT-1M"] == "1"


@pytest.mark.parametrize(
    ("quota", "status", "code"),
    [("burst", 429, -1003), ("daily", 429, -1003), ("ban", 418, -1003), ("plan", 451, 0), ("bandwidth", 403, None)],
)
def test_every_quota_is_refused(played: PlayedHistory, quota: Quota, status: int, code: int | None) -> None:
    reply = get(SPOT, "/api/v3/ping", played, Rules(quota=quota, retry_after_seconds=7))
    assert reply.status == status
    assert (reply.headers.get("Retry-After") == "7") is (status in (418, 429))
    if code is None:
        assert reply.body.startswith(b"<html>")
    else:
        assert orjson.loads(reply.body)["code"] == code

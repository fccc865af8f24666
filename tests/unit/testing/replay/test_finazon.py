"""The Finazon conversation and REST API, frame by frame, without a socket."""

from typing import Any

import orjson
import pytest

from marketstream.testing.market_trade import MarketTrade
from marketstream.testing.replay.conversation import Batch
from marketstream.testing.replay.dialect import Quota, RestRequest, Rules
from marketstream.testing.replay.finazon import DIALECT, MAX_MESSAGES_PER_MINUTE
from marketstream.testing.replay.history import PlayedHistory

START = 1_699_540_020_000_000
PATH = "/v1?apikey=key"


def trade(seconds: float, price: float, size: float = 10, symbol: str = "AAPL") -> MarketTrade:
    time_us = START + round(seconds * 1_000_000)
    return MarketTrade(symbol, price, size, time_us, "Q", None, str(time_us), time_us - START)


TRADES = [trade(0.1, 10.0), trade(0.5, 12.0), trade(1.2, 9.0), trade(1.3, 11.0), trade(62, 15.0), trade(63, 16.0)]


def talk(path: str = PATH, rules: Rules | None = None) -> Any:
    return DIALECT.converse(path, rules or Rules())


def ask(conversation: Any, now: float = 0.0, **message: Any) -> list[Any]:
    return [orjson.loads(frame) for frame in conversation.answer(orjson.dumps(message), now).frames]


def subscribe(conversation: Any, *tickers: str, frequency: str = "1s", aggregation: str = "1m") -> list[Any]:
    lengths = {"frequency": frequency, "aggregation": aggregation}
    return ask(conversation, event="subscribe", dataset="us", tickers=list(tickers), channel="bars", **lengths)


def streamed(conversation: Any, trades: list[MarketTrade]) -> list[Any]:
    return [orjson.loads(outgoing.frame) for outgoing in conversation.frames(Batch(trades))]


def states(frames: list[Any]) -> list[tuple[int, float, int]]:
    return [(frame["t"] - START // 1_000_000, frame["c"], frame["v"]) for frame in frames]


def test_its_path_is_its_own() -> None:
    assert DIALECT.speaks(PATH)
    assert DIALECT.speaks("/v1")
    assert not DIALECT.speaks("/v1/x")
    assert not DIALECT.speaks("/stocks")
    assert DIALECT.serves("/latest/finazon/us_stocks_essential/time_series")
    assert not DIALECT.serves("/query")


@pytest.mark.parametrize(("path", "refused"), [(PATH, "key"), ("/v1", ""), ("/v1?apikey=", "")])
def test_no_good_key_is_told_so_and_left(path: str, refused: str) -> None:
    greeting = talk(path, Rules(refused_keys=(refused,))).greeting()
    (frame,) = greeting.frames
    assert orjson.loads(frame)["status"] == "error"
    assert orjson.loads(frame)["code"] == "INVALID_API_KEY"
    assert greeting.close


def test_a_good_key_is_not_greeted_and_subscriptions_are_granted() -> None:
    conversation = talk()
    assert conversation.greeting().frames == ()
    assert not conversation.subscribed
    assert subscribe(conversation, "AAPL", "MSFT") == [
        {"status": "success", "code": "SUCCESS_SUBSCRIPTION", "data": ["AAPL", "MSFT"]}
    ]
    assert conversation.subscribed
    assert ask(conversation, event="heartbeat") == [{"event": "heartbeat", "status": "success"}]


def test_bars_have_the_documented_fields_and_grow_by_the_second() -> None:
    conversation = talk()
    subscribe(conversation, "AAPL")
    frames = streamed(conversation, TRADES)
    assert frames[0] == {
        "d": "us",
        "p": "finazon",
        "ch": "bars",
        "f": "1s",
        "aggr": "1m",
        "s": "AAPL",
        "t": START // 1_000_000,
        "o": 10.0,
        "h": 10.0,
        "l": 10.0,
        "c": 10.0,
        "v": 10.0,
    }
    # First trade of each second, the first bar's last state with the next bar's first trade, and so on.
    assert states(frames) == [(0, 10.0, 10), (0, 9.0, 30), (0, 11.0, 40), (60, 15.0, 10), (60, 16.0, 20)]


def test_a_bar_sent_as_often_as_it_is_long_comes_once_when_it_is_over() -> None:
    conversation = talk()
    subscribe(conversation, "AAPL", frequency="1m")
    assert states(streamed(conversation, TRADES)) == [(0, 11.0, 40)]


def test_every_trade_is_passed_once_and_others_symbols_are_not_sent() -> None:
    conversation = talk()
    subscribe(conversation, "AAPL")
    outgoing = list(conversation.frames(Batch([trade(0, 5.0, symbol="MSFT"), *TRADES])))
    assert [each.passed for each in outgoing] == [2, 4, 5, 6, 7]
    assert {orjson.loads(each.frame)["s"] for each in outgoing} == {"AAPL"}
    ask(
        conversation,
        event="unsubscribe",
        dataset="us",
        tickers=["AAPL"],
        channel="bars",
        frequency="1s",
        aggregation="1m",
    )
    assert not conversation.subscribed


def test_pairs_are_heard_by_their_own_names() -> None:
    conversation = talk()
    subscribe(conversation, "BTC/USDT")
    assert [frame["s"] for frame in streamed(conversation, [trade(0, 5.0, symbol="BTCUSDT")])] == ["BTC/USDT"]


def test_one_bad_ticker_does_not_cancel_the_rest() -> None:
    conversation = talk()
    granted, refused = subscribe(conversation, "NO_SUCH", "AAPL")
    assert granted["data"] == ["AAPL"]
    assert "ticker NO_SUCH you have specified" in refused["message"]
    assert conversation.subscribed
    only = talk()
    (refused,) = subscribe(only, "NO_SUCH")
    assert refused["status"] == "error"
    assert not only.subscribed


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"event": "dance"},
        {"event": "subscribe"},
        {"event": "subscribe", "tickers": ["AAPL"], "channel": "trades", "dataset": "us"},
        {"event": "subscribe", "tickers": ["AAPL"], "channel": "bars", "dataset": "us", "frequency": "2s"},
    ],
)
def test_bad_requests_are_told_so(message: dict[str, Any]) -> None:
    (error,) = ask(talk(), **message)
    assert (error["status"], error["code"]) == ("error", "INVALID_PARAMETER")


def test_too_many_messages_in_a_minute_end_the_connection() -> None:
    conversation = talk()
    for number in range(MAX_MESSAGES_PER_MINUTE):
        assert conversation.answer(b'{"event":"heartbeat"}', number / 10).close is None
    assert conversation.answer(b'{"event":"heartbeat"}', 59.9).close is not None
    slow = talk()
    for number in range(MAX_MESSAGES_PER_MINUTE + 20):
        assert slow.answer(b'{"event":"heartbeat"}', float(number)).close is None


def history() -> PlayedHistory:
    played = PlayedHistory()
    played.add(TRADES)
    return played


def get(path: str = "/latest/finazon/us_stocks_essential/time_series", rules: Rules | None = None, **query: Any) -> Any:
    headers = {"authorization": "apikey key"}
    request = RestRequest(path, {key: str(value) for key, value in query.items()}, headers, START + 3_600_000_000)
    reply = DIALECT.reply(request, history(), rules or Rules())
    return reply.status.value, orjson.loads(reply.body)


def test_past_bars_come_in_pages_newest_first_unless_asked_otherwise() -> None:
    first = {"t": START // 1_000_000, "o": 10.0, "h": 12.0, "l": 9.0, "c": 11.0, "v": 40.0}
    second = {"t": START // 1_000_000 + 60, "o": 15.0, "h": 16.0, "l": 15.0, "c": 16.0, "v": 20.0}
    assert get(ticker="AAPL", interval="1m") == (200, {"data": [second, first]})
    assert get(ticker="AAPL", interval="1m", order="asc") == (200, {"data": [first, second]})
    assert get(ticker="AAPL", interval="1m", order="asc", page_size=1, page=1) == (200, {"data": [second]})
    assert get(ticker="AAPL", interval="1m", start_at=first["t"] + 1) == (200, {"data": [second]})
    assert get(ticker="AAPL", interval="1m", end_at=first["t"]) == (200, {"data": [first]})
    assert get(ticker="MSFT", interval="1m") == (200, {"data": []})


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ({"ticker": "NO_SUCH", "interval": "1m"}, 400, "INVALID_TICKER"),
        ({"ticker": "AAPL", "interval": "7m"}, 400, "INVALID_PARAMETER"),
        ({"path": "/latest/nothing"}, 404, "ENDPOINT_NOT_FOUND"),
    ],
)
def test_bad_questions_are_answered_in_the_documented_words(query: dict[str, Any], status: int, code: str) -> None:
    answered, error = get(**query)
    assert (answered, error["status"], error["code"]) == (status, "error", code)


@pytest.mark.parametrize(
    ("quota", "status"), [("burst", 429), ("daily", 429), ("plan", 401), ("bandwidth", 402), ("ban", 403)]
)
def test_quotas_are_told_over_rest_and_to_those_connected(quota: Quota, status: int) -> None:
    rules = Rules(quota=quota)
    answered, error = get(rules=rules, ticker="AAPL", interval="1m")
    assert (answered, error["status"]) == (status, "error")
    told = talk(rules=rules).refused(quota)
    assert told.close
    assert orjson.loads(told.frames[0])["message"] == error["message"]
    assert ("key" in error["message"].split()) == (quota == "daily")

"""The FMP conversation and REST API, message by message, without a socket."""

from http import HTTPStatus
from typing import Any

import orjson
import pytest

from marketstream.testing.market_trade import MarketTrade
from marketstream.testing.replay.conversation import POLICY_VIOLATION, Answer, Batch
from marketstream.testing.replay.dialect import RestReply, RestRequest, Rules
from marketstream.testing.replay.fmp import DIALECT, FmpConversation, encode_break, encode_quote, encode_trade
from marketstream.testing.replay.history import PlayedHistory

BRK = MarketTrade("BRK.B", 181.52, 283.0, 1_646_154_954_689_123, "P", "buy", "7", 7)
BTC = MarketTrade("BTCUSD", 43_682.5, 0.04582, 1_706_000_000_000_000, None, "sell", "8", 8)
EUR = MarketTrade("EURUSD", 1.0925, 100_000.0, 1_714_403_004_431_000, None, "buy", "9", 9)
ALL = ["brk-b", "btcusd", "eurusd"]
NOW = 1_646_154_960_000_000


def said(answer: Answer) -> list[Any]:
    return [orjson.loads(frame) for frame in answer.frames]


def tell(conversation: FmpConversation, event: str, **data: Any) -> Answer:
    return conversation.answer(orjson.dumps({"event": event, "data": data}), 0.0)


def logged_in(path: str = "/fmp", rules: Rules | None = None) -> FmpConversation:
    conversation = FmpConversation(path, rules or Rules())
    assert said(tell(conversation, "login", apiKey="k")) == [
        {"event": "login", "status": 200, "message": "Authenticated"}
    ]
    return conversation


def ask(path: str, history: PlayedHistory, rules: Rules | None = None, **query: str) -> RestReply:
    return DIALECT.reply(RestRequest(path, {"apikey": "k", **query}, {}, NOW), history, rules or Rules())


def sent(conversation: FmpConversation) -> list[tuple[str, str]]:
    frames = [orjson.loads(each.frame) for each in conversation.frames(Batch([BRK, BTC, EUR]))]
    return [(frame["s"], frame["type"]) for frame in frames]


@pytest.fixture
def history() -> PlayedHistory:
    played = PlayedHistory()
    played.add([BRK, BTC, EUR, BRK._replace(price=182.0, event_time_us=BRK.event_time_us + 60_000_000, sequence=8)])
    return played


def test_frames_have_the_documented_fields_and_nulls() -> None:
    nothing: dict[str, None] = dict.fromkeys(("ap", "as", "bp", "bs", "lp", "ls"))
    head = {"s": "brk-b", "t": 1_646_154_954_689_123_000}
    assert orjson.loads(encode_trade(BRK)) == {**head, "type": "T", **nothing, "lp": 181.52, "ls": 283.0}
    assert orjson.loads(encode_break(BRK)) == {**head, "type": "B", **nothing, "lp": 181.52, "ls": 283.0}
    quote = {"ap": 181.52, "as": 285.0, "bp": 181.51, "bs": 284.0}
    assert orjson.loads(encode_quote(BRK)) == {**head, "type": "Q", **nothing, **quote}


def test_times_are_written_in_every_way() -> None:
    times = [orjson.loads(encode_trade(trade))["t"] for trade in (BRK, BTC, EUR)]
    assert times == [1_646_154_954_689_123_000, 1_706_000_000_000, "2024-04-29T15:03:24.431000Z"]


@pytest.mark.parametrize("path", ["/fmp", "/fmp/crypto", "/fmp/forex"])
def test_speaks_on_its_paths(path: str) -> None:
    assert DIALECT.speaks(path)
    assert not DIALECT.speaks(path + "x")


def test_refuses_keys() -> None:
    for rules in (Rules(refused_keys=("k",)), Rules(refuse_all_keys=True)):
        answer = tell(FmpConversation("/fmp", rules), "login", apiKey="k")
        assert said(answer) == [{"message": "Unauthorized"}]
        assert answer.close is not None
        assert answer.close[0] == POLICY_VIOLATION
    assert said(tell(FmpConversation("/fmp", Rules()), "subscribe", ticker="aapl")) == [{"message": "Unauthorized"}]


def test_subscribes_and_unsubscribes_lists_and_single_tickers() -> None:
    conversation = logged_in()
    assert not conversation.subscribed
    (answer,) = said(tell(conversation, "subscribe", ticker=ALL))
    assert (answer["event"], answer["status"]) == ("subscribe", 200)
    assert sent(conversation) == [(ticker, kind) for ticker in ALL for kind in "TQ"]
    assert [each.passed for each in conversation.frames(Batch([BRK, BTC, EUR]))] == [0, 1, 1, 2, 2, 3]
    tell(conversation, "unsubscribe", ticker="btcusd")
    assert sent(conversation) == [(ticker, kind) for ticker in ("brk-b", "eurusd") for kind in "TQ"]


def test_upper_case_tickers_are_acknowledged_and_silent() -> None:
    conversation = logged_in()
    (answer,) = said(tell(conversation, "subscribe", ticker="BTCUSD"))
    assert answer["status"] == 200
    assert sent(conversation) == []


@pytest.mark.parametrize(("path", "carried"), [("/fmp/crypto", "btcusd"), ("/fmp/forex", "eurusd")])
def test_each_host_carries_its_market(path: str, carried: str) -> None:
    conversation = logged_in(path)
    tell(conversation, "subscribe", ticker=ALL)
    assert sent(conversation) == [(carried, "T"), (carried, "Q")]


def test_takes_back_what_was_subscribed_to() -> None:
    conversation = logged_in()
    tell(conversation, "subscribe", ticker="btcusd")
    assert conversation.cancelled(BTC) == (encode_break(BTC),)
    assert conversation.cancelled(BRK) == ()


@pytest.mark.parametrize(
    "request_", [b"x", b"[]", b'{"event":"login","data":{}}', b'{"event":"dance","data":{"ticker":1}}']
)
def test_malformed_requests_get_an_error(request_: bytes) -> None:
    (answer,) = said(logged_in().answer(request_, 0.0))
    assert answer["status"] == 400


@pytest.mark.parametrize(
    ("quota", "status", "words"),
    [
        ("burst", 429, "Limit Reach ."),
        ("daily", 429, "Limit Reach ."),
        ("bandwidth", 429, "Bandwidth Limit Reach ."),
        ("plan", 402, "Premium Endpoint"),
        ("ban", 403, "Your address is blocked."),
    ],
)
def test_quotas_end_the_connection_and_refuse_rest(quota: Any, status: int, words: str, history: PlayedHistory) -> None:
    rules = Rules(quota=quota)
    ended = tell(FmpConversation("/fmp", rules), "login", apiKey="k")
    assert ended == logged_in().refused(quota)
    (answer,) = said(ended)
    assert (answer["status"], answer["message"][: len(words)]) == (status, words)
    reply = ask("/stable/quote", history, rules, symbol="BRK-B")
    assert reply.status == status
    text = reply.body.decode() if quota == "plan" else orjson.loads(reply.body)["Error Message"]
    assert text == answer["message"]


def test_a_bad_key_is_refused_with_status_200(history: PlayedHistory) -> None:
    reply = ask("/stable/quote", history, Rules(refuse_all_keys=True), symbol="BRK-B")
    assert reply.status == HTTPStatus.OK
    assert orjson.loads(reply.body)["Error Message"].startswith("Invalid API KEY. ")


def test_tells_quotes(history: PlayedHistory) -> None:
    (quote,) = orjson.loads(ask("/stable/quote", history, symbol="BRK-B").body)
    assert (quote["symbol"], quote["price"], quote["timestamp"]) == ("BRK-B", 182.0, 1_646_155_014)
    assert (quote["open"], quote["dayLow"], quote["dayHigh"], quote["volume"]) == (181.52, 181.52, 182.0, 566.0)
    assert orjson.loads(ask("/stable/quote", history, symbol="NOPE").body) == []


def test_tells_charts_newest_first_in_new_yorks_time(history: PlayedHistory) -> None:
    path = "/stable/historical-chart/1min"
    bars = orjson.loads(ask(path, history, symbol="BRK-B", **{"from": "2022-03-01", "to": "2022-03-01"}).body)
    assert bars == [
        {"date": "2022-03-01 12:16:00", "open": 182.0, "low": 182.0, "high": 182.0, "close": 182.0, "volume": 283.0},
        {
            "date": "2022-03-01 12:15:00",
            "open": 181.52,
            "low": 181.52,
            "high": 181.52,
            "close": 181.52,
            "volume": 283.0,
        },
    ]
    assert orjson.loads(ask(path, history, symbol="BRK-B").body) == bars  # today, unless told otherwise
    assert orjson.loads(ask(path, history, symbol="BRK-B", **{"from": "2022-03-02", "to": "2022-03-03"}).body) == []
    assert len(orjson.loads(ask("/stable/historical-chart/1hour", history, symbol="BRK-B").body)) == 1
    assert ask(path, history, symbol="BRK-B", **{"from": "x"}).status == HTTPStatus.BAD_REQUEST
    assert ask("/stable/other", history).status == HTTPStatus.NOT_FOUND

"""The Finage conversation and REST API, message by message, without a socket."""

import gzip
from http import HTTPStatus
from typing import Any

import orjson
import pytest

from marketstream.testing.market_trade import MarketTrade
from marketstream.testing.replay.conversation import POLICY_VIOLATION, Answer, Batch
from marketstream.testing.replay.dialect import RestReply, RestRequest, Rules
from marketstream.testing.replay.finage import DIALECT, FinageConversation, encode_quote, encode_trade
from marketstream.testing.replay.history import PlayedHistory

IBM = MarketTrade("IBM", 181.52, 283.0, 1_646_154_954_689_123, "P", "buy", "7", 7, (5, 29))
BTC = MarketTrade("BTCUSD", 43_682.66306523, 0.04582, 1_706_000_000_000_000, None, "sell", "8", 8)
EUR = MarketTrade("EURUSD", 1.0925, 100_000.0, 1_714_403_004_431_000, None, "buy", "9", 9)
NOW = 1_714_403_005_000_000


def said(answer: Answer) -> list[Any]:
    return [orjson.loads(frame) for frame in answer.frames]


def let_in(rules: Rules | None = None) -> FinageConversation:
    conversation = FinageConversation("/finage?token=k", rules or Rules())
    conversation.greeting()
    return conversation


def tell(conversation: FinageConversation, action: str, symbols: str) -> Answer:
    return conversation.answer(orjson.dumps({"action": action, "symbols": symbols}), 0.0)


def ask(path: str, history: PlayedHistory, rules: Rules | None = None, **query: str) -> RestReply:
    headers = {"accept-encoding": "gzip, deflate"}
    return DIALECT.reply(RestRequest(path, {"apikey": "k", **query}, headers, NOW), history, rules or Rules())


def told(reply: RestReply) -> Any:
    assert reply.headers["Content-Encoding"] == "gzip"
    return orjson.loads(gzip.decompress(reply.body))


@pytest.fixture
def history() -> PlayedHistory:
    played = PlayedHistory()
    played.add([IBM, BTC, EUR])
    return played


def test_frames_have_the_documented_fields() -> None:
    assert orjson.loads(encode_trade(IBM)) == {
        "s": "IBM",
        "p": 181.52,
        "c": [5, 29],
        "v": 283,
        "dp": False,
        "t": 1_646_154_954_689,
    }
    crypto = {"s": "BTCUSD", "p": "43682.66306523", "q": "0.04582000", "dex": False, "src": "A", "t": 1_706_000_000_000}
    assert orjson.loads(encode_trade(BTC)) == crypto
    quote = orjson.loads(encode_quote(IBM))
    assert quote == {"s": "IBM", "ap": 181.52, "bp": 181.51, "as": 285.0, "bs": 284.0, "t": 1_646_154_954_689}
    forex = orjson.loads(encode_quote(EUR))
    assert (forex["s"], forex["a"], forex["t"]) == ("EUR/USD", 1.0925, 1_714_403_004_431)
    assert forex["b"] < forex["a"]
    assert (encode_trade(EUR), encode_quote(BTC)) == (b"", b"")


@pytest.mark.parametrize("path", ["/finage", "/finage?token=k", "/?token=k", "/anything?token="])
def test_speaks_on_its_paths(path: str) -> None:
    assert DIALECT.speaks(path)


@pytest.mark.parametrize("path", ["/stocks", "/fmp", "/v1?apikey=k", "/ws/btcusdt@trade"])
def test_leaves_other_paths_alone(path: str) -> None:
    assert not DIALECT.speaks(path)


def test_greets_with_two_statuses() -> None:
    greeting = FinageConversation("/finage?token=k", Rules()).greeting()
    assert [(each["status_code"], each["message"]) for each in said(greeting)] == [
        (200, "authorizing"),
        (200, "connected to the adapter"),
    ]
    assert greeting.close is None


@pytest.mark.parametrize(
    ("path", "rules", "text"),
    [
        ("/finage", Rules(), b"401 - use your socket key to connect"),
        ("/finage?token=bad", Rules(refused_keys=("bad",)), b"401 - invalid socket key"),
        ("/finage?token=k", Rules(refuse_all_keys=True), b"401 - invalid socket key"),
    ],
)
def test_refuses_keys_in_text(path: str, rules: Rules, text: bytes) -> None:
    greeting = FinageConversation(path, rules).greeting()
    assert greeting.frames == (text,)
    assert greeting.close is not None
    assert greeting.close[0] == POLICY_VIOLATION


def test_subscriptions_are_taken_in_silence() -> None:
    conversation = let_in()
    assert not conversation.subscribed
    assert tell(conversation, "subscribe", "IBM, eur/usd,") == Answer()
    assert conversation.subscribed
    batch = Batch([IBM, BTC, EUR, IBM])
    outgoing = list(conversation.frames(batch))
    assert [(orjson.loads(each.frame)["s"], each.passed) for each in outgoing] == [
        ("IBM", 0),
        ("IBM", 1),
        ("EUR/USD", 3),
        ("IBM", 3),
        ("IBM", 4),
    ]
    assert tell(conversation, "unsubscribe", "IBM,EUR/USD") == Answer()
    assert not conversation.subscribed
    assert list(conversation.frames(batch)) == []


@pytest.mark.parametrize("request_", [b"x", b"[]", b'{"action":"subscribe"}', b'{"action":"subscribe","symbols":1}'])
def test_malformed_requests_get_a_status(request_: bytes) -> None:
    (status,) = said(let_in().answer(request_, 0.0))
    assert status["status_code"] == 400
    (status,) = said(tell(let_in(), "dance", "IBM"))
    assert status["status_code"] == 400


@pytest.mark.parametrize("quota", ["burst", "daily", "bandwidth", "plan", "ban"])
def test_quotas_end_the_connection_and_refuse_rest(quota: Any, history: PlayedHistory) -> None:
    rules = Rules(quota=quota, retry_after_seconds=7.0)
    ended = tell(let_in(rules), "subscribe", "IBM")
    assert ended == let_in().refused(quota)
    assert ended.close is not None
    reply = ask("/last/crypto/BTCUSD", history, rules)
    words = told(reply)["error"]
    assert ended.frames == (f"{reply.status.value} - {words}".encode(),)
    assert reply.headers["Retry-After"] == "7"


def test_tells_last_trades_and_quotes(history: PlayedHistory) -> None:
    assert told(ask("/last/trade/stock/IBM", history)) == {
        "symbol": "IBM",
        "price": 181.52,
        "size": 283.0,
        "timestamp": 1_646_154_954_689,
    }
    assert told(ask("/last/crypto/BTCUSD", history))["timestamp"] == 1_706_000_000_000
    assert told(ask("/last/trade/forex/EURUSD", history))["timestamp"] == 1_714_403_004  # seconds
    quote = told(ask("/last/stock/IBM", history))
    assert (quote["ask"], quote["bid"], quote["asize"]) == (181.52, 181.51, 285.0)


def test_tells_aggregates(history: PlayedHistory) -> None:
    history.add([IBM._replace(price=182.0, event_time_us=IBM.event_time_us + 60_000_000, sequence=8)])
    path = "/agg/stock/IBM/1/minute/2022-03-01/2022-03-01"
    answer = told(ask(path, history))
    assert (answer["symbol"], answer["totalResults"]) == ("IBM", 2)
    assert answer["results"][0] == {
        "o": 181.52,
        "h": 181.52,
        "l": 181.52,
        "c": 181.52,
        "v": 283.0,
        "t": 1_646_154_900_000,
    }
    assert [bar["c"] for bar in told(ask(path, history, sort="desc"))["results"]] == [182.0, 181.52]
    assert told(ask(path, history, limit="1"))["totalResults"] == 1
    assert told(ask(path.replace("2022-03-01/", "2022-02-01/"), history))["totalResults"] == 2
    assert told(ask(path.replace("2022-03-01", "2022-03-02"), history))["totalResults"] == 0


@pytest.mark.parametrize(
    ("path", "query", "status", "error"),
    [
        ("/last/crypto/NOPE", {}, 400, "Please check the symbol and try again."),
        ("/agg/stock/N~PE/1/minute/2022-03-01/2022-03-01", {}, 400, "Please check the symbol and try again."),
        ("/last/crypto/BTCUSD", {"apikey": ""}, 406, "Please use your APIKey to make a request."),
        (
            "/last/crypto/BTCUSD",
            {"apikey": "bad"},
            406,
            "You do not have permission to make a request to this endpoint.",
        ),
        ("/agg/stock/IBM/1/minute/2022-13-01/2022-03-01", {}, 400, None),
        ("/history/ticks/stock/IBM/2022-03-01", {}, 404, None),
    ],
)
def test_refuses_in_rest(
    history: PlayedHistory, path: str, query: dict[str, str], status: int, error: str | None
) -> None:
    reply = ask(path, history, Rules(refused_keys=("bad",)), **query)
    assert reply.status == status
    assert error is None or told(reply) == {"error": error}


def test_insists_on_compression(history: PlayedHistory) -> None:
    reply = DIALECT.reply(RestRequest("/last/crypto/BTCUSD", {"apikey": "k"}, {}, NOW), history, Rules())
    assert (reply.status, reply.body) == (HTTPStatus.NOT_ACCEPTABLE, b'{"error":"GZip compression required"}')

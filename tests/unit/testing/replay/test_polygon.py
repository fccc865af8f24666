"""The Polygon conversation, frame by frame, without a socket."""

from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import orjson
import pytest

from marketstream.testing.market_trade import MarketTrade
from marketstream.testing.replay.conversation import Answer, Batch
from marketstream.testing.replay.dialect import RestReply, RestRequest, Rules
from marketstream.testing.replay.history import PlayedHistory
from marketstream.testing.replay.polygon import DIALECT, PolygonConversation, encode_quote, encode_trade

IBM = MarketTrade("IBM", 181.52, 283.0, 1_381_132_830_270_999, "P", None, "7", 7, (5, 29))
BAC = MarketTrade("BAC", 13.94, 0.125, 1_381_132_800_614_000, None, "buy", "8", 8)
RULES = Rules(refused_keys=("bad",))


def statuses(answer: Answer) -> list[tuple[str, str]]:
    events = [event for frame in answer.frames for event in orjson.loads(frame)]
    assert all(event["ev"] == "status" for event in events)
    return [(event["status"], event["message"]) for event in events]


def say(conversation: PolygonConversation, **message: Any) -> list[tuple[str, str]]:
    return statuses(conversation.answer(orjson.dumps(message), 0.0))


@pytest.fixture
def conversation() -> PolygonConversation:
    opened = PolygonConversation(RULES)
    opened.answer(b'{"action":"auth","params":"good"}', 0.0)
    return opened


def test_trades_have_the_documented_fields() -> None:
    assert orjson.loads(encode_trade(IBM)) == {
        "ev": "T",
        "sym": "IBM",
        "x": 11,
        "i": "7",
        "z": 1,
        "p": 181.52,
        "s": 283,
        "c": [5, 29],
        "t": 1_381_132_830_270,
        "q": 7,
    }


def test_a_fractional_size_goes_into_ds() -> None:
    event = orjson.loads(encode_trade(BAC))
    assert (event["s"], event["ds"], event["x"]) == (0, "0.125", 0)
    assert "c" not in event


def test_greets_authenticates_and_subscribes() -> None:
    conversation = PolygonConversation(RULES)
    assert statuses(conversation.greeting()) == [("connected", "Connected Successfully")]
    assert say(conversation, action="auth", params="good") == [("auth_success", "authenticated")]
    assert not conversation.subscribed
    assert say(conversation, action="subscribe", params="T.IBM, Q.IBM") == [
        ("success", "subscribed to: T.IBM"),
        ("success", "subscribed to: Q.IBM"),
    ]
    assert conversation.subscribed
    assert say(conversation, action="unsubscribe", params="T.IBM") == [("success", "unsubscribed to: T.IBM")]
    assert conversation.subscribed
    say(conversation, action="unsubscribe", params="Q.IBM")
    assert not conversation.subscribed


@pytest.mark.parametrize("key", ["bad", ""])
def test_a_bad_key_is_refused_and_the_connection_ends(key: str) -> None:
    answer = PolygonConversation(RULES).answer(orjson.dumps({"action": "auth", "params": key}), 0.0)
    assert statuses(answer) == [("auth_failed", "authentication failed")]
    assert answer.close is not None


def test_nothing_works_before_auth() -> None:
    conversation = PolygonConversation(Rules())
    assert say(conversation, action="subscribe", params="T.*") == [("error", "not authenticated")]
    assert not conversation.subscribed


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (b"{", "invalid message"),
        (b"[]", "invalid message"),
        (b'"auth"', "invalid message"),
        (b"\xff", "invalid message"),
        (b'{"action":"subscribe"}', "invalid message"),
        (b'{"action":"subscribe","params":["T.IBM"]}', "params must be a string"),
        (b'{"action":"shout","params":"T.IBM"}', "unknown action: shout"),
        (b'{"action":"subscribe","params":"X.IBM"}', "unknown channel: X.IBM"),
        (b'{"action":"subscribe","params":"IBM"}', "unknown channel: IBM"),
        (b'{"action":"subscribe","params":" ,"}', "names no channel"),
    ],
)
def test_a_bad_request_gets_an_error_and_changes_nothing(
    conversation: PolygonConversation, request_: bytes, message: str
) -> None:
    answer = conversation.answer(request_, 0.0)
    ((status, text),) = statuses(answer)
    assert status == "error"
    assert message in text
    assert answer.close is None
    assert not conversation.subscribed


def test_one_array_holds_the_trades_that_were_asked_for(conversation: PolygonConversation) -> None:
    batch = Batch([IBM, BAC, IBM])
    assert list(conversation.frames(batch)) == []
    say(conversation, action="subscribe", params="T.IBM")
    ((frame, passed),) = conversation.frames(batch)
    assert [event["sym"] for event in orjson.loads(frame)] == ["IBM", "IBM"]
    assert passed == 3
    say(conversation, action="subscribe", params="T.*")
    ((frame, _),) = conversation.frames(batch)
    assert [event["sym"] for event in orjson.loads(frame)] == ["IBM", "BAC", "IBM"]


def events(conversation: PolygonConversation, *trades: MarketTrade) -> list[dict[str, Any]]:
    return [event for frame, _ in conversation.frames(Batch(trades)) for event in orjson.loads(frame)]


def test_quotes_are_in_round_lots() -> None:
    quote = orjson.loads(encode_quote(IBM))
    assert quote["bp"] < quote["ap"]
    assert (quote["bs"], quote["as"], quote["t"], quote["q"]) == (2, 2, 1_381_132_830_270, 7)


def test_quotes_follow_their_trades_where_both_are_wanted(conversation: PolygonConversation) -> None:
    say(conversation, action="subscribe", params="T.IBM,Q.*")
    kinds = [(event["ev"], event["sym"]) for event in events(conversation, IBM, BAC)]
    assert kinds == [("T", "IBM"), ("Q", "IBM"), ("Q", "BAC")]


def test_a_bar_is_sent_once_a_trade_of_the_next_one_comes(conversation: PolygonConversation) -> None:
    say(conversation, action="subscribe", params="AM.IBM")
    second = IBM._replace(price=182.0, size=17.0, event_time_us=IBM.event_time_us + 1_000, sequence=8)
    assert events(conversation, IBM, second, BAC) == []
    (bar,) = events(conversation, IBM._replace(event_time_us=IBM.event_time_us + 60_000_000, sequence=9))
    assert (bar["ev"], bar["o"], bar["h"], bar["l"], bar["c"], bar["v"], bar["z"]) == (
        *("AM", 181.52, 182.0, 181.52, 182.0),
        *(300.0, 150),
    )
    assert (bar["s"], bar["e"]) == (1_381_132_800_000, 1_381_132_860_000)
    assert bar["vw"] == pytest.approx((181.52 * 283 + 182.0 * 17) / 300)


@pytest.mark.parametrize(
    ("quota", "status"), [("plan", "auth_failed"), ("burst", "max_connections"), ("ban", "max_connections")]
)
def test_a_quota_is_refused_in_the_providers_words(quota: Any, status: str) -> None:
    answer = PolygonConversation(Rules(quota=quota)).answer(b'{"action":"auth","params":"good"}', 0.0)
    assert [said for said, _ in statuses(answer)] == [status]
    assert answer.close is not None


TRADES = [IBM._replace(event_time_us=IBM.event_time_us + number * 1_000, sequence=number) for number in range(5)]


def ask(path: str, rules: Rules = RULES, key: str = "good", **query: Any) -> tuple[HTTPStatus, dict[str, Any]]:
    history = PlayedHistory()
    history.add(TRADES)
    texts = {name.replace("_", "."): str(value) for name, value in query.items()}
    assert DIALECT.serves(path)
    request = RestRequest(path=path, query=texts, headers={"authorization": f"Bearer {key}"}, now_us=0)
    answer: RestReply = DIALECT.reply(request, history, rules)
    return answer.status, orjson.loads(answer.body)


def test_past_trades_come_in_pages() -> None:
    first_us = TRADES[1].event_time_us
    asked = {"timestamp_gte": first_us * 1_000, "timestamp_lt": (first_us + 3_000) * 1_000, "order": "asc", "limit": 2}
    _, page = ask("/v3/trades/IBM", **asked)
    assert [trade["sequence_number"] for trade in page["results"]] == [1, 2]
    assert page["results"][0]["sip_timestamp"] == first_us * 1_000
    _, last = ask("/v3/trades/IBM", **dict(parse_qsl(urlsplit(page["next_url"]).query)))
    assert [trade["sequence_number"] for trade in last["results"]] == [3]
    assert "next_url" not in last


def test_past_bars_and_the_last_trade() -> None:
    start_ms = 1_381_132_800_000
    _, page = ask(f"/v2/aggs/ticker/IBM/range/1/minute/{start_ms}/{start_ms + 59_999}", sort="asc")
    (bar,) = page["results"]
    assert (bar["t"], bar["n"], bar["v"]) == (start_ms, 5, 5 * 283)
    _, last = ask("/v2/last/trade/IBM")
    assert last["results"]["t"] == TRADES[-1].event_time_us * 1_000
    assert ask("/v2/last/trade/NONE")[0] == HTTPStatus.NOT_FOUND


@pytest.mark.parametrize(
    ("rules", "key", "status"),
    [
        (RULES, "bad", HTTPStatus.UNAUTHORIZED),
        (RULES, "", HTTPStatus.UNAUTHORIZED),
        (Rules(quota="burst"), "good", HTTPStatus.TOO_MANY_REQUESTS),
        (Rules(quota="plan"), "good", HTTPStatus.FORBIDDEN),
    ],
)
def test_rest_refuses_keys_and_quotas(rules: Rules, key: str, status: HTTPStatus) -> None:
    assert ask("/v3/trades/IBM", rules, key)[0] == status

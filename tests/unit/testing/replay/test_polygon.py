"""The Polygon conversation, frame by frame, without a socket."""

from typing import Any

import orjson
import pytest

from marketstream.testing.market_trade import MarketTrade
from marketstream.testing.replay.conversation import Answer, Batch
from marketstream.testing.replay.polygon import PolygonConversation, encode_trade

IBM = MarketTrade("IBM", 181.52, 283.0, 1_381_132_830_270_999, "P", None, "7", 7, (5, 29))
BAC = MarketTrade("BAC", 13.94, 0.125, 1_381_132_800_614_000, None, "buy", "8", 8)


def statuses(answer: Answer) -> list[tuple[str, str]]:
    events = [event for frame in answer.frames for event in orjson.loads(frame)]
    assert all(event["ev"] == "status" for event in events)
    return [(event["status"], event["message"]) for event in events]


def say(conversation: PolygonConversation, **message: Any) -> list[tuple[str, str]]:
    return statuses(conversation.answer(orjson.dumps(message), 0.0))


@pytest.fixture
def conversation() -> PolygonConversation:
    opened = PolygonConversation(lambda key: key != "bad")
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
    conversation = PolygonConversation(lambda key: key != "bad")
    assert statuses(conversation.greeting()) == [("connected", "Connected Successfully")]
    assert say(conversation, action="auth", params="good") == [("auth_success", "authenticated")]
    assert not conversation.subscribed
    assert say(conversation, action="subscribe", params="T.IBM, Q.IBM") == [
        ("success", "subscribed to: T.IBM"),
        ("success", "subscribed to: Q.IBM"),
    ]
    assert conversation.subscribed
    assert say(conversation, action="unsubscribe", params="T.IBM") == [("success", "unsubscribed to: T.IBM")]
    assert not conversation.subscribed


@pytest.mark.parametrize("key", ["bad", ""])
def test_a_bad_key_is_refused_and_the_connection_ends(key: str) -> None:
    answer = PolygonConversation(lambda key: key != "bad").answer(orjson.dumps({"action": "auth", "params": key}), 0.0)
    assert statuses(answer) == [("auth_failed", "authentication failed")]
    assert answer.close is not None


def test_nothing_works_before_auth() -> None:
    conversation = PolygonConversation(lambda _: True)
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
    say(conversation, action="subscribe", params="T.IBM,AM.BAC")
    ((frame, passed),) = conversation.frames(batch)
    assert [event["sym"] for event in orjson.loads(frame)] == ["IBM", "IBM"]
    assert passed == 3
    say(conversation, action="subscribe", params="T.*")
    ((frame, _),) = conversation.frames(batch)
    assert [event["sym"] for event in orjson.loads(frame)] == ["IBM", "BAC", "IBM"]

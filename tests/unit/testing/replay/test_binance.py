"""The Binance conversation, frame by frame, without a socket."""

from typing import Any

import orjson
import pytest

from marketstream.testing.market_trade import MarketTrade
from marketstream.testing.replay.binance import BinanceConversation, encode_aggregate, encode_trade, speaks
from marketstream.testing.replay.conversation import Batch

BTC = MarketTrade("BTCUSDT", 65_000.1, 0.00042, 1_672_515_782_136_999, "BINANCE", "sell", "12345", 12_345)
ETH = MarketTrade("ETHUSDT", 3_200.0, 2.0, 1_672_515_782_137_000, "BINANCE", "buy", "9", 9)


def ask(conversation: BinanceConversation, now: float = 0.0, **message: Any) -> Any:
    (frame,) = conversation.answer(orjson.dumps(message), now).frames
    return orjson.loads(frame)


def streamed(conversation: BinanceConversation) -> list[Any]:
    return [orjson.loads(outgoing.frame) for outgoing in conversation.frames(Batch([BTC, ETH]))]


def test_trades_have_the_documented_fields() -> None:
    expected = {
        "e": "trade",
        "E": 1_672_515_782_136,
        "s": "BTCUSDT",
        "t": 12_345,
        "p": "65000.10000000",
        "q": "0.00042000",
        "T": 1_672_515_782_136,
        "m": True,
        "M": True,
    }
    assert orjson.loads(encode_trade(BTC)) == expected
    expected.pop("t")
    aggregate = expected | {"e": "aggTrade", "a": 12_345, "f": 12_345, "l": 12_345}
    assert orjson.loads(encode_aggregate(BTC)) == aggregate
    assert orjson.loads(encode_trade(ETH))["m"] is False


@pytest.mark.parametrize(
    ("path", "ours"),
    [
        ("/ws", True),
        ("/ws/btcusdt@trade", True),
        ("/stream?streams=a@trade", True),
        ("/stocks", False),
        ("/wsx", False),
        ("/", False),
    ],
)
def test_its_paths(path: str, ours: bool) -> None:
    assert speaks(path) is ours


def test_raw_and_combined_paths_subscribe_at_once() -> None:
    raw = BinanceConversation("/ws/btcusdt@trade")
    assert [event["s"] for event in streamed(raw)] == ["BTCUSDT"]
    combined = BinanceConversation("/stream?streams=ethusdt@aggTrade/btcusdt@trade")
    assert [(event["stream"], event["data"]["e"]) for event in streamed(combined)] == [
        ("btcusdt@trade", "trade"),
        ("ethusdt@aggTrade", "aggTrade"),
    ]
    assert not BinanceConversation("/ws").subscribed


def test_subscribes_lists_and_unsubscribes() -> None:
    conversation = BinanceConversation("/ws")
    names = ["btcusdt@trade", "ethusdt@trade", "btcusdt@depth"]
    assert ask(conversation, method="SUBSCRIBE", params=names, id=1) == {"result": None, "id": 1}
    assert ask(conversation, method="LIST_SUBSCRIPTIONS", id=2) == {"result": names, "id": 2}
    assert len(streamed(conversation)) == 2
    assert ask(conversation, method="UNSUBSCRIBE", params=names[:1], id="x") == {"result": None, "id": "x"}
    assert [event["s"] for event in streamed(conversation)] == ["ETHUSDT"]


def test_two_streams_of_one_symbol_send_both_and_count_the_trade_once() -> None:
    conversation = BinanceConversation("/ws/btcusdt@trade/btcusdt@aggTrade")
    outgoing = list(conversation.frames(Batch([BTC])))
    assert [orjson.loads(each.frame)["e"] for each in outgoing] == ["trade", "aggTrade"]
    assert [each.passed for each in outgoing] == [0, 1]


def test_unknown_and_upper_case_streams_are_acknowledged_and_silent() -> None:
    conversation = BinanceConversation("/ws")
    assert ask(conversation, method="SUBSCRIBE", params=["BTCUSDT@trade", "btcusdt@kline_1m"], id=1)["result"] is None
    assert not conversation.subscribed


def test_properties() -> None:
    conversation = BinanceConversation("/ws/btcusdt@trade")
    assert ask(conversation, method="GET_PROPERTY", params=["combined"], id=1)["result"] is False
    assert ask(conversation, method="SET_PROPERTY", params=["combined", True], id=2)["result"] is None
    assert streamed(conversation)[0]["stream"] == "btcusdt@trade"
    assert ask(conversation, method="SET_PROPERTY", params=["combined", "yes"], id=3)["code"] == 1
    assert ask(conversation, method="GET_PROPERTY", params=["colour"], id=4)["code"] == 0


@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        (b"{", 3, "Invalid JSON"),
        (b"[]", 2, "missing field method"),
        (b'{"id":1}', 2, "missing field method"),
        (b'{"method":"SHOUT","id":1}', 2, "unknown variant SHOUT"),
        (b'{"method":"SUBSCRIBE","params":["a@trade"],"id":-1}', 2, "request ID"),
        (b'{"method":"SUBSCRIBE","params":["a@trade"],"id":1.5}', 2, "request ID"),
        (b'{"method":"SUBSCRIBE","params":"a@trade","id":1}', 2, "params must be a list"),
        (b'{"method":"SUBSCRIBE","params":[1],"id":1}', 2, "params must be a list"),
    ],
)
def test_a_bad_request_gets_an_error_and_changes_nothing(request_: bytes, code: int, message: str) -> None:
    conversation = BinanceConversation("/ws")
    answer = conversation.answer(request_, 0.0)
    error = orjson.loads(answer.frames[0])
    assert error["code"] == code
    assert message in error["msg"]
    assert answer.close is None
    assert not conversation.subscribed


def test_the_sixth_request_in_a_second_ends_the_connection() -> None:
    patient, hasty = BinanceConversation("/ws"), BinanceConversation("/ws")
    request = b'{"method":"LIST_SUBSCRIPTIONS","id":1}'
    assert not any(patient.answer(request, number * 0.25).close for number in range(50))
    closes = [hasty.answer(request, number * 0.125).close for number in range(6)]
    assert closes[:5] == [None] * 5
    assert closes[5] is not None


def test_more_than_1024_streams_end_the_connection() -> None:
    names = [f"s{number}@trade" for number in range(1_025)]
    conversation = BinanceConversation("/ws")
    assert ask(conversation, method="SUBSCRIBE", params=names[:1_024], id=1)["result"] is None
    assert ask(conversation, method="SUBSCRIBE", params=names[:1], id=2)["result"] is None
    request = orjson.dumps({"method": "SUBSCRIBE", "params": names[1_024:], "id": 3})
    assert conversation.answer(request, 0.0).close is not None
    assert BinanceConversation("/ws/" + "/".join(names)).greeting().close is not None
    assert BinanceConversation("/ws/" + "/".join(names[:1_024])).greeting().close is None


def test_says_farewell_in_the_connections_own_shape() -> None:
    event = {"e": "serverShutdown", "E": 1_770_123_456_789}
    (raw,) = BinanceConversation("/ws").farewell(1_770_123_456_789_000)
    (combined,) = BinanceConversation("/stream").farewell(1_770_123_456_789_000)
    assert orjson.loads(raw) == event
    assert orjson.loads(combined) == {"stream": "!serverShutdown", "data": event}

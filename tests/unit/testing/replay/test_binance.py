"""The Binance conversation, frame by frame, without a socket."""

from typing import Any

import orjson
import pytest

from marketstream.testing.market_trade import MarketTrade
from marketstream.testing.replay.binance import (
    DIALECT,
    BinanceConversation,
    encode_aggregate,
    encode_book,
    encode_trade,
)
from marketstream.testing.replay.conversation import Batch
from marketstream.testing.replay.dialect import Rules
from marketstream.testing.replay.history import PlayedHistory

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


def test_best_bids_and_asks_have_the_documented_fields() -> None:
    assert orjson.loads(encode_book(BTC)) == {
        "u": 12_345,
        "s": "BTCUSDT",
        "b": "65000.10000000",
        "B": "1.00042000",
        "a": "65000.11000000",
        "A": "2.00042000",
    }


def test_a_bar_is_sent_as_it_grows_and_when_it_is_over() -> None:
    start = 1_672_515_780_000_000
    times = [start + 1_000_000 * second for second in (1, 2, 3, 30, 60, 61, 200)]
    trades = [BTC._replace(event_time_us=time, price=100.0 + n, sequence=n) for n, time in enumerate(times)]
    conversation = BinanceConversation("/ws/btcusdt@kline_1m")
    assert conversation.subscribed
    sent = []
    played = PlayedHistory()
    for trade in trades:  # as they are played, one by one
        played.add([trade])
        sent += [orjson.loads(each.frame) for each in conversation.frames(Batch([trade], played))]
    told = [(k["t"], k["x"], k["n"], k["o"], k["c"]) for k in (event["k"] for event in sent)]
    first, second, third = start // 1_000, start // 1_000 + 60_000, start // 1_000 + 180_000
    assert told == [
        (first, False, 1, "100.00000000", "100.00000000"),
        (first, False, 3, "100.00000000", "102.00000000"),
        (first, False, 4, "100.00000000", "103.00000000"),
        (first, True, 4, "100.00000000", "103.00000000"),
        (second, False, 1, "104.00000000", "104.00000000"),
        (second, True, 2, "104.00000000", "105.00000000"),
        (third, False, 1, "106.00000000", "106.00000000"),
    ]
    assert sent[3] == {
        "e": "kline",
        "E": times[4] // 1_000,
        "s": "BTCUSDT",
        "k": {
            "t": first,
            "T": first + 59_999,
            "s": "BTCUSDT",
            "i": "1m",
            "f": 0,
            "L": 3,
            "o": "100.00000000",
            "c": "103.00000000",
            "h": "103.00000000",
            "l": "100.00000000",
            "v": "0.00168000",
            "n": 4,
            "x": True,
            "q": "0.17052000",
            "V": "0.00084000",
            "Q": "0.08526000",
            "B": "0",
        },
    }


def test_a_bar_holds_what_was_played_before_the_client_came() -> None:
    played = PlayedHistory()
    trades = [BTC._replace(sequence=number) for number in range(10)]
    played.add(trades)
    (frame,) = BinanceConversation("/stream?streams=btcusdt@kline_1m").frames(Batch(trades[9:], played))
    event = orjson.loads(frame.frame)
    assert (event["stream"], event["data"]["k"]["n"]) == ("btcusdt@kline_1m", 10)


def test_perpetuals_are_not_spots() -> None:
    conversation = BinanceConversation("/ws/btcusdt@trade/btcusdt-perp@trade")
    assert list(conversation.frames(Batch([BTC._replace(symbol="BTCUSDT-PERP")]))) == []


def test_a_quota_ends_the_connection_and_refuses_new_ones() -> None:
    rules = Rules()
    conversation = BinanceConversation("/ws", rules)
    assert conversation.greeting().close is None
    rules.quota = "ban"
    assert BinanceConversation("/ws", rules).greeting().close is not None
    assert conversation.answer(b"{}", 0.0).close is not None


@pytest.mark.parametrize(
    ("path", "ours"),
    [
        ("/ws", True),
        ("/ws/btcusdt@trade", True),
        ("/stream?streams=a@trade", True),
        ("/stocks", False),
        ("/wsx", False),
        ("/market/ws", False),
        ("/", False),
    ],
)
def test_its_paths(path: str, ours: bool) -> None:
    assert DIALECT.speaks(path) is ours


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
    assert (
        ask(conversation, method="SUBSCRIBE", params=["BTCUSDT@trade", "btcusdt@kline_7m", "x"], id=1)["result"] is None
    )
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

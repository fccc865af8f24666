"""The Binance futures conversation: routes, and what differs from spot's frames."""

from typing import Any

import orjson
import pytest

from marketstream.testing.market_trade import MarketTrade
from marketstream.testing.replay.binance import BinanceConversation
from marketstream.testing.replay.binance_usdm import DIALECT, USDM, encode_aggregate, encode_book
from marketstream.testing.replay.conversation import Batch
from marketstream.testing.replay.dialect import Rules
from marketstream.testing.replay.history import PlayedHistory

PERP = MarketTrade("BTCUSDT-PERP", 65_000.1, 0.5, 1_672_515_782_136_999, "BINANCE", "sell", "12345", 12_345)
PLAIN = PERP._replace(symbol="BTCUSDT")


def streamed(path: str, *trades: MarketTrade, history: PlayedHistory | None = None) -> list[Any]:
    conversation = DIALECT.converse(path, Rules())
    return [orjson.loads(outgoing.frame) for outgoing in conversation.frames(Batch(trades, history))]


def test_trades_have_the_documented_fields() -> None:
    assert orjson.loads(encode_aggregate(PERP)) == {
        "e": "aggTrade",
        "E": 1_672_515_782_136,
        "s": "BTCUSDT",
        "a": 12_345,
        "p": "65000.10000000",
        "q": "0.50000000",
        "nq": "0.50000000",
        "f": 12_345,
        "l": 12_345,
        "T": 1_672_515_782_136,
        "m": True,
    }


def test_best_bids_and_asks_have_a_time() -> None:
    book = orjson.loads(encode_book(PERP))
    assert set(book) == {"e", "E", "s", "u", "b", "B", "a", "A", "T"}
    assert (book["e"], book["s"], book["T"]) == ("bookTicker", "BTCUSDT", 1_672_515_782_136)


@pytest.mark.parametrize(
    ("path", "ours"),
    [
        ("/market/ws", True),
        ("/market/stream?streams=btcusdt@aggTrade", True),
        ("/public/ws/btcusdt@bookTicker", True),
        ("/private/ws", True),
        ("/ws", False),
        ("/market", False),
        ("/marketx/ws", False),
    ],
)
def test_its_paths(path: str, ours: bool) -> None:
    assert DIALECT.speaks(path) is ours


@pytest.mark.parametrize(
    ("route", "heard"),
    [("market", ["aggTrade", "kline"]), ("public", ["bookTicker"]), ("private", [])],
)
def test_each_route_plays_its_own_streams_and_is_silent_on_others(route: str, heard: list[str]) -> None:
    names = [f"btcusdt@{kind}" for kind in ("aggTrade", "bookTicker", "kline_1m", "trade")]
    assert [event["e"] for event in streamed(f"/{route}/ws/{'/'.join(names)}", PERP)] == heard
    conversation = DIALECT.converse(f"/{route}/ws", Rules())
    (frame,) = conversation.answer(orjson.dumps({"method": "SUBSCRIBE", "params": names, "id": 1}), 0.0).frames
    assert orjson.loads(frame) == {"result": None, "id": 1}
    assert conversation.subscribed is bool(heard)


def test_wraps_on_the_combined_path() -> None:
    (event,) = streamed("/market/stream?streams=btcusdt@aggTrade", PERP)
    assert (event["stream"], event["data"]["a"]) == ("btcusdt@aggTrade", 12_345)


def test_a_market_without_perpetuals_is_played_as_futures() -> None:
    (event,) = streamed("/market/ws/btcusdt@aggTrade", PLAIN)
    assert event["s"] == "BTCUSDT"


def test_where_both_are_played_the_perpetual_alone_is_the_future() -> None:
    history = PlayedHistory()
    history.add([PLAIN, PERP])
    events = streamed("/market/ws/btcusdt@aggTrade", PLAIN, PERP._replace(sequence=7), history=history)
    assert [event["a"] for event in events] == [7]


def test_ten_requests_a_second_and_200_streams_are_allowed() -> None:
    conversation = BinanceConversation("/market/ws", Rules(), USDM)
    request = b'{"method":"LIST_SUBSCRIPTIONS","id":1}'
    closes = [conversation.answer(request, number / 1_000).close for number in range(11)]
    assert closes[:10] == [None] * 10
    assert closes[10] is not None
    names = "/".join(f"s{number}@aggTrade" for number in range(201))
    assert DIALECT.converse(f"/market/stream?streams={names}", Rules()).greeting().close is not None

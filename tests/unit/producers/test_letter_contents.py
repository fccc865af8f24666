"""A dead letter read again: what of it can be published today, and what is still wrong."""

import base64
from functools import partial
from typing import Any

import orjson
import pytest

from marketstream.contracts.dead_letters import LetterId
from marketstream.contracts.messages import MAX_RAW_BYTES, DeadLetter, encode
from marketstream.domain.market import Bar, Tick
from marketstream.domain.outcomes import Reason, Rejected
from marketstream.producers.dead_letters.adapters import parser_of
from marketstream.producers.dead_letters.contents import Contents, LetterReader
from marketstream.settings import Settings
from marketstream.testing.fakes import FakeClock

NOW_US = 1_700_000_000_000_000
TRADE: dict[str, Any] = {"ev": "T", "sym": "IBM", "x": 4, "i": "7", "p": 1.5, "s": 1, "t": NOW_US // 1_000, "q": 9}
BINANCE = (
    b'{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","E":1672515782136,"s":"BTCUSDT","a":12345,"p":"0.001",'
    b'"q":"100","f":100,"l":105,"T":1672515782136,"m":true,"M":true}}'
)
OWN = {
    "symbol": "IBM",
    "price": 1.0,
    "size": 1.0,
    "event_time_us": 5,
    "received_time_us": 5,
    "provider": "polygon",
    "trade_id": "7",
}


def reader(symbols: tuple[str, ...] = ("IBM", "BTCUSDT")) -> LetterReader:
    settings = Settings(symbols=list(symbols))
    return LetterReader(partial(parser_of, settings=settings), frozenset(symbols), FakeClock(NOW_US))


def letter(raw: bytes, provider: str = "polygon", detail: str = "") -> DeadLetter:
    rejected = Rejected(raw=raw, reason=Reason.LATE, detail=detail, provider=provider, received_time_us=42)
    return DeadLetter.of(rejected)


def read(raw: bytes, provider: str = "polygon", detail: str = "") -> Contents:
    return reader().read(letter(raw, provider, detail))


def test_an_element_of_an_array_is_read_without_its_brackets() -> None:
    contents = read(orjson.dumps(TRADE))
    assert [(tick.trade_id, tick.received_time_us) for tick in contents.trades] == [("4-7", 42)]
    assert not contents.faults


def test_a_whole_frame_is_read_with_all_that_is_in_it() -> None:
    contents = read(orjson.dumps([TRADE, TRADE | {"i": "8", "p": 0}, TRADE | {"sym": "GE"}, {"ev": "LULD"}]))
    assert [tick.trade_id for tick in contents.trades] == ["4-7"]
    assert [fault.partition(":")[0] for fault in contents.faults] == ["non_positive_price", "unknown_symbol"]


def test_other_providers_are_read_as_they_are() -> None:
    (tick,) = read(BINANCE, "binance").trades
    assert (tick.symbol, tick.trade_id, tick.provider) == ("BTCUSDT", "12345", "binance")


def test_bytes_that_are_no_text_come_back_as_they_were() -> None:
    raw = orjson.dumps(TRADE | {"note": "é"}).decode().encode("latin-1")
    kept = letter(raw)
    assert kept.raw_encoding == "base64"
    assert base64.b64decode(kept.raw) == raw
    assert "malformed" in reader().read(kept).faults[0]


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"garbage", "malformed"),
        (orjson.dumps(TRADE)[:-4], "malformed"),
        (b"[]", "finds nothing in it"),
        (orjson.dumps({"ev": "LULD"}), "finds nothing in it"),
        (orjson.dumps(TRADE | {"sym": "GE"}), "GE is none of the configured symbols"),
        (orjson.dumps(TRADE | {"t": NOW_US // 1_000 + 2 * 86_400_000}), "more than a day ahead"),
        (orjson.dumps(TRADE | {"t": 1}), "before 1990"),
        (b"[" + b"x" * MAX_RAW_BYTES, f"the first part of its {MAX_RAW_BYTES + 1} bytes"),
    ],
)
def test_what_is_still_wrong_is_said(raw: bytes, said: str) -> None:
    contents = read(raw)
    assert not contents.trades
    assert len(contents.faults) == 1
    assert said in contents.faults[0]


def test_a_symbol_that_has_been_added_since_is_known_now() -> None:
    raw = orjson.dumps(TRADE | {"sym": "GE"})
    assert reader().read(letter(raw)).faults
    assert reader(("GE",)).read(letter(raw)).trades


def test_a_provider_that_carries_none_of_the_symbols_is_no_error() -> None:
    assert "unknown_symbol" in reader(("BTCUSDT",)).read(letter(orjson.dumps(TRADE))).faults[0]


def test_a_writers_letter_is_one_of_our_own_messages() -> None:
    bar = Bar(
        symbol="IBM", interval="1min", start_us=0, end_us=60_000_000, open=1, high=1, low=1, close=1, volume=1,
        vwap=1, trade_count=1, last_event_time_us=1, last_received_time_us=1,
    )  # fmt: skip

    def written(topic: str, raw: bytes) -> Contents:
        return read(raw, "redis-writer", f"{topic}[3]@17: whatever")

    assert written("aggregated_data_1min", encode(bar)).others == [("aggregated_data_1min", bar)]
    assert written("provider_bars", encode(bar)).others == [("provider_bars", bar)]
    assert "does not belong" in written("aggregated_data_5min", encode(bar)).faults[0]
    assert "still does not fit quote_data" in written("quote_data", b"{}").faults[0]
    assert "nothing is put back onto alerts" in written("alerts", b"{}").faults[0]
    assert "no adapter named redis-writer" in read(b"{}", "redis-writer").faults[0]


def test_a_trade_that_bars_have_counted_is_not_published_again() -> None:
    detail = "tick_data[3]@17: whatever"
    contents = read(orjson.dumps(OWN), "timescale-writer", detail)
    assert not contents.trades
    assert "tick_data[3]@17" in contents.faults[0]
    uncounted = read(orjson.dumps(OWN | {"price": "1.0"}), "timescale-writer", detail)  # Spark takes no such price
    assert uncounted.trades == [Tick(**OWN)]


@pytest.mark.parametrize("text", ["", "1", "1:", ":1", "-1:2", "1:2:3", "1:x", " 1:2", "1:2\n", "\u0661:\u0662"])
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no dead letter's id"):
        LetterId.parse(text)


def test_an_id_comes_back_as_it_was() -> None:
    assert str(LetterId.parse("12:34567")) == "12:34567"

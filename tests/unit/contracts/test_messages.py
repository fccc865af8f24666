"""What goes over the wire: exact shapes, refusals, and dead letters that always fit."""

import base64
import json
from dataclasses import replace
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from marketstream.contracts import messages, schema_files
from marketstream.contracts.messages import Alert, DeadLetter, FeedEvent, FeedGap
from marketstream.domain.indicators import Indicators
from marketstream.domain.market import Bar, Cancel, Quote, Tick
from marketstream.domain.outcomes import Reason, Rejected

KAFKA_MESSAGE_LIMIT = 1_048_576

TICK = Tick(
    symbol="BTCUSDT",
    price=64_000.5,
    size=0.001,
    event_time_us=1_700_000_000_000_001,
    received_time_us=1_700_000_000_004_002,
    provider="binance",
    trade_id="4021",
    asset_class="crypto",
    side="sell",
    conditions=("a", "b"),
)
BAR = Bar(
    symbol="BTCUSDT",
    interval="1min",
    start_us=1_700_000_040_000_000,
    end_us=1_700_000_100_000_000,
    open=1.0,
    high=2.0,
    low=0.5,
    close=1.5,
    volume=3.0,
    vwap=1.2,
    trade_count=4,
    last_event_time_us=1_700_000_099_000_000,
    last_received_time_us=1_700_000_099_500_000,
    final=True,
)


def rejected(raw: bytes, **changes: object) -> Rejected:
    fields = {"reason": Reason.MALFORMED, "detail": "no JSON", "provider": "polygon", "received_time_us": 1_000}
    return Rejected(raw=raw, **{**fields, **changes})  # type: ignore[arg-type]  # the tests' own literals


EXAMPLES = {
    "tick_data": TICK,
    "aggregated_data": BAR,
    "technical_indicators": Indicators.of(BAR, {"sma_20": 1.25, "rsi_14": 50.0}),
    "dead_letter_queue": DeadLetter.of(rejected(b"{", symbol="IBM")),
    "dead_letter_marks": messages.DeadLetterMark(letter_id="0:7", published=1, already_there=0, time_us=1),
    "query_wakes": messages.QueryWake(query="indicators", time_us=1),
    "feed_events": FeedEvent(
        kind="gap",
        provider="binance",
        detail="",
        time_us=1,
        gap=FeedGap(
            gap_id="binance-BTCUSDT-5",
            provider="binance",
            symbol="BTCUSDT",
            start_us=1,
            end_us=9,
            first_id=5,
            last_id=6,
            missing=2,
            filled=0,
            state="open",
            detail="",
            opened_us=10,
            updated_us=10,
        ),
    ),
    "quote_data": Quote(
        symbol="IBM",
        bid_price=1.0,
        bid_size=100.0,
        ask_price=1.5,
        ask_size=0.0,
        event_time_us=1,
        received_time_us=2,
        provider="polygon",
    ),
    "trade_cancels": Cancel(
        symbol="IBM", price=1.0, size=1.0, event_time_us=1, received_time_us=2, provider="fmp", trade_id="1"
    ),
    "provider_bars": replace(BAR, provider="finazon", vwap=None, trade_count=0, revision=1_700_000_099_600_000),
    "alerts": Alert(
        alert_id="1", rule="feed_retries_exhausted", severity="critical", subject="fmp", message="away", time_us=1
    ),
}


def test_a_tick_on_the_wire() -> None:
    assert json.loads(messages.encode(TICK)) == {
        "symbol": "BTCUSDT",
        "price": 64_000.5,
        "size": 0.001,
        "event_time_us": 1_700_000_000_000_001,
        "received_time_us": 1_700_000_000_004_002,
        "provider": "binance",
        "trade_id": "4021",
        "sequence": 0,
        "asset_class": "crypto",
        "exchange": None,
        "side": "sell",
        "conditions": ["a", "b"],
    }


def test_every_topic_has_an_example_that_fits_its_committed_schema() -> None:
    assert EXAMPLES.keys() == schema_files.MESSAGE_OF_TOPIC.keys()
    for topic, example in EXAMPLES.items():
        schema = json.loads((Path(schema_files.DIRECTORY) / f"{topic}.json").read_text())
        Draft202012Validator.check_schema(schema)
        Draft202012Validator(schema).validate(json.loads(messages.encode(example)))


@pytest.mark.parametrize(
    "damage",
    [
        {"price": "cheap"},
        {"price": None},
        {"price": -1},
        {"size": -1},
        {"symbol": ""},
        {"side": "hold"},
        {"asset_class": "house"},
        {"event_time_us": 1.5},
        {"event_time_us": 2**63},
    ],
)
def test_a_damaged_tick_is_refused(damage: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        messages.decode_tick(json.dumps({**json.loads(messages.encode(TICK)), **damage}).encode())


@pytest.mark.parametrize("value", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"symbol":"A"}'])
def test_what_is_no_message_is_refused_by_every_decoder(value: bytes) -> None:
    for decode in (
        messages.decode_tick,
        messages.decode_bar,
        messages.decode_indicators,
        messages.decode_dead_letter,
        messages.decode_feed_event,
    ):
        with pytest.raises(ValueError, match="validation error"):
            decode(value)


def test_a_number_that_is_none_is_refused() -> None:
    encoded = messages.encode(TICK).replace(b"64000.5", b"NaN")
    with pytest.raises(ValueError, match="not finite"):
        messages.decode_tick(encoded)


def test_a_bar_upside_down_is_refused() -> None:
    encoded = messages.encode(BAR).replace(b'"low":0.5', b'"low":1.8')
    with pytest.raises(ValueError, match="low <= open"):
        messages.decode_bar(encoded)


def test_indicators_on_the_wire() -> None:
    assert json.loads(messages.encode(EXAMPLES["technical_indicators"])) == {
        "symbol": "BTCUSDT",
        "interval": "1min",
        "start_us": 1_700_000_040_000_000,
        "end_us": 1_700_000_100_000_000,
        "final": True,
        "revision": 0,
        "trade_count": 4,
        "close": 1.5,
        "last_event_time_us": 1_700_000_099_000_000,
        "last_received_time_us": 1_700_000_099_500_000,
        "values": {"sma_20": 1.25, "rsi_14": 50.0},
        "provider": None,
        "cancelled": 0,
    }


@pytest.mark.parametrize("value", [b"1e999", b"NaN", b"null", b"[1.0]"])
def test_an_indicator_that_is_no_number_is_refused(value: bytes) -> None:
    encoded = messages.encode(EXAMPLES["technical_indicators"]).replace(b"1.25", value)
    with pytest.raises(ValueError, match="validation error"):
        messages.decode_indicators(encoded)


def test_a_field_of_a_newer_version_is_passed_over() -> None:
    newer = {**json.loads(messages.encode(TICK)), "venue_tier": 2}
    assert messages.decode_tick(json.dumps(newer).encode()) == TICK


def test_a_dead_letter_holds_text_as_text() -> None:
    letter = DeadLetter.of(rejected('{"p": "€"}'.encode()))
    assert (letter.raw, letter.raw_encoding, letter.truncated) == ('{"p": "€"}', "utf-8", False)


def test_a_dead_letter_holds_other_bytes_as_base64() -> None:
    raw = bytes(range(256))
    letter = DeadLetter.of(rejected(raw))
    assert letter.raw_encoding == "base64"
    assert base64.b64decode(letter.raw) == raw


@pytest.mark.parametrize("raw", [b"\0" * 10_000_000, b"\xff" * 10_000_000, b'"' * 10_000_000, "€".encode() * 3_000_000])
def test_a_dead_letter_of_any_frame_fits_into_a_message(raw: bytes) -> None:
    letter = DeadLetter.of(rejected(raw, detail="\x01" * 50_000, symbol="\x01" * 1_000_000))
    encoded = messages.encode(letter)
    assert len(encoded) < KAFKA_MESSAGE_LIMIT - 1_024
    assert (letter.truncated, letter.raw_size_bytes) == (True, len(raw))
    assert messages.decode_dead_letter(encoded) == letter


def test_a_dead_letter_keeps_exactly_the_limit() -> None:
    letter = DeadLetter.of(rejected(b"a" * messages.MAX_RAW_BYTES))
    assert (len(letter.raw), letter.truncated) == (messages.MAX_RAW_BYTES, False)

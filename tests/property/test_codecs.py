"""Every message that can be, survives the wire; every interval's name reads back."""

import json

from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from marketstream.contracts import messages
from marketstream.contracts.messages import DeadLetter, FeedEvent
from marketstream.contracts.schema_files import generate
from marketstream.domain.indicators import Indicators
from marketstream.domain.interval import Interval
from marketstream.domain.market import Bar, Tick
from marketstream.domain.outcomes import Reason, Rejected

INT64 = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)
NAMES = TEXT.filter(bool)
PRICES = st.floats(min_value=5e-324, max_value=1e15)
SIZES = st.floats(min_value=0, max_value=1e15)

TICKS = st.builds(
    Tick,
    symbol=NAMES,
    price=PRICES,
    size=SIZES,
    event_time_us=INT64,
    received_time_us=INT64,
    provider=NAMES,
    trade_id=NAMES,
    sequence=INT64,
    asset_class=st.sampled_from(["equity", "crypto", "forex", "commodity"]),
    exchange=st.none() | TEXT,
    side=st.sampled_from([None, "buy", "sell"]),
    conditions=st.lists(TEXT, max_size=4).map(tuple),
)


@st.composite
def bars(draw: st.DrawFn) -> Bar:
    low, first, second, high = sorted(draw(st.lists(PRICES, min_size=4, max_size=4)))
    opened, closed = draw(st.permutations([first, second]))
    start = draw(st.integers(0, 2**62))
    return Bar(
        symbol=draw(NAMES),
        interval="1min",
        start_us=start,
        end_us=start + 60_000_000,
        open=opened,
        high=high,
        low=low,
        close=closed,
        volume=draw(SIZES),
        vwap=draw(PRICES),
        trade_count=draw(st.integers(1, 2**53)),
        last_event_time_us=draw(INT64),
        last_received_time_us=draw(INT64),
        final=draw(st.booleans()),
        revision=draw(st.integers(0, 2**31 - 1)),
    )


FINITE = st.floats(allow_nan=False, allow_infinity=False)
INDICATORS = st.builds(Indicators.of, bars(), st.dictionaries(NAMES, FINITE, max_size=25))
DEAD_LETTERS = st.builds(
    Rejected,
    raw=st.binary(max_size=2_000) | st.text(st.characters(exclude_categories=["Cs"])).map(str.encode),
    reason=st.sampled_from(Reason),
    detail=TEXT,
    provider=TEXT,
    received_time_us=INT64,
    symbol=st.none() | TEXT,
).map(DeadLetter.of)
FEED_EVENTS = st.builds(
    FeedEvent,
    kind=st.sampled_from(["connected", "disconnected", "subscribed", "fatal"]),
    provider=TEXT,
    detail=TEXT,
    time_us=INT64,
    attempt=st.integers(1, 10_000),
)
SCHEMAS = {
    topic: Draft202012Validator(generate(topic)) for topic in ("tick_data", "aggregated_data", "technical_indicators")
}


@given(TICKS)
def test_a_tick_comes_back_bit_by_bit(tick: Tick) -> None:
    encoded = messages.encode(tick)
    assert messages.decode_tick(encoded) == tick
    SCHEMAS["tick_data"].validate(json.loads(encoded))


@given(bars())
def test_a_bar_comes_back_bit_by_bit(bar: Bar) -> None:
    encoded = messages.encode(bar)
    assert messages.decode_bar(encoded) == bar
    SCHEMAS["aggregated_data"].validate(json.loads(encoded))


@given(INDICATORS)
def test_indicators_come_back_bit_by_bit(indicators: Indicators) -> None:
    encoded = messages.encode(indicators)
    assert messages.decode_indicators(encoded) == indicators
    SCHEMAS["technical_indicators"].validate(json.loads(encoded))


@given(DEAD_LETTERS)
def test_a_dead_letter_comes_back(letter: DeadLetter) -> None:
    assert messages.decode_dead_letter(messages.encode(letter)) == letter


@given(FEED_EVENTS)
def test_a_feed_event_comes_back(event: FeedEvent) -> None:
    assert messages.decode_feed_event(messages.encode(event)) == event


@given(st.binary(max_size=300))
def test_bytes_from_anywhere_are_a_tick_or_a_value_error(value: bytes) -> None:
    try:
        tick = messages.decode_tick(value)
    except ValueError:
        return
    assert messages.decode_tick(messages.encode(tick)) == tick


@given(st.sampled_from([n for n in range(1, 86_401) if 86_400 % n == 0]), st.integers(0, 2**62))
def test_an_interval_reads_back_and_cuts_time_without_gaps(seconds: int, time_us: int) -> None:
    interval = Interval.parse(f"{seconds}s")
    assert Interval.parse(interval.name) == interval
    assert interval.seconds == seconds
    start = interval.start_of(time_us)
    assert start <= time_us < start + interval.us
    assert interval.start_of(start + interval.us) == start + interval.us

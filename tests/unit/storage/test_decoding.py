"""Batches are decoded in order, and bars are reduced to their newest versions."""

import random

import pytest

from marketstream.contracts.messages import FeedEvent, encode
from marketstream.domain.indicators import Indicators
from marketstream.domain.market import Bar
from marketstream.ports import Message
from marketstream.storage.decoding import UndecodableError, decode, newest_bars, newest_indicators
from stores import (
    Log,
    gap_event,
    make_bar,
    make_event,
    make_gap,
    make_indicators,
    make_provider_bar,
    make_quote,
    make_tick,
)

START_US = 1_381_152_600_000_000


def test_a_batch_is_decoded_in_order() -> None:
    log = Log()
    first, bar, second = make_tick(START_US), make_bar(START_US, 2), make_tick(START_US + 5, symbol="BAC")
    messages = log.add(first, bar, second)

    decoded = decode(messages)

    assert decoded.ticks == [(messages[0], first), (messages[2], second)]
    assert decoded.bars == [(messages[1], bar)]


def test_every_topic_has_its_own_kind() -> None:
    log = Log()
    bar, quote, event = make_provider_bar(START_US, START_US + 5), make_quote(START_US), make_event(START_US)
    said = make_indicators(bar)
    messages = log.add(bar, quote, event, said)

    decoded = decode(messages)

    assert decoded.bars == [(messages[0], bar)]
    assert decoded.quotes == [(messages[1], quote)]
    assert decoded.feed_events == [(messages[2], event)]
    assert decoded.indicators == [(messages[3], said)]


@pytest.mark.parametrize(
    ("topic", "item", "fault"),
    [
        ("provider_bars", make_bar(START_US, 2), "without its provider"),
        ("aggregated_data_1min", make_provider_bar(START_US, START_US), "bar of finazon"),
        ("provider_bars", make_provider_bar(START_US, START_US, interval="60s"), "not an interval's own name"),
        ("provider_bars", make_provider_bar(START_US, START_US, interval="1mo"), "no bar interval"),
        ("technical_indicators", make_indicators(make_bar(START_US, 1, interval="60s")), "not an interval's own name"),
        ("technical_indicators", make_indicators(make_bar(START_US, 1), **{"sma 20": 1.0}), "'sma 20' can be no"),
        ("technical_indicators", make_indicators(make_bar(START_US, 1), **{"": 1.0}), "'' can be no"),
        ("technical_indicators", make_indicators(make_bar(START_US, 1), **{"a\0": 1.0}), "can be no"),
        ("technical_indicators", make_indicators(make_bar(START_US, 1), close=1.0), "'close' can be no"),
        ("feed_events", make_event(START_US, detail="a\0b"), "NUL"),
        ("feed_events", gap_event(make_gap(START_US, START_US, detail="\0")), "NUL"),
    ],
)
def test_what_is_not_at_home_on_its_topic_is_named(topic: str, item: Bar | Indicators | FeedEvent, fault: str) -> None:
    with pytest.raises(UndecodableError, match=fault):
        decode([Message(topic, 0, 0, None, encode(item), 0)])


@pytest.mark.parametrize(
    ("topic", "value"),
    [
        ("tick_data", b""),
        ("tick_data", b"null"),
        ("tick_data", b"[]"),
        ("tick_data", b'{"symbol":"IBM"}'),
        ("aggregated_data_1min", b"{}"),
        ("technical_indicators", b"{}"),
    ],
)
def test_what_fits_no_schema_is_named(topic: str, value: bytes) -> None:
    message = Message(topic, 3, 17, "IBM", value, 0)

    with pytest.raises(UndecodableError) as caught:
        decode([*Log().add(make_tick(START_US)), message])

    [fault] = caught.value.faults
    assert fault.message is message
    assert fault.detail


def test_an_infinite_price_is_undecodable() -> None:
    [message] = Log().add(make_tick(START_US))
    infinite = message.value.replace(b"182.27", b"1e999")
    assert infinite != message.value

    with pytest.raises(UndecodableError):
        decode([Message("tick_data", 0, 0, "IBM", infinite, 0)])


def test_an_integer_no_store_can_hold_is_undecodable() -> None:
    [message] = Log().add(make_bar(START_US, 4))
    oversized = message.value.replace(b'"trade_count":4', b'"trade_count":9223372036854775808')
    assert oversized != message.value

    with pytest.raises(UndecodableError):
        decode([Message(message.topic, 0, 0, "IBM", oversized, 0)])


def test_the_newest_version_of_each_bar_wins_in_any_order() -> None:
    versions = [make_bar(START_US, count, final=final) for count in (1, 2, 5) for final in (False, True)]
    other = make_bar(START_US + 60_000_000, 1)
    log = Log()
    log.add(*versions, other)
    bars = decode(log.messages).bars

    for seed in range(20):
        random.Random(seed).shuffle(bars)
        assert set(newest_bars(bars).values()) == {versions[-1], other}


def test_indicators_of_the_newest_version_win_and_of_equals_the_later() -> None:
    versions = [
        make_indicators(make_bar(START_US, count), sma_20=float(number)) for number, count in enumerate([2, 5, 5, 3])
    ]
    log = Log()
    log.add(*versions)

    assert list(newest_indicators(decode(log.messages).indicators).values()) == [versions[2]]

"""Every outcome of a frame ends somewhere: on `tick_data`, on the dead-letter topic, or counted as a duplicate."""

import asyncio
from dataclasses import replace

import orjson
import pytest

from marketstream.contracts.messages import decode_dead_letter, decode_tick
from marketstream.contracts.topics import DEAD_LETTERS, TICKS
from marketstream.domain.errors import BusError
from marketstream.domain.market import Tick
from marketstream.domain.outcomes import Reason
from marketstream.ports import Frame
from marketstream.producers.pipeline import Pipeline
from marketstream.producers.validation import TickValidator
from marketstream.providers.polygon.parse import parse_frame
from marketstream.testing.fakes import FakeClock, InMemoryPublisher

NOW = 1_700_000_000_000_000
EVENT = {"ev": "T", "sym": "IBM", "x": 4, "i": "1", "p": 182.5, "s": 100, "t": NOW // 1_000}


def event(**fields: object) -> bytes:
    return orjson.dumps(EVENT | fields)


def frame(*events: bytes) -> Frame:
    raw = b"[" + b", ".join(events) + b"]"
    return Frame(raw, NOW, parse_frame(raw, NOW))


def pipeline(publisher: InMemoryPublisher) -> Pipeline:
    return Pipeline(publisher, TickValidator(["IBM"], 10), FakeClock(NOW))


async def test_ticks_are_keyed_by_symbol() -> None:
    publisher = InMemoryPublisher()
    await pipeline(publisher).handle(frame(event(), event(i="2")))
    assert [(message.topic, message.key) for message in publisher.delivered] == [(TICKS, "IBM")] * 2
    assert [decode_tick(value).trade_id for value in publisher.values(TICKS)] == ["4-1", "4-2"]


async def test_duplicates_are_not_published() -> None:
    publisher = InMemoryPublisher()
    judge = pipeline(publisher)
    await judge.handle(frame(event(), event()))
    await judge.handle(frame(event()))
    assert len(publisher.delivered) == 1


async def test_refusals_carry_the_bytes_as_received() -> None:
    publisher = InMemoryPublisher()
    elements = [event(i="1"), event(sym="XYZ"), event(p=-1), event(t=NOW // 1_000 - 10_001), event(t=2 * NOW // 1_000)]
    await pipeline(publisher).handle(frame(*elements))
    letters = [decode_dead_letter(value) for value in publisher.values(DEAD_LETTERS)]
    assert [(letter.reason, letter.raw.encode()) for letter in letters] == [
        (Reason.UNKNOWN_SYMBOL, elements[1]),
        (Reason.NON_POSITIVE_PRICE, elements[2]),
        (Reason.LATE, elements[3]),
        (Reason.TIME_OUT_OF_RANGE, elements[4]),
    ]
    assert len(publisher.values(TICKS)) == 1


async def test_a_refused_tick_of_a_mixed_frame_carries_the_frame() -> None:
    publisher = InMemoryPublisher()
    mixed = frame(event(sym="XYZ"), b'{"ev":"NOI"}', event())
    await pipeline(publisher).handle(mixed)
    (letter,) = map(decode_dead_letter, publisher.values(DEAD_LETTERS))
    assert letter.raw.encode() == mixed.raw


async def test_dead_letters_are_keyed_by_symbol_or_provider() -> None:
    publisher = InMemoryPublisher()
    await pipeline(publisher).handle(frame(event(p=-1)))
    await pipeline(publisher).handle(Frame(b"x", NOW, parse_frame(b"x", NOW)))
    assert [message.key for message in publisher.delivered] == ["IBM", "polygon"]


async def test_back_pressure_waits_and_drops_nothing() -> None:
    publisher = InMemoryPublisher(queue_messages=3)
    publisher.available = False
    work = asyncio.create_task(pipeline(publisher).handle(frame(*[event(i=str(number)) for number in range(20)])))
    done, _ = await asyncio.wait([work], timeout=0.05)
    assert not done
    assert len(publisher.waiting) == 3
    publisher.available = True
    publisher.flush(0)
    async with asyncio.timeout(5):
        await work
    assert [decode_tick(value).trade_id for value in publisher.values(TICKS)] == [f"4-{number}" for number in range(20)]


async def test_a_refusal_by_kafka_is_raised() -> None:
    publisher = InMemoryPublisher()
    publisher.failure = "no"
    with pytest.raises(BusError, match="no"):
        await pipeline(publisher).handle(frame(event()))


async def test_the_published_tick_is_the_parsed_one() -> None:
    publisher = InMemoryPublisher()
    (parsed,) = frame(event()).outcomes
    await pipeline(publisher).handle(frame(event()))
    assert isinstance(parsed, Tick)
    assert decode_tick(publisher.values(TICKS)[0]) == replace(parsed)

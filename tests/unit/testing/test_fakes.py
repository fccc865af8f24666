"""The fakes keep their ports' promises and show what happened to them."""

import pytest

from marketstream.domain.errors import BusBackpressureError, BusError, StoreUnavailableError
from marketstream.domain.interval import Interval
from marketstream.domain.market import Bar, Tick
from marketstream.ports import Frame, Message
from marketstream.testing.fake_readers import InMemoryMarketReader
from marketstream.testing.fakes import (
    FakeClock,
    InMemoryPublisher,
    InMemorySource,
    InMemoryWriter,
    ScriptedProvider,
)


def tick(time_us: int, *, trade_id: str, sequence: int = 0, symbol: str = "IBM") -> Tick:
    return Tick(
        symbol=symbol,
        price=100.0,
        size=1.0,
        event_time_us=time_us,
        received_time_us=time_us,
        provider="polygon",
        trade_id=trade_id,
        sequence=sequence,
    )


def bar(start_us: int, *, trades: int = 1, final: bool = False) -> Bar:
    return Bar(
        symbol="IBM",
        interval="1min",
        start_us=start_us,
        end_us=start_us + 60_000_000,
        open=1.0,
        high=1.0,
        low=1.0,
        close=1.0,
        volume=float(trades),
        vwap=1.0,
        trade_count=trades,
        last_event_time_us=start_us,
        last_received_time_us=start_us,
        final=final,
    )


def test_the_clock_moves_only_when_told() -> None:
    clock = FakeClock(1_000)
    assert clock.now_us() == clock.now_us() == 1_000
    clock.advance(1.5)
    assert clock.now_us() == 1_501_000


def test_a_full_queue_refuses_and_loses_nothing() -> None:
    publisher = InMemoryPublisher(queue_messages=2)
    publisher.available = False
    publisher.publish("t", "k", b"1")
    publisher.publish("t", "k", b"2")
    with pytest.raises(BusBackpressureError):
        publisher.publish("t", "k", b"3")
    assert publisher.flush(0) == 2
    assert publisher.values("t") == []
    publisher.available = True
    assert publisher.flush(0) == 0
    assert publisher.values("t") == [b"1", b"2"]


def test_a_failed_publisher_raises_on_every_call() -> None:
    publisher = InMemoryPublisher()
    publisher.failure = "broken"
    with pytest.raises(BusError, match="broken"):
        publisher.publish("t", None, b"")
    with pytest.raises(BusError, match="broken"):
        publisher.flush(0)


def test_a_restarted_source_resumes_after_what_was_committed() -> None:
    source = InMemorySource()
    for value in (b"0", b"1", b"2"):
        source.append("t", None, value)
    assert [message.offset for message in source.poll(2, 0)] == [0, 1]
    source.commit({("t", 0): 1})
    source.restart()
    assert source.append("t", None, b"3").offset == 3
    assert [message.value for message in source.poll(10, 0)] == [b"1", b"2", b"3"]
    assert source.poll(10, 0) == []


def test_the_reader_orders_limits_and_keeps_the_newest_version() -> None:
    reader = InMemoryMarketReader([tick(20, trade_id="c", sequence=1), tick(20, trade_id="b"), tick(10, trade_id="a")])
    reader.add(tick(99, trade_id="a"))
    latest = reader.latest("IBM")
    assert latest is not None
    assert latest.trade_id == "c"
    newest_two = reader.ticks("IBM", start_us=None, end_us=None, limit=2)
    assert [found.trade_id for found in newest_two] == ["b", "c"]
    assert [found.trade_id for found in reader.ticks("IBM", start_us=0, end_us=20, limit=9)] == ["a"]
    assert reader.ticks("IBM", start_us=None, end_us=None, limit=0) == []
    assert reader.latest("AAPL") is None

    minute = Interval.parse("1min")
    reader.add(bar(60_000_000, trades=2), bar(60_000_000, trades=1), bar(0, final=True), bar(0))
    first, second = reader.bars("IBM", minute, start_us=None, end_us=None, limit=5)
    assert first.final
    assert second.trade_count == 2
    assert reader.bars("IBM", minute, start_us=0, end_us=60_000_000, limit=5) == [first]
    assert reader.symbols() == ["IBM"]


def test_a_store_that_is_away_raises_and_comes_back() -> None:
    reader, writer = InMemoryMarketReader(), InMemoryWriter()
    message = Message("t", 0, 0, None, b"", 0)
    reader.available = writer.available = False
    with pytest.raises(StoreUnavailableError):
        reader.latest("IBM")
    with pytest.raises(StoreUnavailableError):
        writer.write([message])
    reader.available = writer.available = True
    reader.ping()
    writer.write([message])
    writer.write([message])
    assert list(writer.stored.values()) == [message]
    assert writer.batches == [1, 1]


async def test_the_scripted_provider_plays_one_connection_a_call() -> None:
    first = tick(1, trade_id="1")
    provider = ScriptedProvider([[Frame(b"", 0, [first]), OSError("gone")], [Frame(b"", 0, [first, first])]])
    received: list[int] = []

    async def connect() -> None:
        received.extend([len(frame.outcomes) async for frame in provider.stream()])

    frames = provider.stream()
    assert (await anext(frames)).outcomes == [first]
    with pytest.raises(OSError, match="gone"):
        await anext(frames)
    await connect()
    await connect()
    assert received == [2]
    assert provider.opened == 3

"""The process as a whole, on scripted providers and an in-memory publisher."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial

import pytest

from marketstream.contracts.messages import decode_feed_event, decode_tick
from marketstream.contracts.topics import FEED_EVENTS, TICKS
from marketstream.domain.errors import BusError, Fault, ProviderError
from marketstream.domain.market import Tick
from marketstream.ports import Frame, Provider
from marketstream.producers.backoff import Backoff
from marketstream.producers.board import FeedBoard
from marketstream.producers.continuity import Continuity
from marketstream.producers.failover import FailoverReader, ProviderMaker, Rules
from marketstream.producers.gaps import GapFiller
from marketstream.producers.pipeline import Pipeline
from marketstream.producers.queue import FrameQueue
from marketstream.producers.service import ProducerService
from marketstream.producers.validation import TickValidator
from marketstream.providers.states import StateListener
from marketstream.settings import FailoverSettings, GapSettings
from marketstream.testing.fakes import FakeClock, InMemoryPublisher, ScriptedProvider

NOW = 1_700_000_000_000_000
NEVER = 3_600.0


def frame(*ids: str) -> Frame:
    ticks = [
        Tick(
            symbol="IBM",
            price=1.0,
            size=1.0,
            event_time_us=NOW,
            received_time_us=NOW,
            provider="scripted",
            trade_id=trade_id,
        )
        for trade_id in ids
    ]
    return Frame(b"", NOW, ticks)


def scripted(*connections: Sequence[Frame | Exception], name: str = "scripted") -> ScriptedProvider:
    return ScriptedProvider(connections, provider_name=name)


def maker(provider: Provider) -> ProviderMaker:
    def make(_listener: StateListener) -> Provider:
        return provider

    return make


def service(
    publisher: InMemoryPublisher, *providers: Provider, queue_frames: int = 100, slow_retry_seconds: float = NEVER
) -> ProducerService:
    return joined(publisher, list(map(maker, providers)), queue_frames, slow_retry_seconds)


def joined(
    publisher: InMemoryPublisher, makers: list[ProviderMaker], queue_frames: int, slow_retry_seconds: float
) -> ProducerService:
    clock = FakeClock(NOW)
    queue = FrameQueue(queue_frames)
    rules = Rules(
        failover=FailoverSettings(failures=2),
        new_backoff=lambda: Backoff(0.001, 0.01, random=lambda: 1.0),
        slow_retry_seconds=slow_retry_seconds,
        retries_max=10,
    )
    continuity = Continuity()
    reader = FailoverReader(makers, queue, clock, continuity.newest_us, rules, FeedBoard())
    filler = GapFiller(continuity, reader.providers, queue, publisher, clock, GapSettings())
    pipeline = Pipeline(publisher, TickValidator(["IBM"], 10, continuity), clock)
    return ProducerService([reader], filler, queue, pipeline, publisher, drain_seconds=0.2)


@asynccontextmanager
async def running(subject: ProducerService) -> AsyncIterator[asyncio.Event]:
    """Runs the service; leaving sets `stop` and waits for its end."""
    stop = asyncio.Event()
    task = asyncio.create_task(subject.run(stop))
    try:
        yield stop
    finally:
        stop.set()
        async with asyncio.timeout(10):
            await task


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  # what is waited for is no event, but any state
            await asyncio.sleep(0.002)


def ids(publisher: InMemoryPublisher) -> list[str]:
    return [decode_tick(value).trade_id for value in publisher.values(TICKS)]


def events(publisher: InMemoryPublisher) -> list[tuple[str, str, int]]:
    decoded = map(decode_feed_event, publisher.values(FEED_EVENTS))
    return [(event.kind, event.provider, event.attempt) for event in decoded if event.kind != "status"]


async def test_a_broken_connection_is_made_anew_and_doubles_nothing() -> None:
    publisher = InMemoryPublisher()
    provider = scripted(
        [frame("1", "2"), OSError("reset")],
        [frame("2", "3"), ProviderError("went away", provider="scripted")],
        [frame("1", "4")],
    )
    async with running(service(publisher, provider)):
        await eventually(lambda: provider.opened > 3)
    assert ids(publisher) == ["1", "2", "3", "4"]
    ends = [event for event in events(publisher) if event[0] == "disconnected"]
    assert ends[:3] == [("disconnected", "scripted", attempt) for attempt in (1, 2, 3)]


async def test_a_fatal_error_moves_on_to_the_next_feed() -> None:
    publisher = InMemoryPublisher()
    first = scripted([ProviderError("bad key", provider="first", fault=Fault.BAD_KEY)], name="first")
    second = scripted([frame("1")], name="second")
    async with running(service(publisher, first, second)):
        await eventually(lambda: ids(publisher) == ["1"])
    assert [event[:2] for event in events(publisher)[:3]] == [
        ("fatal", "first"),
        ("breaker_open", "first"),
        ("failover", "second"),
    ]
    assert first.opened == 1


async def test_a_fatal_error_without_another_feed_waits_long() -> None:
    publisher = InMemoryPublisher()
    provider = scripted([ProviderError("bad key", provider="scripted", fault=Fault.BAD_KEY)])
    async with running(service(publisher, provider)):
        await eventually(lambda: len(events(publisher)) == 2)
        await asyncio.sleep(0.05)
        assert provider.opened == 1


async def test_a_fatal_error_is_tried_again_at_the_slowest_pace() -> None:
    publisher = InMemoryPublisher()
    provider = scripted([ProviderError("bad key", provider="scripted", fault=Fault.BAD_KEY)], [frame("1")])
    async with running(service(publisher, provider, slow_retry_seconds=0.01)):
        await eventually(lambda: ids(publisher) == ["1"])


async def test_stopping_publishes_what_has_been_read() -> None:
    publisher = InMemoryPublisher(queue_messages=1)
    publisher.available = False
    provider = scripted([frame(str(number)) for number in range(50)])
    async with running(service(publisher, provider)) as stop:
        await eventually(lambda: len(publisher.waiting) == 1)
        stop.set()
        publisher.available = True
        publisher.flush(0)
    assert ids(publisher) == [str(number) for number in range(50)]


@pytest.mark.parametrize("queue_messages", [1, 1_000])
async def test_stopping_with_kafka_away_is_an_error(queue_messages: int) -> None:
    publisher = InMemoryPublisher(queue_messages)
    publisher.available = False
    provider = scripted([frame(str(number)) for number in range(10)])
    with pytest.raises(BusError, match="stopped with"):
        async with running(service(publisher, provider)):
            await eventually(lambda: bool(publisher.waiting))


async def test_kafka_behind_makes_the_provider_wait() -> None:
    publisher = InMemoryPublisher(queue_messages=1)
    publisher.available = False
    taken: list[int] = []

    class Counting(ScriptedProvider):
        async def stream(self):  # type: ignore[no-untyped-def]  # the base's own signature
            for number in range(1_000):
                taken.append(number)
                yield frame(str(number))
            await asyncio.Event().wait()

    async with running(service(publisher, Counting(()), queue_frames=10)):
        await eventually(lambda: len(taken) > 5)
        await asyncio.sleep(0.05)
        assert len(taken) <= 13
        publisher.available = True
        publisher.flush(0)
        await eventually(lambda: len(ids(publisher)) == 1_000)


@pytest.mark.parametrize("connections", [[[frame("1")]], []])
async def test_a_refusal_by_kafka_ends_the_process(connections: list[list[Frame]]) -> None:
    publisher = InMemoryPublisher()
    publisher.failure = "refused"
    with pytest.raises(BusError, match="refused"):
        async with asyncio.timeout(10):
            await service(publisher, scripted(*connections)).run(asyncio.Event())


async def test_a_fault_of_ours_ends_the_process() -> None:
    provider = scripted([KeyError("oops")])
    with pytest.raises(KeyError, match="oops"):
        async with asyncio.timeout(10):
            await service(InMemoryPublisher(), provider).run(asyncio.Event())


async def test_feed_events_keep_their_place_among_the_frames() -> None:
    publisher = InMemoryPublisher()

    class Talking(ScriptedProvider):
        listener: StateListener

        async def stream(self):  # type: ignore[no-untyped-def]  # the base's own signature
            await self.listener("connected", "ws://here")
            yield frame("1")
            await self.listener("subscribed", "1 symbol")
            yield frame("2")
            await asyncio.Event().wait()

    def make(talking: Talking, listener: StateListener) -> Provider:
        talking.listener = listener
        return talking

    async with running(joined(publisher, [partial(make, Talking(()))], 100, 1)):
        await eventually(lambda: len(publisher.delivered) == 5)
    # The first event says how the feed is.
    assert [message.topic for message in publisher.delivered][1:] == [FEED_EVENTS, TICKS, FEED_EVENTS, TICKS]
    assert [kind for kind, _, _ in events(publisher)] == ["connected", "subscribed"]

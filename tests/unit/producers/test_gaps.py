"""Holes are announced, filled and closed, or admitted with the reason; nothing is published twice on the way."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from marketstream.contracts.messages import FETCHED_HEADER, FeedGap, decode_feed_event, decode_tick
from marketstream.contracts.topics import FEED_EVENTS, TICKS
from marketstream.domain.errors import Fault, ProviderError
from marketstream.domain.interval import Interval
from marketstream.domain.market import Tick
from marketstream.ports import Capabilities, Frame
from marketstream.producers.continuity import Continuity
from marketstream.producers.gaps import GapFiller
from marketstream.producers.pipeline import Pipeline
from marketstream.producers.queue import FrameQueue
from marketstream.producers.validation import TickValidator
from marketstream.producers.whole_bars import WholeBars
from marketstream.providers.history import NoHistory
from marketstream.settings import GapSettings
from marketstream.testing.fakes import FakeClock, InMemoryPublisher, ScriptedProvider

NOW_US = 1_700_000_000_000_000
CAN = Capabilities(channels=frozenset({"trades"}), asset_classes=frozenset({"crypto"}), numbered=True, past_trades=True)


def tick(number: int, seconds: float | None = None) -> Tick:
    time_us = NOW_US + round((number if seconds is None else seconds) * 1_000_000)
    return Tick(
        symbol="BTCUSDT",
        price=1.0,
        size=1.0,
        event_time_us=time_us,
        received_time_us=NOW_US,
        provider="tape",
        trade_id=str(number),
        sequence=number,
        asset_class="crypto",
    )


def frame(*numbers: int) -> Frame:
    return Frame(b"", NOW_US, [tick(number) for number in numbers])


class Past(NoHistory):
    """A history that has `there`, one trade a page, and may fail first."""

    def __init__(self, there: set[int], failures: list[ProviderError]) -> None:
        super().__init__("tape")
        self.there = there
        self.failures = failures
        self.asked: list[tuple[int, int]] = []

    async def trades_numbered(self, symbol: str, first_id: int, last_id: int) -> AsyncGenerator[Frame, None]:
        self.asked.append((first_id, last_id))
        for number in range(first_id, last_id + 1):
            if self.failures:
                raise self.failures.pop(0)
            if number in self.there:
                yield frame(number)

    async def trades_between(self, symbol: str, start_us: int, end_us: int) -> AsyncGenerator[Frame, None]:
        for number in sorted(self.there):
            if start_us <= tick(number).event_time_us < end_us:
                yield frame(number)


class Stand:
    def __init__(self, *there: int, failures: list[ProviderError] | None = None, **patience: float) -> None:
        self.past = Past(set(there), failures or [])
        self.publisher = InMemoryPublisher()
        self.queue = FrameQueue(1_000)
        clock = FakeClock(NOW_US + 3_600_000_000)
        self.continuity = Continuity({"tape"})
        provider = ScriptedProvider((), "tape", ["BTCUSDT"], CAN, self.past)
        settings = GapSettings(**{"grace_seconds": 0.05, **patience})  # type: ignore[arg-type]  # as the settings say
        self.filler = GapFiller(self.continuity, [provider], self.queue, self.publisher, clock, settings)
        self.pipeline = Pipeline(self.publisher, TickValidator(["BTCUSDT"], 10, self.continuity), clock)

    def published(self) -> list[int]:
        return [decode_tick(value).sequence for value in self.publisher.values(TICKS)]

    def gaps(self) -> list[FeedGap]:
        events = map(decode_feed_event, self.publisher.values(FEED_EVENTS))
        return [event.gap for event in events if event.gap is not None]

    async def take(self) -> None:
        while True:
            item = await self.queue.get()
            await self.pipeline.take(item)
            self.queue.done(item)


@asynccontextmanager
async def running(stand: Stand) -> AsyncIterator[Callable[[Callable[[], bool]], "asyncio.Future[None]"]]:
    works = [asyncio.create_task(work) for work in (stand.filler.run(), stand.take())]

    async def until(condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(15):
            while not condition():  # what is waited for is no event, but any state
                await asyncio.sleep(0.01)
                for work in works:
                    if work.done():
                        work.result()

    yield until  # type: ignore[misc]  # a coroutine function is a callable that gives an awaitable
    for work in works:
        work.cancel()
    await asyncio.gather(*works, return_exceptions=True)


async def test_missing_numbers_are_fetched_and_the_gap_is_closed() -> None:
    stand = Stand(*range(1, 20))
    async with running(stand) as until:
        await stand.queue.put(frame(1, 2, 9))
        await until(lambda: len(stand.gaps()) == 2)
    assert stand.published() == [1, 2, 9, 3, 4, 5, 6, 7, 8]
    opened, closed = stand.gaps()
    assert (opened.state, opened.first_id, opened.last_id, opened.missing) == ("open", 3, 8, 6)
    assert (closed.state, closed.missing, closed.filled, closed.gap_id) == ("closed", 0, 6, opened.gap_id)
    fetched = [message for message in stand.publisher.delivered if FETCHED_HEADER in message.headers]
    assert [decode_tick(message.value).sequence for message in fetched] == [3, 4, 5, 6, 7, 8]


async def test_it_is_said_which_bars_fetched_trades_have_cut() -> None:
    begun_us = NOW_US - NOW_US % 900_000_000  # of the trades' bar; the clock has them an hour later
    for since_us, said in (
        (None, ""),
        (begun_us + 3_600_000_000 - 60_000_000, ""),
        (begun_us + 3_600_000_000 + 60_000_000, f"--from {begun_us} --to {begun_us + 900_000_000} --symbols BTCUSDT"),
    ):
        stand = Stand(*range(1, 20))
        stand.filler.warn_of(WholeBars(lambda since_us=since_us: since_us, Interval.parse("15min")))  # type: ignore[misc]
        async with running(stand) as until:
            await stand.queue.put(frame(1, 2, 9))
            await until(lambda stand=stand: len(stand.gaps()) == 2)  # type: ignore[misc]
        _, closed = stand.gaps()
        assert (closed.state, said in closed.detail, bool(closed.detail)) == ("closed", True, bool(said))


async def test_fetched_trades_are_never_late() -> None:
    stand = Stand(*range(1, 100))
    async with running(stand) as until:
        await stand.queue.put(frame(1, 90))
        await until(lambda: len(stand.gaps()) == 2)
    assert sorted(stand.published()) == list(range(1, 91))


async def test_disorder_is_neither_announced_nor_fetched() -> None:
    stand = Stand(grace_seconds=0.3)
    async with running(stand) as until:
        await stand.queue.put(frame(1, 4, 3, 2))
        await until(lambda: len(stand.published()) == 4)
        await asyncio.sleep(0.5)
    assert (stand.gaps(), stand.past.asked) == ([], [])


async def test_what_comes_by_the_stream_meanwhile_is_not_published_twice() -> None:
    stand = Stand(*range(1, 20))
    async with running(stand) as until:
        await stand.queue.put(frame(1, 9))
        await stand.queue.put(frame(4, 5))
        await until(lambda: len(stand.gaps()) == 2)
        await stand.queue.put(frame(4, 8))
    assert sorted(stand.published()) == list(range(1, 10))


async def test_what_the_provider_lacks_is_admitted() -> None:
    stand = Stand(3, give_up_seconds=1.5)
    async with running(stand) as until:
        await stand.queue.put(frame(1, 5))
        await until(lambda: any(gap.state == "unfillable" for gap in stand.gaps()))
    last = stand.gaps()[-1]
    assert (last.missing, last.filled) == (2, 1)
    assert last.detail


@pytest.mark.parametrize("fault", [Fault.UNSUPPORTED, Fault.PLAN])
async def test_what_can_not_be_asked_is_admitted_at_once(fault: Fault) -> None:
    stand = Stand(failures=[ProviderError("not in your plan", provider="tape", fault=fault)])
    async with running(stand) as until:
        await stand.queue.put(frame(1, 5))
        await until(lambda: any(gap.state == "unfillable" for gap in stand.gaps()))
    assert "not in your plan" in stand.gaps()[-1].detail
    assert len(stand.past.asked) == 1


async def test_errors_that_pass_are_waited_out() -> None:
    error = ProviderError("busy", provider="tape", fault=Fault.BURST_LIMIT, retry_after_seconds=0.1)
    stand = Stand(*range(1, 9), failures=[error])
    async with running(stand) as until:
        await stand.queue.put(frame(1, 5))
        await until(lambda: any(gap.state == "closed" for gap in stand.gaps()))
    assert sorted(stand.published()) == [1, 2, 3, 4, 5]


async def test_too_large_a_gap_is_left_to_backfill() -> None:
    stand = Stand(*range(1, 100), max_trades=10)
    async with running(stand) as until:
        await stand.queue.put(frame(1, 50))
        await until(lambda: any(gap.state == "unfillable" for gap in stand.gaps()))
    assert "marketstream backfill" in stand.gaps()[-1].detail
    assert stand.past.asked == []


async def test_a_gap_goes_on_being_filled_after_a_restart() -> None:
    before = Stand()
    async with running(before) as until:
        await before.queue.put(frame(1, 9))
        await until(lambda: bool(before.gaps()))
    (opened,) = before.gaps()
    after = Stand(*range(1, 20))
    after.continuity.restore([tick(1), tick(9)], [])
    after.continuity.new_holes()
    after.filler.resume([opened], [tick(4), tick(9)])
    async with running(after) as until:
        await until(lambda: len(after.gaps()) == 2)
    assert after.published() == [2, 3, 5, 6, 7, 8]
    assert [(gap.state, gap.gap_id) for gap in after.gaps()] == [("open", opened.gap_id), ("closed", opened.gap_id)]
    assert after.gaps()[0].updated_us >= opened.updated_us

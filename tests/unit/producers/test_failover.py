"""The best feed that is well is used: fallback, careful return, alerts. On scripted feeds, with short patience."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count

from marketstream.contracts.messages import FeedEvent, decode_alert, decode_feed_event, decode_tick
from marketstream.contracts.topics import ALERTS, FEED_EVENTS, TICKS
from marketstream.domain.errors import Fault, ProviderError
from marketstream.domain.market import Tick
from marketstream.ports import Capabilities, Frame, Provider
from marketstream.producers.backoff import Backoff
from marketstream.producers.board import FeedBoard
from marketstream.producers.continuity import Continuity
from marketstream.producers.failover import FailoverReader, Rules
from marketstream.producers.gaps import GapFiller
from marketstream.producers.pipeline import Pipeline
from marketstream.producers.queue import FrameQueue
from marketstream.producers.service import ProducerService
from marketstream.producers.validation import TickValidator
from marketstream.providers.history import NoHistory
from marketstream.providers.states import StateListener
from marketstream.settings import FailoverSettings, GapSettings
from marketstream.testing.fakes import FakeClock, InMemoryPublisher, ScriptedProvider

NOW_US = 1_700_000_000_000_000
CAN = Capabilities(channels=frozenset({"trades"}), asset_classes=frozenset({"equity"}), sequenced=True, last_trade=True)


class Market:
    """A tape that goes on whether or not anybody listens: trade n at n milliseconds."""

    def __init__(self) -> None:
        self._numbers = count(1)
        self.newest = 0
        self.heard = asyncio.Condition()

    async def trade(self) -> None:
        """One trade happens."""
        async with self.heard:
            self.newest = next(self._numbers)
            self.heard.notify_all()


class Knowing(NoHistory):
    """Tells when the market traded last."""

    def __init__(self, provider: str, market: Market) -> None:
        super().__init__(provider)
        self._market = market

    async def last_trade_us(self, symbol: str) -> int | None:
        return NOW_US + self._market.newest * 1_000


class MarketProvider(ScriptedProvider):
    """Tells of the market while `up`; accepts and says nothing while `silent`."""

    def __init__(self, name: str, market: Market) -> None:
        super().__init__((), name, ["IBM"], CAN, Knowing(name, market))
        self._market = market
        self.up = True
        self.silent = False
        self.fault = Fault.NETWORK
        self.listener: StateListener | None = None

    async def stream(self) -> AsyncGenerator[Frame, None]:
        self.opened += 1
        self._check()
        assert self.listener
        await self.listener("subscribed", "1 symbol")
        told = self._market.newest
        while True:
            async with self._market.heard:
                while self._market.newest == told:
                    await self._market.heard.wait()
            self._check()
            while told < self._market.newest:
                told += 1
                if not self.silent:
                    yield self._frame(told)

    def _check(self) -> None:
        if not self.up:
            raise ProviderError("down", provider=self.provider_name, fault=self.fault)

    def _frame(self, number: int) -> Frame:
        time_us = NOW_US + number * 1_000
        tick = Tick(
            symbol="IBM",
            price=100 + number / 100,
            size=1.0,
            event_time_us=time_us,
            received_time_us=time_us,
            provider=self.provider_name,
            trade_id=f"{self.provider_name}-{number}",
            sequence=number,
        )
        return Frame(b"", time_us, [tick])


class Stand:
    """Two feeds of one market, the service on them, and what came of it."""

    def __init__(self, *, slow_retry_seconds: float = 60.0, **failover: float) -> None:
        self.market = Market()
        self.first, self.second = MarketProvider("first", self.market), MarketProvider("second", self.market)
        self.publisher = InMemoryPublisher()
        patience = {"failures": 1, "silence_seconds": 0.5, "first_message_seconds": 0.5, "healthy_seconds": 0.3}
        rules = Rules(
            failover=FailoverSettings(**{**patience, "open_seconds": 0.3, **failover}),  # type: ignore[arg-type]
            new_backoff=lambda: Backoff(0.01, 0.05, random=lambda: 1.0),
            slow_retry_seconds=slow_retry_seconds,
            retries_max=3,
        )
        clock, queue, continuity = FakeClock(NOW_US), FrameQueue(1_000), Continuity()
        makers = [self._maker(self.first), self._maker(self.second)]
        reader = FailoverReader(makers, queue, clock, continuity.newest_us, rules, FeedBoard())
        filler = GapFiller(continuity, reader.providers, queue, self.publisher, clock, GapSettings())
        pipeline = Pipeline(self.publisher, TickValidator(["IBM"], 10, continuity), clock)
        self.service = ProducerService([reader], filler, queue, pipeline, self.publisher)

    @staticmethod
    def _maker(provider: MarketProvider) -> Callable[[StateListener], Provider]:
        def make(listener: StateListener) -> Provider:
            provider.listener = listener
            return provider

        return make

    def events(self, *kinds: str) -> list[FeedEvent]:
        decoded = map(decode_feed_event, self.publisher.values(FEED_EVENTS))
        return [event for event in decoded if event.kind in kinds]

    def numbers(self) -> list[int]:
        """The trades that were published, by number."""
        ticks = map(decode_tick, self.publisher.values(TICKS))
        return [(tick.event_time_us - NOW_US) // 1_000 for tick in ticks]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Trades until the condition holds."""
        async with asyncio.timeout(20):
            while not condition():
                await self.market.trade()
                await asyncio.sleep(0.005)


@asynccontextmanager
async def running(stand: Stand) -> AsyncIterator[None]:
    stop = asyncio.Event()
    task = asyncio.create_task(stand.service.run(stop))
    try:
        yield
    finally:
        stop.set()
        async with asyncio.timeout(10):
            await task


async def test_the_first_feed_is_used_while_it_is_well() -> None:
    stand = Stand()
    async with running(stand):
        await stand.until(lambda: len(stand.numbers()) > 20)
    assert stand.second.opened == 0
    assert stand.events("failover", "failback", "breaker_open") == []


async def test_a_broken_feed_is_replaced_and_taken_back_and_no_trade_counts_twice() -> None:
    stand = Stand()
    async with running(stand):
        await stand.until(lambda: len(stand.numbers()) > 10)
        stand.first.up = False
        await stand.until(lambda: bool(stand.events("failover")) and stand.numbers()[-1] > 20)
        stand.first.up = True
        await stand.until(lambda: bool(stand.events("failback")))
        before = len(stand.numbers())
        await stand.until(lambda: len(stand.numbers()) > before + 10)
    assert len(set(stand.numbers())) == len(stand.numbers())
    (over,) = stand.events("failover")
    (back,) = stand.events("failback")
    assert (over.provider, over.fault, back.provider) == ("second", Fault.NETWORK, "first")
    # On the way back the two overlap: from the first trade of the second feed on, none is missing.
    providers = [decode_tick(value).provider for value in stand.publisher.values(TICKS)]
    since = stand.numbers()[providers.index("second") :]
    assert since == list(range(since[0], since[-1] + 1))
    assert providers[-1] == "first"


async def test_a_feed_that_acknowledges_and_stays_silent_is_replaced() -> None:
    stand = Stand()
    stand.first.silent = True
    async with running(stand):
        await stand.until(lambda: len(stand.numbers()) > 5)
    (ending, *_) = stand.events("disconnected")
    assert (ending.provider, ending.fault) == ("first", Fault.SILENT)
    assert stand.events("failover")[0].provider == "second"


async def test_a_quiet_market_is_no_fault() -> None:
    stand = Stand()
    async with running(stand):
        await stand.until(lambda: len(stand.numbers()) > 5)
        await asyncio.sleep(1.5)  # three times what is suspicious
        await stand.until(lambda: len(stand.numbers()) > 10)
    assert stand.first.opened == 1


async def test_a_trial_that_fails_keeps_the_feed_in_use() -> None:
    stand = Stand(healthy_seconds=0.6)
    async with running(stand):
        stand.first.up = False
        await stand.until(lambda: len(stand.events("breaker_half_open")) >= 2)
        stand.first.up, stand.first.silent = True, True
        opened = len(stand.events("breaker_open"))
        await stand.until(lambda: len(stand.events("breaker_open")) > opened)
    assert stand.events("failback") == []
    assert stand.second.opened == 1


async def test_when_the_one_in_use_breaks_a_feed_on_trial_that_delivers_is_taken() -> None:
    stand = Stand(healthy_seconds=30.0)
    async with running(stand):
        stand.first.up = False
        await stand.until(lambda: bool(stand.events("failover")))
        stand.first.up = True
        await stand.until(lambda: bool(stand.events("breaker_half_open")) and stand.first.opened >= 2)
        before = stand.numbers()[-1]
        await stand.until(lambda: stand.numbers()[-1] > before + 5)
        stand.second.up = False
        await stand.until(lambda: bool(stand.events("failback")))
    assert len(set(stand.numbers())) == len(stand.numbers())


async def test_somebody_is_told_of_a_dead_feed_though_another_supplies() -> None:
    stand = Stand(open_seconds=0.01)
    stand.first.up = False
    async with running(stand):
        await stand.until(lambda: stand.publisher.values(ALERTS))
        assert len(stand.numbers()) > 3
    (alert,) = map(decode_alert, stand.publisher.values(ALERTS))
    assert alert.subject == "first"


async def test_after_many_failures_somebody_is_told_once_and_trying_goes_on() -> None:
    stand = Stand(slow_retry_seconds=0.05)
    stand.first.up = stand.second.up = False
    async with running(stand):
        await stand.until(lambda: stand.first.opened > 5 and stand.second.opened > 5)
        stand.second.up = True
        await stand.until(lambda: len(stand.numbers()) > 3)
    alerts = list(map(decode_alert, stand.publisher.values(ALERTS)))
    assert sorted(alert.subject for alert in alerts) == ["first", "second"]
    assert {alert.rule for alert in alerts} == {"feed_retries_exhausted"}

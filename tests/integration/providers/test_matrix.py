"""Every provider in every situation: the producer's own parts over real sockets, against the replay server.

What a provider does not have is named in `ABSENT`, with the reason; everything else must work.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import chain
from time import time
from typing import Any

import pytest

from heard import pages
from marketstream.clock import SystemClock
from marketstream.contracts.messages import (
    DeadLetter,
    FeedEvent,
    FeedGap,
    decode_bar,
    decode_cancel,
    decode_dead_letter,
    decode_feed_event,
    decode_quote,
    decode_tick,
)
from marketstream.contracts.topics import CANCELS, DEAD_LETTERS, FEED_EVENTS, PROVIDER_BARS, QUOTES, TICKS
from marketstream.domain.errors import Fault, ProviderError
from marketstream.domain.interval import Interval
from marketstream.domain.market import Bar, Cancel, Quote, Tick
from marketstream.domain.outcomes import Reason
from marketstream.ports import Provider
from marketstream.producers.continuity import Continuity
from marketstream.producers.main import build_service, numbered_providers
from marketstream.producers.validation import TickValidator
from marketstream.providers.auto import resolve_feeds
from marketstream.providers.registry import FACTORIES, create_provider
from marketstream.providers.states import ignore_state
from marketstream.settings import Settings, load_settings
from marketstream.testing.fakes import InMemoryPublisher
from marketstream.testing.market_trade import MarketTrade
from marketstream.testing.replay import FileSource, Pace, ReplayOptions, ReplayServer
from marketstream.testing.replay.dialect import Quota
from marketstream.testing.replay.quotes import quote_at
from marketstream.testing.trades import RecordedTrades

KEY = "matrix-SECRET-key"
REFUSED = "no-good-SECRET-key"
MINUTE = Interval.parse("1min")
SYMBOLS = {name: "BTCUSDT" if name == "binance" else "AAPL" for name in FACTORIES} | {"binance_usdm": "BTCUSDT-PERP"}
MARKET = {"BTCUSDT-PERP": "BTCUSDT"}
PROVIDERS = sorted(FACTORIES)
ABSENT = {
    ("auth", "binance"): "its market data needs no key",
    ("auth", "binance_usdm"): "its market data needs no key",
    ("trade", "alpha_vantage"): "it has bars only",
    ("trade", "finazon"): "it has bars only",
    ("quote", "alpha_vantage"): "it has bars only",
    ("quote", "finazon"): "it has bars only",
    ("bar", "finage"): "it streams none",
    ("bar", "fmp"): "it streams none",
    ("malformed", "alpha_vantage"): "its answers are requests' own; malformed ones are in its own tests",
    ("reconnect", "alpha_vantage"): "it has no connection to lose; each poll is its own",
    ("silence", "alpha_vantage"): "it has no stream that could fall silent",
    ("failover", "binance_usdm"): "nobody else has its perpetuals",
    ("past trades", "alpha_vantage"): "its REST API has none",
    ("past trades", "finage"): "its REST API has none that its stream's could be told from",
    ("past trades", "finazon"): "its REST API has none with ids",
    ("past trades", "fmp"): "its REST API has none",
}
# The next feed in line, for the same symbol.
NEXT = {"polygon": "fmp", "finage": "polygon", "fmp": "finage", "alpha_vantage": "polygon", "finazon": "polygon"}
QUOTAS: dict[Quota, Fault] = {
    "burst": Fault.BURST_LIMIT,
    "daily": Fault.DAILY_QUOTA,
    "bandwidth": Fault.BANDWIDTH,
    "plan": Fault.PLAN,
    "ban": Fault.BANNED,
}
# Where a provider has no such limit, or no words of its own for it.
OWN_WORDS: dict[str, dict[Quota, Fault]] = {
    "alpha_vantage": {"bandwidth": Fault.DAILY_QUOTA, "ban": Fault.BURST_LIMIT},
    "binance": {"daily": Fault.BURST_LIMIT, "bandwidth": Fault.BANNED},
    "binance_usdm": {"daily": Fault.BURST_LIMIT, "bandwidth": Fault.BANNED},
    "fmp": {"daily": Fault.BURST_LIMIT},
    "polygon": {"daily": Fault.BURST_LIMIT, "bandwidth": Fault.BURST_LIMIT, "ban": Fault.BURST_LIMIT},
}
# The market's hour passes in a minute, so that minutes' bars close every second.
SPEED = 60.0


def having(cell: str) -> list[str]:
    return [name for name in PROVIDERS if (cell, name) not in ABSENT]


def now_us() -> int:
    return SystemClock().now_us()


def market() -> list[MarketTrade]:
    """An hour of both symbols' trades, two hours ago, three a second."""
    start_us = (int(time()) - 7_200) // 60 * 60_000_000
    return [
        MarketTrade(
            symbol=symbol,
            price=round(100 + number % 97 / 100, 2),
            size=float(1 + number % 9),
            event_time_us=start_us + number * 333_000,
            exchange="N",
            side="buy" if number % 2 else "sell",
            trade_id=str(number + 1),
            sequence=number + 1,
        )
        for number in range(10_800)
        for symbol in ("AAPL", "BTCUSDT")
    ]


@dataclass
class Stand:
    """A producer's parts on a replay server, publishing into memory."""

    replay: ReplayServer
    settings: Settings
    trades: list[MarketTrade]
    publisher: InMemoryPublisher = field(default_factory=InMemoryPublisher)

    def ticks(self) -> list[Tick]:
        return list(map(decode_tick, self.publisher.values(TICKS)))

    def quotes(self) -> list[Quote]:
        return list(map(decode_quote, self.publisher.values(QUOTES)))

    def bars(self) -> list[Bar]:
        return list(map(decode_bar, self.publisher.values(PROVIDER_BARS)))

    def cancels(self) -> list[Cancel]:
        return list(map(decode_cancel, self.publisher.values(CANCELS)))

    def letters(self) -> list[DeadLetter]:
        return list(map(decode_dead_letter, self.publisher.values(DEAD_LETTERS)))

    def events(self, *kinds: str) -> list[FeedEvent]:
        events = map(decode_feed_event, self.publisher.values(FEED_EVENTS))
        return [event for event in events if event.kind in kinds]

    def gaps(self) -> list[FeedGap]:
        return [event.gap for event in self.events("gap") if event.gap]

    def data(self) -> int:
        return sum(len(self.publisher.values(topic)) for topic in (TICKS, QUOTES, PROVIDER_BARS))

    def of_market(self, symbol: str) -> dict[tuple[int, float, float], MarketTrade]:
        """The market's trades by time in ms, price and size."""
        named = MARKET.get(symbol, symbol)
        return {(t.event_time_us // 1_000, t.price, t.size): t for t in self.trades if t.symbol == named}

    async def until(self, condition: Callable[[], Any], limit_seconds: float = 45.0) -> None:
        try:
            async with asyncio.timeout(limit_seconds):
                while not condition():  # noqa: ASYNC110  # what is waited for is no event, but any state
                    await asyncio.sleep(0.02)
        except TimeoutError:
            kinds = [(event.kind, event.detail) for event in self.events("disconnected", "fatal", "failover")][-5:]
            raise AssertionError(f"{self.data()} messages, {len(self.letters())} letters; {kinds}") from None


def settings_for(replay: ReplayServer, names: tuple[str, ...], symbol: str, **more: Any) -> Settings:
    endpoints = {
        name: {"websocket_url": websocket, "rest_url": rest, "api_key": KEY}
        for name, (websocket, rest) in replay.endpoints().items()
    }
    for market in ("crypto", "forex"):
        endpoints["fmp"][f"{market}_websocket_url"] = endpoints["fmp"]["websocket_url"]
    endpoints["alpha_vantage"] |= {"requests_per_minute": 6_000, "requests_per_day": 100_000}
    for name in ("polygon", "finage", "fmp", "finazon"):
        endpoints[name]["requests_per_minute"] = 6_000
    patience = {"failures": 2, "first_message_seconds": 2, "silence_seconds": 2, "healthy_seconds": 60}
    sections = {**endpoints, "failover": patience, "ingest": {"backoff_initial_seconds": 0.1}, "gaps": {}}
    for section, values in more.items():
        sections[section] = {**sections.get(section, {}), **values}
    return load_settings(symbols=[symbol], providers=list(names), **sections)


@asynccontextmanager
async def producing(*names: str, symbol: str | None = None, **more: Any) -> AsyncIterator[Stand]:
    """Runs the producer's parts on these providers, in this order."""
    trades = market()
    options = ReplayOptions(refused_keys=(REFUSED,), settle_seconds=0.02)
    source = FileSource(RecordedTrades.of(trades))
    async with ReplayServer(source, Pace(SPEED), options=options) as replay:
        settings = settings_for(replay, names, symbol or SYMBOLS[names[0]], **more)
        feeds = resolve_feeds(settings)
        stand = Stand(replay, settings, trades)
        validator = TickValidator(settings.symbols, 10.0, Continuity(numbered_providers(settings, feeds)))
        service = build_service(settings, feeds, validator, stand.publisher, SystemClock())
        stop = asyncio.Event()
        running = asyncio.create_task(service.run(stop))
        try:
            yield stand
        finally:
            stop.set()
            async with asyncio.timeout(20):
                await running


def adapter(stand: Stand, name: str) -> Provider:
    (feed,) = [feed for feed in resolve_feeds(stand.settings) if feed.provider == name]
    return create_provider(feed, stand.settings, SystemClock(), ignore_state)


def test_every_absence_has_a_reason_and_a_provider() -> None:
    assert {name for _, name in ABSENT} <= set(PROVIDERS)
    assert all(ABSENT.values())


@pytest.mark.parametrize("name", PROVIDERS)
async def test_connect_and_subscribe(name: str) -> None:
    async with producing(name) as stand:
        await stand.until(lambda: stand.events("subscribed") and stand.data() > 0)
        assert [event.kind for event in stand.events("connected", "subscribed")][:2] == ["connected", "subscribed"]
    heard = chain(stand.ticks(), stand.quotes(), stand.bars())
    assert {each.symbol for each in heard} == {SYMBOLS[name]}


@pytest.mark.parametrize("name", having("auth"))
async def test_a_refused_key(name: str) -> None:
    async with producing(name, **{name: {"api_key": REFUSED}}) as stand:
        await stand.until(lambda: stand.events("fatal"))
    (fatal, *_) = stand.events("fatal")
    assert fatal.fault is Fault.BAD_KEY
    assert not any(REFUSED.encode() in message.value for message in stand.publisher.delivered)


@pytest.mark.parametrize("name", having("trade"))
async def test_trades(name: str) -> None:
    async with producing(name) as stand:
        await stand.until(lambda: len(stand.ticks()) > 300)
    told = [(tick.event_time_us // 1_000, tick.price, tick.size) for tick in stand.ticks()]
    known = stand.of_market(SYMBOLS[name])
    assert set(told) <= known.keys()
    assert len(set(told)) == len(told)
    sequences = [known[each].sequence for each in told]
    assert sequences == list(range(sequences[0], sequences[0] + len(told)))
    assert stand.letters() == []


@pytest.mark.parametrize("name", having("quote"))
async def test_quotes(name: str) -> None:
    async with producing(name, ingest={"channels": ["quotes"]}) as stand:
        await stand.until(lambda: len(stand.quotes()) > 100)
    named = MARKET.get(SYMBOLS[name], SYMBOLS[name])
    prices = {quote_at(trade)[0::2] for trade in stand.trades if trade.symbol == named}
    assert {(quote.bid_price, quote.ask_price) for quote in stand.quotes()} <= prices
    assert stand.ticks() == []


@pytest.mark.parametrize("name", having("bar"))
async def test_bars(name: str) -> None:
    async with producing(name, ingest={"channels": ["bars"]}) as stand:
        await stand.until(lambda: sum(bar.final for bar in stand.bars()) >= 2)
    newest = {(bar.interval, bar.start_us): bar for bar in stand.bars() if bar.final}
    named = MARKET.get(SYMBOLS[name], SYMBOLS[name])
    for (interval, start_us), bar in newest.items():
        inside = [t for t in stand.trades if t.symbol == named and start_us <= t.event_time_us < bar.end_us]
        prices = [trade.price for trade in inside]
        assert (bar.open, bar.high, bar.low, bar.close) == (prices[0], max(prices), min(prices), prices[-1]), interval
        assert bar.volume == pytest.approx(sum(trade.size for trade in inside), rel=1e-12)


@pytest.mark.parametrize("name", [name for name in having("bar") if name != "alpha_vantage"])
async def test_a_pause_between_bars_is_no_silence(name: str) -> None:
    async with producing(name, ingest={"channels": ["bars"]}, failover={"silence_seconds": 0.3}) as stand:
        await stand.until(lambda: sum(bar.final for bar in stand.bars()) >= 4)
        assert stand.events("disconnected") == []


async def test_a_break() -> None:
    async with producing("fmp") as stand:
        await stand.until(lambda: len(stand.ticks()) > 50)
        assert stand.replay.cancel("AAPL", "fmp") is not None
        await stand.until(stand.cancels)
    (cancel,) = stand.cancels()
    assert cancel.trade_id in {tick.trade_id for tick in stand.ticks()}


@pytest.mark.parametrize("name", having("reconnect"))
async def test_a_lost_connection_is_made_anew(name: str) -> None:
    async with producing(name) as stand:
        await stand.until(lambda: stand.data() > 50)
        stand.replay.drop_connections()
        await stand.until(lambda: len(stand.events("subscribed")) == 2)
        before = stand.data()
        await stand.until(lambda: stand.data() > before + 50)
    (ending, *_) = stand.events("disconnected")
    assert ending.fault is Fault.NETWORK
    told = [(tick.event_time_us, tick.price, tick.size) for tick in stand.ticks()]
    assert len(set(told)) == len(told)


@pytest.mark.parametrize("name", having("silence"))
async def test_silence_is_a_fault(name: str) -> None:
    async with producing(name) as stand:
        await stand.until(lambda: stand.data() > 20)
        stand.replay.faults_of(name).set_states({"silent": True})
        await stand.until(lambda: stand.events("disconnected"))
    (ending, *_) = stand.events("disconnected")
    assert ending.fault is Fault.SILENT


@pytest.mark.parametrize("name", having("silence"))
async def test_an_acknowledgement_without_data_is_a_fault(name: str) -> None:
    async with producing(name) as stand:
        stand.replay.faults_of(name).set_states({"silent": True})
        await stand.until(lambda: stand.events("disconnected"))
    (ending, *_) = stand.events("disconnected")
    assert ending.fault is Fault.SILENT
    assert stand.data() == 0


@pytest.mark.parametrize("name", PROVIDERS)
async def test_quotas_are_told_apart(name: str) -> None:
    async with producing(name) as stand:
        await stand.until(lambda: stand.replay.played > 1_000)
        told = {}
        for quota in QUOTAS:
            stand.replay.faults_of(name).set_states({"quota": quota, "retry_after_seconds": 3_600.0})
            provider = adapter(stand, name)
            with pytest.raises(ProviderError) as refused:
                await pages(provider.history.bars(SYMBOLS[name], MINUTE, stand.trades[0].event_time_us, now_us()))
            await provider.history.close()
            assert KEY not in str(refused.value)
            told[quota] = refused.value.fault
    assert told == QUOTAS | OWN_WORDS.get(name, {})
    assert not any(KEY.encode() in message.value for message in stand.publisher.delivered)


@pytest.mark.parametrize("name", having("malformed"))
async def test_malformed_frames_are_set_aside_and_the_rest_goes_on(name: str) -> None:
    async with producing(name) as stand:
        await stand.until(lambda: stand.data() > 0)
        stand.replay.faults_of(name).garbage(5)
        await stand.until(lambda: len(stand.letters()) >= 1)
        before = stand.data()
        await stand.until(lambda: stand.data() > before + 20)
    assert {letter.reason for letter in stand.letters()} <= {
        Reason.MALFORMED,
        Reason.INVALID_FIELD,
        Reason.NOT_FINITE,
        Reason.NEGATIVE_SIZE,
        Reason.UNKNOWN_SYMBOL,
    }
    assert {letter.provider for letter in stand.letters()} == {name}
    assert stand.events("disconnected", "fatal") == []


@pytest.mark.parametrize("name", having("past trades"))
async def test_missed_trades_are_fetched(name: str) -> None:
    async with producing(name) as stand:
        await stand.until(lambda: len(stand.ticks()) > 100)
        stand.replay.drop_connections()
        await stand.until(lambda: [gap for gap in stand.gaps() if gap.state == "closed"])
        first = stand.ticks()[0].event_time_us
        newest = max(tick.event_time_us for tick in stand.ticks())
        known = [key for key in stand.of_market(SYMBOLS[name]) if first // 1_000 <= key[0] <= newest // 1_000]
        await stand.until(lambda: len(stand.ticks()) >= len(known))
    told = [(tick.event_time_us // 1_000, tick.price, tick.size) for tick in stand.ticks()]
    assert set(known) <= set(told)
    assert len(set(told)) == len(told)


@pytest.mark.parametrize("name", PROVIDERS)
async def test_past_bars(name: str) -> None:
    async with producing(name) as stand:
        start_us = stand.trades[0].event_time_us
        await stand.until(lambda: stand.replay.played > 800)
        provider = adapter(stand, name)
        assert provider.capabilities.past_bars
        frames = await pages(provider.history.bars(SYMBOLS[name], MINUTE, start_us, start_us + 2 * MINUTE.us))
        await provider.history.close()
    bars = {bar.start_us: bar for page in frames for bar in page if isinstance(bar, Bar)}
    assert sorted(bars) == [start_us + number * MINUTE.us for number in range(2)]
    named = MARKET.get(SYMBOLS[name], SYMBOLS[name])
    for bar in bars.values():
        inside = [t.price for t in stand.trades if t.symbol == named and bar.start_us <= t.event_time_us < bar.end_us]
        assert (bar.open, bar.high, bar.low, bar.close) == (inside[0], max(inside), min(inside), inside[-1])


@pytest.mark.parametrize("name", having("failover"))
async def test_the_next_feed_takes_over(name: str) -> None:
    following = NEXT.get(name, "fmp")
    async with producing(name, following) as stand:
        await stand.until(lambda: stand.data() > 0)
        stand.replay.faults_of(name).set_states({"quota": "daily", "retry_after_seconds": 600.0})
        await stand.until(lambda: stand.events("failover"))
        before = stand.data()
        await stand.until(lambda: stand.data() > before + 20)
    (over, *_) = stand.events("failover")
    assert over.provider == following
    told = [(tick.event_time_us // 1_000, tick.price, tick.size) for tick in stand.ticks()]
    assert len(set(told)) == len(told)

"""The Alpha Vantage adapter and the replay server over real HTTP."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing, asynccontextmanager

import pytest

from heard import States
from marketstream.domain.errors import Fault, ProviderError
from marketstream.domain.interval import Interval
from marketstream.domain.market import Bar
from marketstream.domain.outcomes import Reason, Rejected
from marketstream.ports import Frame
from marketstream.providers.alpha_vantage.client import AlphaVantageProvider
from marketstream.providers.alpha_vantage.config import AlphaVantageConfig
from marketstream.settings import AlphaVantageSettings, load_settings
from marketstream.testing.exactness import exactness_trades
from marketstream.testing.fakes import FakeClock
from marketstream.testing.market_trade import MarketTrade
from marketstream.testing.replay import FileSource, ReplayOptions, ReplayServer
from marketstream.testing.replay.dialect import Quota
from marketstream.testing.trades import RecordedTrades
from oracle import recomputed

SYMBOLS = ("IBM", "BAC", "AAPL")
TRADES = exactness_trades(3_000, SYMBOLS, hours=1.5)  # 2024-01-02, 9:30 to 11:00 in New York
# The first poll starts the server's market, which is another one's; what was played of ours each test says itself.
OTHER = FileSource(RecordedTrades.of([MarketTrade("OTHER", 1.0, 1.0, TRADES[0].event_time_us, "N", "buy", "1", 1)]))
NOW_US = TRADES[-1].event_time_us + 2_000_000
MINUTE = Interval.parse("1min")
KEY = "very-SECRET-key"
Key = tuple[str, int]
Values = tuple[float, float, float, float, float]


class Rest:
    """A replay server, the wall clock of both sides, and the waits of the adapter, which take no time."""

    def __init__(self, server: ReplayServer, clock: FakeClock) -> None:
        self.server = server
        self.clock = clock
        self.waits: list[float] = []
        self.on_wait: Callable[[], None] = lambda: None

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.clock.advance(seconds)
        self.on_wait()
        await asyncio.sleep(0)

    def provider(self, states: States | None = None, **own: object) -> AlphaVantageProvider:
        symbols, url = own.pop("symbols", SYMBOLS), own.pop("url", self.server.url_rest)
        endpoint = AlphaVantageSettings.model_validate(
            {"websocket_url": "", "rest_url": url, "api_key": KEY, "requests_per_minute": 75, **own}
        )
        config = AlphaVantageConfig.of(endpoint, load_settings(symbols=symbols))
        return AlphaVantageProvider(config, self.clock, states or States(), sleep=self.sleep)


@asynccontextmanager
async def replay(trades: Iterable[MarketTrade] = TRADES) -> AsyncGenerator[Rest, None]:
    clock = FakeClock(NOW_US)
    async with ReplayServer(OTHER, options=ReplayOptions(refused_keys=("refused",)), clock=clock) as server:
        server.history.add(trades)
        yield Rest(server, clock)


async def heard(stream: AsyncGenerator[Frame, None], count: int) -> list[Frame]:
    frames: list[Frame] = []
    async with aclosing(stream) as opened:
        async for frame in opened:
            frames.append(frame)
            if len(frames) == count:
                break
    return frames


async def refusal(feed: AlphaVantageProvider) -> ProviderError:
    with pytest.raises(ProviderError) as raised:
        await heard(feed.stream(), -1)
    assert KEY not in str(raised.value)
    assert raised.value.provider == "alpha_vantage"
    return raised.value


def bars_of(frames: Iterable[Frame]) -> list[Bar]:
    return [outcome for frame in frames for outcome in frame.outcomes if isinstance(outcome, Bar)]


def told(bars: Iterable[Bar]) -> dict[Key, Values]:
    return {(bar.symbol, bar.start_us): (bar.open, bar.high, bar.low, bar.close, bar.volume) for bar in bars}


async def test_the_first_round_comes_at_once_and_tells_the_newest_bars() -> None:
    states = States()
    async with replay() as rest:
        frames = await heard(rest.provider(states).stream(), 3)
    bars = bars_of(frames)
    expected = recomputed(TRADES)
    assert told(bars) == expected  # no more than the 100 minutes that an answer has
    assert [bar.start_us for bar in bars if not bar.final] == [
        max(key[1] for key in expected if key[0] == symbol) for symbol in SYMBOLS
    ]
    assert sum(rest.waits) < 3
    assert [kind for kind, _ in states.heard] == ["connected", "subscribed"]


async def test_later_rounds_tell_only_what_is_new_or_has_changed() -> None:
    newest = max(trade.event_time_us for trade in TRADES if trade.symbol == "IBM")
    edge_us = MINUTE.start_of(newest) + MINUTE.us
    more = [
        MarketTrade("IBM", 500.0, 7.0, edge_us - 1_000, "N", "buy", "9998", 9_998),
        MarketTrade("IBM", 501.0, 8.0, edge_us, "N", "buy", "9999", 9_999),
    ]
    async with replay() as rest, aclosing(rest.provider(symbols=["IBM"]).stream()) as stream:
        first = await anext(stream)
        assert bars_of([await anext(stream)]) == []
        rest.server.history.add(more[:1])
        grown = bars_of([await anext(stream)])
        rest.server.history.add(more[1:])
        over = bars_of([await anext(stream)])
    (last,) = [bar for bar in bars_of([first]) if not bar.final]
    assert [(bar.start_us, bar.close, bar.final) for bar in grown] == [(last.start_us, 500.0, False)]
    assert [(bar.start_us, bar.close, bar.final) for bar in over] == [
        (last.start_us, 500.0, True),
        (edge_us, 501.0, False),
    ]
    versions = [bar.version for bar in (last, *grown, over[0])]
    assert versions == sorted(versions)
    assert len(set(versions)) == 3


async def test_the_days_quota_lasts_the_day() -> None:
    async with replay() as rest:
        await heard(rest.provider(requests_per_day=25).stream(), 26)
        pauses = [wait for wait in rest.waits if wait > 60]
    # Three at once; 22 more until midnight, 13 hours later; the next after it.
    assert len(pauses) == 23
    assert max(pauses) < 1.1 * min(pauses)
    assert rest.clock.time_us - NOW_US == pytest.approx(13 * 3_600_000_000, rel=0.01)


async def test_its_own_count_of_the_day_is_kept_over_connections_and_history() -> None:
    async with replay() as rest:
        feed = rest.provider(symbols=["IBM"], requests_per_day=3)
        await heard(feed.stream(), 1)
        await heard(feed.stream(), 1)
        start_us = TRADES[0].event_time_us
        assert [page async for page in feed.history.bars("IBM", MINUTE, start_us, start_us + 1)]
        error = await refusal(feed)
        await feed.history.close()
    assert error.fault is Fault.DAILY_QUOTA
    assert error.retry_after_seconds == pytest.approx(13 * 3_600, abs=120)
    assert "REQUESTS_PER_DAY" in str(error)


async def test_refused_keys_are_named_and_never_shown() -> None:
    async with replay() as rest:
        error = await refusal(rest.provider(api_key="refused"))
        assert (error.fault, error.retriable) == (Fault.BAD_KEY, False)
        assert (await refusal(rest.provider(api_key=""))).fault is Fault.BAD_KEY


async def test_the_daily_quota_is_told_until_new_yorks_midnight_without_the_echoed_key() -> None:
    async with replay() as rest:
        rest.server.faults_of("alpha_vantage").quota = "daily"
        error = await refusal(rest.provider())
    assert error.fault is Fault.DAILY_QUOTA
    assert error.retry_after_seconds == pytest.approx(13 * 3_600, abs=60)
    assert "25 requests per day" in str(error)
    assert "[redacted]" in str(error)


async def test_a_burst_is_waited_out() -> None:
    async with replay() as rest:
        faults = rest.server.faults_of("alpha_vantage")
        faults.quota = "burst"

        def relent() -> None:
            if len(rest.waits) == 5:
                faults.clear()

        rest.on_wait = relent
        frames = await heard(rest.provider(symbols=["IBM"]).stream(), 1)
    assert bars_of(frames)
    assert len(rest.waits) >= 5


@pytest.mark.parametrize(("quota", "fault"), [("burst", Fault.BURST_LIMIT), ("plan", Fault.PLAN)])
async def test_what_does_not_pass_ends_the_stream(quota: Quota, fault: Fault) -> None:
    async with replay() as rest:
        rest.server.faults_of("alpha_vantage").quota = quota
        assert (await refusal(rest.provider())).fault is fault


async def test_an_unknown_symbol_is_told_and_the_rest_goes_on() -> None:
    states = States()
    async with replay() as rest:
        frames = await heard(rest.provider(states, symbol_names={"BAC": "NO_SUCH"}).stream(), 4)
        everything = await refusal(rest.provider(symbols=["BAC"], symbol_names={"BAC": "NO_SUCH"}))
    assert {bar.symbol for bar in bars_of(frames)} == {"IBM", "AAPL"}
    ((_, detail),) = [each for each in states.heard if each[0] == "refused_symbol"]
    assert detail.startswith("BAC: ")
    assert everything.fault is Fault.UNKNOWN_SYMBOL


async def test_a_server_that_is_away_is_a_networks_fault() -> None:
    async with replay() as rest:
        rest.server.faults_of("alpha_vantage").rest_away = True
        error = await refusal(rest.provider())
        assert (error.fault, error.retriable) == (Fault.NETWORK, True)


@pytest.mark.parametrize(
    "body", [b"<html>", b"[" * 5_000, b'{"Meta Data":{}}', b"\xff", b'{"x":"' + KEY.encode() + b'"}']
)
async def test_a_malformed_answer_is_refused_once_and_the_stream_goes_on(body: bytes) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async with replay() as rest, await asyncio.start_server(answer, "127.0.0.1", 0) as broken:
        url = f"http://127.0.0.1:{broken.sockets[0].getsockname()[1]}"
        first, second = await heard(rest.provider(symbols=["IBM"], url=url).stream(), 2)
    (refused,) = first.outcomes
    assert isinstance(refused, Rejected)
    assert refused.reason is Reason.MALFORMED
    assert KEY.encode() not in refused.raw
    assert second.outcomes == []


async def test_past_bars_come_month_by_month_as_recomputed() -> None:
    december = [trade._replace(event_time_us=trade.event_time_us - 40 * 86_400_000_000) for trade in TRADES]
    trades = [trade for trade in [*december, *TRADES] if trade.symbol == "IBM"]
    expected = recomputed(trades)
    starts = sorted(start_us for _, start_us in expected)
    async with replay(trades) as rest:
        history = rest.provider().history
        pages = [page async for page in history.bars("IBM", MINUTE, starts[3], starts[-3])]
        await history.close()
    assert len(pages) == 3  # November, December, January
    assert [len(page.outcomes) > 0 for page in pages] == [True, False, True]
    bars = bars_of(pages)
    assert [bar.start_us for bar in bars] == starts[3:-3]
    assert told(bars).items() <= expected.items()
    assert all(bar.final for bar in bars)


async def test_history_refuses_what_there_is_not() -> None:
    async with replay() as rest:
        feed = rest.provider()
        assert (feed.name, feed.symbols) == ("alpha_vantage", SYMBOLS)
        assert not feed.capabilities.last_trade
        history = feed.history
        for pages in (
            history.bars("IBM", Interval.parse("10s"), 0, 1),
            history.trades_between("IBM", 0, 1),
            history.trades_numbered("IBM", 0, 1),
        ):
            with pytest.raises(ProviderError) as raised:
                await anext(pages)
            assert raised.value.fault is Fault.UNSUPPORTED
        with pytest.raises(ProviderError) as raised:
            await history.last_trade_us("IBM")
        assert raised.value.fault is Fault.UNSUPPORTED
        await history.close()

"""The Finazon adapter and the replay server over real sockets."""

from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing, asynccontextmanager

import pytest

from heard import States
from marketstream.clock import SystemClock
from marketstream.domain.errors import Fault, ProviderError
from marketstream.domain.interval import Interval
from marketstream.domain.market import Bar
from marketstream.domain.outcomes import Rejected
from marketstream.ports import Clock, Frame
from marketstream.providers.finazon.client import FinazonProvider, create
from marketstream.settings import FinazonSettings, load_settings
from marketstream.testing.exactness import exactness_trades
from marketstream.testing.fakes import FakeClock
from marketstream.testing.market_trade import MarketTrade
from marketstream.testing.replay import FileSource, Pace, ReplayOptions, ReplayServer
from marketstream.testing.replay.dialect import Quota
from marketstream.testing.trades import RecordedTrades
from oracle import recomputed

SYMBOLS = ("IBM", "BAC", "AAPL")
# One trade a symbol long after the others closes all of their bars, and leaves little on the wire to be read.
LAST_US = exactness_trades(1, ["IBM"], hours=1)[0].event_time_us + 2 * 3_600_000_000
TRADES = [
    *exactness_trades(3_000, SYMBOLS, hours=1),
    *(MarketTrade(symbol, 10.0, 1.0, LAST_US, "N", "buy", "last", 1_000_000) for symbol in sorted(SYMBOLS)),
]
FILE = FileSource(RecordedTrades.of(TRADES))
KEY = "very-SECRET-key"
MINUTE_US = 60_000_000
Key = tuple[str, int]
Values = tuple[float, float, float, float, float]


@asynccontextmanager
async def replay(pace: Pace = Pace(None)) -> AsyncGenerator[ReplayServer, None]:  # noqa: B008  # immutable
    options = ReplayOptions(settle_seconds=0.02, refused_keys=("refused",))
    async with ReplayServer(FILE, pace, options=options) as server:
        yield server


def provider(
    server: ReplayServer, states: States | None = None, clock: Clock | None = None, **own: object
) -> FinazonProvider:
    symbols = own.pop("symbols", SYMBOLS)
    endpoint = FinazonSettings.model_validate(
        {
            "websocket_url": server.url_finazon,
            "rest_url": server.url_rest,
            "api_key": KEY,
            "requests_per_minute": 6_000,
            **own,
        }
    )
    return create(endpoint, load_settings(symbols=symbols), clock or SystemClock(), states or States())


async def heard(stream: AsyncGenerator[Frame, None], enough: Callable[[list[Frame]], bool]) -> list[Frame]:
    frames: list[Frame] = []
    async with aclosing(stream) as opened:
        async for frame in opened:
            frames.append(frame)
            if enough(frames):
                break
    return frames


def bars_of(frames: Iterable[Frame]) -> list[Bar]:
    return [outcome for frame in frames for outcome in frame.outcomes if isinstance(outcome, Bar)]


def upserted(bars: Iterable[Bar]) -> dict[Key, Bar]:
    """What a store holds that takes a bar's newest version."""
    stored: dict[Key, Bar] = {}
    for bar in bars:
        known = stored.get((bar.symbol, bar.start_us))
        if known is None or bar.version >= known.version:
            stored[bar.symbol, bar.start_us] = bar
    return stored


def values(bar: Bar) -> Values:
    return (bar.open, bar.high, bar.low, bar.close, bar.volume)


def last_spans(expected: dict[Key, Values]) -> set[Key]:
    return {max(key for key in expected if key[0] == symbol) for symbol in SYMBOLS}


async def refusal(feed: FinazonProvider) -> ProviderError:
    with pytest.raises(ProviderError) as raised:
        await heard(feed.stream(), lambda _: False)
    assert KEY not in str(raised.value)
    assert raised.value.provider == "finazon"
    return raised.value


@pytest.mark.parametrize("frequency", ["1s", "10s", "1m"])
async def test_bars_grow_by_revisions_and_end_as_recomputed(frequency: str) -> None:
    expected = recomputed(TRADES)
    closing = expected.keys() - last_spans(expected)
    states = States()
    async with replay() as server:
        feed = provider(server, states, frequency=frequency)
        closed: set[Key] = set()

        def all_closed(frames: list[Frame]) -> bool:
            closed.update((bar.symbol, bar.start_us) for bar in bars_of(frames[-1:]) if bar.final)
            return closed >= closing

        bars = bars_of(await heard(feed.stream(), all_closed))
    stored = upserted(bars)
    assert {key: values(stored[key]) for key in closing} == {key: expected[key] for key in closing}
    assert all(stored[key].final for key in closing)
    assert {bar.interval for bar in bars} == {"1min"}
    grown = sum(not bar.final for bar in bars)
    assert grown > len(closing) if frequency == "1s" else (grown == 0) == (frequency == "1m")
    assert [kind for kind, _ in states.heard] == ["connected", "subscribed"]
    assert states.of("connected") == [server.url_finazon]


async def test_a_refused_key_is_named_and_never_shown() -> None:
    async with replay() as server:
        error = await refusal(provider(server, api_key="refused"))
        assert (error.fault, error.retriable) == (Fault.BAD_KEY, False)
        assert "MARKETSTREAM_FINAZON__API_KEY" in str(error)
        server.faults.refuse_auth = True
        assert (await refusal(provider(server))).fault is Fault.BAD_KEY


async def test_one_bad_ticker_does_not_cancel_the_rest() -> None:
    states = States()
    async with replay() as server:
        feed = provider(server, states, symbol_names={"BAC": "NO_SUCH"})
        frames = await heard(feed.stream(), lambda frames: bars_of(frames[-1:])[-1].start_us >= LAST_US - MINUTE_US)
    assert {bar.symbol for bar in bars_of(frames)} == {"IBM", "AAPL"}
    (refused,) = states.of("refused_symbol")
    assert refused.startswith("BAC: ")
    assert "NO_SUCH" in refused


async def test_only_bad_tickers_end_the_stream() -> None:
    async with replay() as server:
        error = await refusal(provider(server, symbols=["BAC"], symbol_names={"BAC": "NO_SUCH"}))
        assert error.fault is Fault.UNKNOWN_SYMBOL


@pytest.mark.parametrize(
    ("quota", "fault"),
    [
        ("burst", Fault.BURST_LIMIT),
        ("daily", Fault.DAILY_QUOTA),
        ("bandwidth", Fault.BANDWIDTH),
        ("plan", Fault.PLAN),
        ("ban", Fault.BANNED),
    ],
)
async def test_quotas_have_their_fault_over_stream_and_rest(quota: Quota, fault: Fault) -> None:
    async with replay() as server:
        server.faults_of("finazon").set_states({"quota": quota, "retry_after_seconds": 60.0})
        feed = provider(server)
        assert (await refusal(feed)).fault is fault
        with pytest.raises(ProviderError) as raised:
            await feed.history.last_trade_us("IBM")
        assert raised.value.fault is fault
        assert KEY not in str(raised.value)
        await feed.history.close()


async def test_malformed_frames_are_refused_and_the_stream_goes_on() -> None:
    async with replay(Pace(600.0)) as server:
        server.faults_of("finazon").garbage_every = 5

        def enough(frames: list[Frame]) -> bool:
            refused = [each for frame in frames for each in frame.outcomes if isinstance(each, Rejected)]
            return len(refused) >= 5 and len(bars_of(frames)) >= 50

        frames = await heard(provider(server).stream(), enough)
    assert all(isinstance(each, Bar | Rejected) for frame in frames for each in frame.outcomes)


async def test_a_broken_connection_is_told_and_the_next_goes_on() -> None:
    async with replay(Pace(600.0)) as server:
        feed = provider(server)
        first: list[Frame] = []

        def cut_off(frames: list[Frame]) -> bool:
            first[:] = frames
            server.drop_connections("finazon")
            return False

        with pytest.raises(ProviderError) as raised:
            await heard(feed.stream(), cut_off)
        assert raised.value.fault is Fault.NETWORK
        assert raised.value.retriable
        second = await heard(feed.stream(), lambda frames: len(bars_of(frames)) >= 3)
    assert min(bar.start_us for bar in bars_of(second)) >= min(bar.start_us for bar in bars_of(first))


async def test_past_bars_come_page_after_page_as_recomputed() -> None:
    interval = Interval.parse("1s")
    trades = exactness_trades(3_000, ["IBM"], hours=1)
    expected = recomputed(trades, interval.us)
    keys = sorted(expected)
    start_us, end_us = keys[10][1], keys[-10][1]
    inside = {key: expected[key] for key in keys if start_us <= key[1] < end_us}
    async with replay() as server:
        server.history.add(trades)
        history = provider(server).history
        pages = [page async for page in history.bars("IBM", interval, start_us, end_us)]
        await history.close()
    stored = upserted(bars_of(pages))
    assert len(pages) > 1
    assert len(inside) > 1_000
    assert {key: values(bar) for key, bar in stored.items()} == inside
    assert all(bar.final for bar in stored.values())


async def test_past_bars_of_a_minute_and_the_last_trades_minute() -> None:
    expected = recomputed(TRADES)
    newest_us = max(start_us for symbol, start_us in expected if symbol == "AAPL")
    async with replay() as server:
        server.history.add(TRADES)
        history = provider(server).history
        first_us, end_us = TRADES[0].event_time_us, TRADES[-1].event_time_us + 1
        pages = [page async for page in history.bars("AAPL", Interval.parse("1min"), first_us, end_us)]
        assert await history.last_trade_us("AAPL") == newest_us
        assert await history.last_trade_us("IBM") == newest_us
        await history.close()
    wanted = {key: bar for key, bar in expected.items() if key[0] == "AAPL" and key[1] >= first_us}
    assert {key: values(bar) for key, bar in upserted(bars_of(pages)).items()} == wanted


@pytest.mark.parametrize(("frequency", "seconds"), [("1s", 1), ("10s", 10), ("1m", 60)])
async def test_a_minute_counts_as_traded_once_the_stream_must_have_told_it(frequency: str, seconds: int) -> None:
    trades = [MarketTrade("IBM", 10.0, 1.0, LAST_US + minute * MINUTE_US, None, None, "x", minute) for minute in (0, 3)]
    start_us = LAST_US - LAST_US % MINUTE_US
    clock = FakeClock(start_us + 4 * MINUTE_US + (seconds + 2) * 1_000_000)
    async with replay() as server:
        server.history.add(trades)
        history = provider(server, clock=clock, frequency=frequency).history
        assert await history.last_trade_us("IBM") == start_us + 3 * MINUTE_US
        clock.advance(-0.001)
        assert await history.last_trade_us("IBM") == start_us
        clock.advance(-4 * 60)
        assert await history.last_trade_us("IBM") is None
        await history.close()


async def test_rest_waits_out_a_burst_and_types_what_does_not_pass() -> None:
    async with replay() as server:
        server.history.add(TRADES)
        faults = server.faults_of("finazon")
        history = provider(server).history
        faults.set_states({"quota": "burst", "retry_after_seconds": 0.0}, seconds=0.05)
        assert await history.last_trade_us("IBM") is not None
        for interval in ("2min", "1d"):
            with pytest.raises(ProviderError) as raised:
                _ = [page async for page in history.bars("IBM", Interval.parse(interval), 0, 1)]
            assert raised.value.fault is Fault.UNSUPPORTED
        with pytest.raises(ProviderError) as raised:
            _ = [page async for page in history.trades_between("IBM", 0, 1)]
        assert raised.value.fault is Fault.UNSUPPORTED
        faults.refuse_auth = True
        with pytest.raises(ProviderError) as raised:
            await history.last_trade_us("IBM")
        assert raised.value.fault is Fault.BAD_KEY
        await history.close()
        bad = provider(server, symbol_names={"IBM": "NO_SUCH"}).history
        faults.clear()
        with pytest.raises(ProviderError) as raised:
            await bad.last_trade_us("IBM")
        assert raised.value.fault is Fault.UNKNOWN_SYMBOL
        await bad.close()


async def test_what_it_can_give_depends_on_the_dataset() -> None:
    async with replay() as server:
        stocks = provider(server)
        assert (stocks.name, stocks.symbols) == ("finazon", SYMBOLS)
        assert stocks.capabilities.channels == {"bars"}
        assert stocks.capabilities.asset_classes == {"equity"}
        assert provider(server, symbols=["BTCUSDT"], dataset="binance").capabilities.asset_classes == {"crypto"}

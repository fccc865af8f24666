"""The Finage adapter and the replay server over real sockets."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr
from websockets.asyncio.server import ServerConnection, serve

from heard import States, failure, outcomes, pages
from marketstream.clock import SystemClock
from marketstream.domain.errors import Fault, ProviderError
from marketstream.domain.interval import Interval
from marketstream.domain.market import Bar, Quote, Tick
from marketstream.domain.outcomes import Parsed, Rejected
from marketstream.domain.symbols import asset_class_of
from marketstream.providers.finage.client import FinageProvider, create
from marketstream.providers.finage.config import FinageConfig
from marketstream.settings import FinageSettings, load_settings
from marketstream.testing.exactness import exactness_trades
from marketstream.testing.market_trade import MarketTrade
from marketstream.testing.replay import FileSource, Pace, ReplayOptions, ReplayServer
from marketstream.testing.replay.dialect import Quota
from marketstream.testing.replay.quotes import quote_at
from marketstream.testing.trades import RecordedTrades
from oracle import recomputed_of

SYMBOLS = ("IBM", "BTCUSD", "GBPUSD")
TRADES = exactness_trades(900, SYMBOLS, hours=1)
TRADED = sum(trade.symbol != "GBPUSD" for trade in TRADES)  # currencies have only quotes
FILE = FileSource(RecordedTrades.of(TRADES))
SOCKET_KEY, REST_KEY = "socket-SECRET-key", "rest-SECRET-key"
MAX = Pace(None)


@asynccontextmanager
async def replay(pace: Pace = MAX) -> AsyncGenerator[ReplayServer, None]:
    options = ReplayOptions(settle_seconds=0.02, refused_keys=("refused",))
    async with ReplayServer(FILE, pace, options=options) as server:
        yield server


def provider(server: ReplayServer, states: States | None = None, **own: Any) -> FinageProvider:
    settings = load_settings(
        symbols=own.pop("symbols", SYMBOLS), ingest={"channels": own.pop("channels", ["trades", "quotes"])}
    )
    defaults = {"api_key": SOCKET_KEY, "rest_api_key": REST_KEY, "requests_per_minute": 60_000}
    endpoint = {"websocket_url": server.url_finage, "rest_url": server.url_rest, **defaults, **own}
    return create(FinageSettings.model_validate(endpoint), settings, SystemClock(), states or States())


def ticks(found: list[Parsed]) -> list[Tick]:
    return [each for each in found if isinstance(each, Tick)]


def quotes(found: list[Parsed]) -> list[Quote]:
    return [each for each in found if isinstance(each, Quote)]


def content(trade: MarketTrade | Tick) -> tuple[Any, ...]:
    return (trade.symbol, trade.price, trade.size, trade.event_time_us)


def quoted(trade: MarketTrade) -> tuple[Any, ...]:
    quote = quote_at(trade)
    sizes = (0.0, 0.0) if asset_class_of(trade.symbol) == "forex" else (quote.bid_size, quote.ask_size)
    return (trade.symbol, quote.bid_price, quote.ask_price, *sizes, trade.event_time_us)


async def test_every_trade_and_quote_of_every_market_is_heard() -> None:
    traded = [trade for trade in TRADES if trade.symbol != "GBPUSD"]
    told = [quoted(trade) for trade in TRADES if trade.symbol != "BTCUSD"]
    states = States()
    async with replay() as server:
        stream = provider(server, states).stream()
        found = await outcomes(stream, lambda so_far: len(so_far) == len(traded) + len(told))
    assert list(map(content, ticks(found))) == list(map(content, traded))
    assert [
        (each.symbol, each.bid_price, each.ask_price, each.bid_size, each.ask_size, each.event_time_us)
        for each in quotes(found)
    ] == told
    assert {each.symbol: each.asset_class for each in (*ticks(found), *quotes(found))} == {
        "IBM": "equity",
        "BTCUSD": "crypto",
        "GBPUSD": "forex",
    }
    assert states.heard == [("connected", server.url_finage), ("subscribed", "3 symbols")]


async def test_trades_alone_leave_the_quotes_of_what_trades_out() -> None:
    async with replay() as server:
        stream = provider(server, channels=["trades"]).stream()
        found = await outcomes(stream, lambda so_far: len(so_far) == len(TRADES))
    assert {each.symbol for each in ticks(found)} == {"IBM", "BTCUSD"}
    assert {each.symbol for each in quotes(found)} == {"GBPUSD"}  # which has nothing else


async def test_a_market_may_have_a_server_of_its_own() -> None:
    states = States()
    async with replay(Pace(600.0)) as server:
        feed = provider(server, states, forex_websocket_url=server.url_finage + "/forex")
        found = await outcomes(feed.stream(), lambda so_far: len({each.symbol for each in so_far}) == 3)
    assert sorted(states.kinds) == ["connected", "connected", "subscribed", "subscribed"]
    assert {detail for kind, detail in states.heard if kind == "subscribed"} == {"1 symbols", "2 symbols"}
    assert not any(isinstance(each, Rejected) for each in found)


@pytest.mark.parametrize(("key", "words"), [("refused", "invalid socket key"), ("", "use your socket key")])
async def test_a_refused_key_is_told_and_never_shown(key: str, words: str) -> None:
    async with replay() as server:
        error = await failure(provider(server, api_key=key), key or REST_KEY)
        assert (error.fault, error.retriable) == (Fault.BAD_KEY, False)
        assert words in str(error)
        assert "MARKETSTREAM_FINAGE__API_KEY" in str(error)


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
        server.faults_of("finage").set_states({"quota": quota, "retry_after_seconds": 60.0})
        feed = provider(server)
        assert (await failure(feed, SOCKET_KEY)).fault is fault
        with pytest.raises(ProviderError) as raised:
            await feed.history.last_trade_us("IBM")
        assert raised.value.fault is fault
        assert raised.value.retry_after_seconds == 60.0
        assert REST_KEY not in str(raised.value)
        await feed.history.close()


async def test_one_refused_symbol_does_not_stop_the_rest() -> None:
    states = States()
    async with replay(Pace(600.0)) as server:

        def refused_and_more(so_far: list[Parsed]) -> bool:
            if len(so_far) == 1:
                server.inject("400 - please check the symbol GBP/USD", "finage")
            return "refused_symbol" in states.kinds

        await outcomes(provider(server, states).stream(), refused_and_more)
    assert states.heard[-1] == ("refused_symbol", "please check the symbol GBP/USD")


async def test_malformed_frames_are_refused_and_the_stream_goes_on() -> None:
    async with replay() as server:
        server.faults_of("finage").garbage_every = 5
        found = await outcomes(provider(server).stream(), lambda so_far: len(ticks(so_far)) == TRADED)
    refused = [each for each in found if isinstance(each, Rejected)]
    assert len(refused) >= 100
    assert all(each.provider == "finage" for each in refused)


async def test_an_echoed_key_is_in_no_dead_letter() -> None:
    async with replay(Pace(600.0)) as server:

        def echoed(so_far: list[Parsed]) -> bool:
            if len(so_far) == 1:
                server.inject(f'{{"s":"{SOCKET_KEY}","p":-1,"v":1,"t":1}}', "finage")
            return any(isinstance(each, Rejected) for each in so_far)

        found = await outcomes(provider(server).stream(), echoed)
    assert SOCKET_KEY not in repr(found)
    assert "[redacted]" in repr(found)


async def test_a_broken_connection_is_told_and_the_next_goes_on_with_the_same_identities() -> None:
    async with replay(Pace(600.0)) as server:
        feed = provider(server)

        def cut_off(so_far: list[Parsed]) -> bool:
            server.drop_connections("finage")
            return False

        with pytest.raises(ProviderError) as raised:
            await outcomes(feed.stream(), cut_off)
        assert (raised.value.fault, raised.value.retriable) == (Fault.NETWORK, True)
        server.faults_of("finage").duplicate = True
        found = await outcomes(feed.stream(), lambda so_far: len(ticks(so_far)) >= 40)
    ids = [(each.symbol, each.trade_id) for each in ticks(found)]
    assert len(set(ids)) <= len(ids) // 2 + 1


async def test_a_server_that_never_lets_in_is_silent() -> None:
    async def say_nothing(connection: ServerConnection) -> None:
        await connection.wait_closed()

    async with serve(say_nothing, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        endpoint = FinageSettings(websocket_url=f"ws://127.0.0.1:{port}", rest_url="", api_key=SecretStr(SOCKET_KEY))
        config = replace(FinageConfig.of(endpoint, load_settings(symbols=SYMBOLS)), handshake_seconds=0.05)
        assert (await failure(FinageProvider(config, SystemClock()), SOCKET_KEY)).fault is Fault.SILENT


@pytest.mark.parametrize("symbol", SYMBOLS)
@pytest.mark.parametrize("name", ["1min", "5min", "1h"])
async def test_past_bars_are_as_recomputed(symbol: str, name: str) -> None:
    interval = Interval.parse(name)
    start_us, end_us = TRADES[0].event_time_us - 10 * 86_400_000_000, TRADES[-1].event_time_us - 600_000_000
    async with replay() as server:
        server.history.add(TRADES)
        history = provider(server).history
        found = await pages(history.bars(symbol, interval, start_us, end_us))
        await history.close()
    bars = [each for page in found for each in page]
    assert all(isinstance(each, Bar) and each.final and each.provider == "finage" for each in bars)
    expected = recomputed_of(TRADES, symbol, interval.us, start_us, end_us)
    assert {each.start_us: (each.open, each.high, each.low, each.close, each.volume) for each in bars} == expected
    assert [each.start_us for each in bars] == sorted(each.start_us for each in bars)


async def test_a_long_past_comes_in_pages_without_overlap() -> None:
    interval = Interval.parse("1min")
    days = [TRADES[0]._replace(event_time_us=TRADES[0].event_time_us + day * 86_400_000_000) for day in range(40)]
    async with replay() as server:
        server.history.add(days)
        history = provider(server).history
        found = await pages(history.bars(days[0].symbol, interval, days[0].event_time_us, days[-1].event_time_us + 1))
        await history.close()
    assert len(found) > 1
    starts = [each.start_us for page in found for each in page if isinstance(each, Bar)]
    began = [interval.start_of(trade.event_time_us) for trade in days]
    assert starts == [start for start in began if start >= days[0].event_time_us]
    assert len(starts) >= 39


@pytest.mark.parametrize(("symbol", "unit_us"), [("IBM", 1_000), ("BTCUSD", 1_000), ("GBPUSD", 1_000_000)])
async def test_the_last_trades_time(symbol: str, unit_us: int) -> None:
    newest_us = max(trade.event_time_us for trade in TRADES if trade.symbol == symbol)
    async with replay() as server:
        server.history.add(TRADES)
        history = provider(server).history
        assert await history.last_trade_us(symbol) == newest_us // unit_us * unit_us
        await history.close()


async def test_rest_types_what_it_refuses() -> None:
    async with replay() as server:
        server.history.add(TRADES)
        faults = server.faults_of("finage")
        history = provider(server).history
        faults.set_states({"quota": "burst", "retry_after_seconds": 0.0}, seconds=0.05)
        assert await history.last_trade_us("IBM") is not None
        for interval in ("1s", "90s", "1d"):
            with pytest.raises(ProviderError) as raised:
                await pages(history.bars("IBM", Interval.parse(interval), 0, 1))
            assert raised.value.fault is Fault.UNSUPPORTED
        with pytest.raises(ProviderError) as raised:
            await pages(history.trades_between("IBM", 0, 1))
        assert raised.value.fault is Fault.UNSUPPORTED
        faults.refuse_auth = True
        with pytest.raises(ProviderError) as raised:
            await history.last_trade_us("IBM")
        assert raised.value.fault is Fault.BAD_KEY
        assert REST_KEY not in str(raised.value)
        faults.clear()
        await history.close()
        unknown = provider(server, symbol_names={"IBM": "NOPE"}).history
        with pytest.raises(ProviderError) as raised:
            await unknown.last_trade_us("IBM")
        assert raised.value.fault is Fault.UNKNOWN_SYMBOL
        await unknown.close()


async def test_what_it_can_give() -> None:
    async with replay() as server:
        feed = provider(server, symbols=[*SYMBOLS, "BTCUSDT-PERP"])
        assert (feed.name, feed.symbols) == ("finage", SYMBOLS)
        assert feed.capabilities.channels == {"trades", "quotes"}
        assert feed.capabilities.past_bars
        assert not feed.capabilities.past_trades

"""The FMP adapter and the replay server over real sockets."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from pydantic import SecretStr
from websockets.asyncio.server import ServerConnection, serve

from heard import States, failure, outcomes, pages
from marketstream.clock import SystemClock
from marketstream.domain.errors import Fault, ProviderError
from marketstream.domain.interval import Interval
from marketstream.domain.market import Bar, Cancel, Quote, Tick
from marketstream.domain.outcomes import Parsed, Rejected
from marketstream.providers.fmp.client import FmpProvider, create
from marketstream.providers.fmp.config import FmpConfig
from marketstream.providers.times import EASTERN
from marketstream.settings import FmpSettings, load_settings
from marketstream.testing.exactness import exactness_trades
from marketstream.testing.replay import FileSource, Pace, ReplayOptions, ReplayServer
from marketstream.testing.replay.dialect import Quota
from marketstream.testing.replay.quotes import quote_at
from marketstream.testing.trades import RecordedTrades
from oracle import recomputed_of

SYMBOLS = ("BRK.B", "BTCUSD", "EURUSD")
TRADES = exactness_trades(900, SYMBOLS, hours=1)
FILE = FileSource(RecordedTrades.of(TRADES))
KEY = "very-SECRET-key"
MAX = Pace(None)


@asynccontextmanager
async def replay(pace: Pace = MAX) -> AsyncGenerator[ReplayServer, None]:
    # As fast as taken, the market must not begin before all hosts have been subscribed to.
    settle_seconds = 0.25 if pace is MAX else 0.02
    options = ReplayOptions(settle_seconds=settle_seconds, refused_keys=("refused",))
    async with ReplayServer(FILE, pace, options=options) as server:
        yield server


def provider(server: ReplayServer, states: States | None = None, **own: Any) -> FmpProvider:
    settings = load_settings(
        symbols=own.pop("symbols", SYMBOLS), ingest={"channels": own.pop("channels", ["trades", "quotes"])}
    )
    endpoint = {
        "websocket_url": server.url_fmp,
        "crypto_websocket_url": server.url_fmp + "/crypto",
        "forex_websocket_url": server.url_fmp + "/forex",
        "rest_url": server.url_rest,
        "api_key": KEY,
        "requests_per_minute": 60_000,
        **own,
    }
    return create(FmpSettings.model_validate(endpoint), settings, SystemClock(), states or States())


def ticks(found: list[Parsed]) -> list[Tick]:
    return [each for each in found if isinstance(each, Tick)]


def of_symbol(found: list[Any], symbol: str) -> list[tuple[Any, ...]]:
    return [(each.price, each.size, each.event_time_us) for each in found if each.symbol == symbol]


async def test_every_trade_and_quote_of_every_host_is_heard() -> None:
    states = States()
    async with replay() as server:
        found = await outcomes(provider(server, states).stream(), lambda so_far: len(so_far) == 2 * len(TRADES))
    for symbol in SYMBOLS:
        traded = [trade for trade in TRADES if trade.symbol == symbol]
        assert of_symbol(ticks(found), symbol) == of_symbol(traded, symbol)
        quotes = [each for each in found if isinstance(each, Quote) and each.symbol == symbol]
        told = [(each.bid_price, each.bid_size, each.ask_price, each.ask_size) for each in quotes]
        assert told == [tuple(quote_at(trade)) for trade in traded]
        assert [each.event_time_us for each in quotes] == [trade.event_time_us for trade in traded]
    classes = {each.symbol: each.asset_class for each in ticks(found)}
    assert classes == {"BRK.B": "equity", "BTCUSD": "crypto", "EURUSD": "forex"}
    assert sorted(states.kinds) == ["connected"] * 3 + ["subscribed"] * 3
    assert {detail for kind, detail in states.heard if kind == "connected"} == {
        server.url_fmp,
        server.url_fmp + "/crypto",
        server.url_fmp + "/forex",
    }


@pytest.mark.parametrize(("channel", "kind"), [("trades", Tick), ("quotes", Quote)])
async def test_what_was_not_asked_for_is_left_out_but_currencies_quotes(channel: str, kind: type) -> None:
    async with replay() as server:
        stream = provider(server, channels=[channel]).stream()
        found = await outcomes(stream, lambda so_far: sum(type(each) is kind for each in so_far) == len(TRADES))
    assert {type(each) for each in found if each.symbol != "EURUSD"} == {kind}
    assert {type(each) for each in found if each.symbol == "EURUSD"} == {kind, Quote}


@pytest.mark.parametrize("symbol", SYMBOLS)
async def test_a_break_names_the_trade_it_takes_back(symbol: str) -> None:
    async with replay(Pace(600.0)) as server:

        def cancelled(so_far: list[Parsed]) -> bool:
            if not any(isinstance(each, Cancel) for each in so_far):
                server.cancel(symbol, "fmp")
                return False
            return True

        found = await outcomes(provider(server, channels=["trades"], symbols=[symbol]).stream(), cancelled)
    (cancel,) = [each for each in found if isinstance(each, Cancel)]
    (tick,) = [each for each in ticks(found) if each.trade_id == cancel.trade_id]
    assert (tick.symbol, tick.price, tick.size) == (cancel.symbol, cancel.price, cancel.size) != (None, 0, 0)
    assert tick.event_time_us == cancel.event_time_us


async def test_a_refused_key_is_told_and_never_shown() -> None:
    async with replay() as server:
        error = await failure(provider(server, api_key="refused"), "refused-not", KEY)
        assert (error.fault, error.retriable) == (Fault.BAD_KEY, False)
        assert "MARKETSTREAM_FMP__API_KEY" in str(error)
        server.faults.refuse_auth = True
        assert (await failure(provider(server), KEY)).fault is Fault.BAD_KEY


@pytest.mark.parametrize(
    ("quota", "fault"),
    [
        ("burst", Fault.BURST_LIMIT),
        ("daily", Fault.BURST_LIMIT),  # FMP has one wording for both
        ("bandwidth", Fault.BANDWIDTH),
        ("plan", Fault.PLAN),
        ("ban", Fault.BANNED),
    ],
)
async def test_quotas_have_their_fault_over_the_stream(quota: Quota, fault: Fault) -> None:
    async with replay() as server:
        server.faults_of("fmp").quota = quota
        assert (await failure(provider(server), KEY)).fault is fault


@pytest.mark.parametrize(
    ("quota", "fault"), [("bandwidth", Fault.BANDWIDTH), ("plan", Fault.PLAN), ("ban", Fault.BANNED)]
)
async def test_quotas_have_their_fault_over_rest(quota: Quota, fault: Fault) -> None:
    async with replay() as server:
        server.faults_of("fmp").quota = quota
        history = provider(server).history
        with pytest.raises(ProviderError) as raised:
            await history.last_trade_us("BTCUSD")
        assert raised.value.fault is fault
        assert KEY not in str(raised.value)
        await history.close()


async def test_one_refused_symbol_does_not_stop_the_rest_and_all_of_them_do() -> None:
    refusal = '{"event":"subscribe","status":401,"message":"You are not authorized to subscribe to: %s"}'
    states = States()
    async with replay(Pace(600.0)) as server:
        feed = provider(server, states, symbols=["BRK.B", "IBM"])

        def refused_and_more(so_far: list[Parsed]) -> bool:
            if len(so_far) == 1:
                server.inject(refusal % "ibm", "fmp")
            return "refused_symbol" in states.kinds

        await outcomes(feed.stream(), refused_and_more)
        assert states.heard[-1] == ("refused_symbol", "You are not authorized to subscribe to: ibm")

        def refuse_all(so_far: list[Parsed]) -> bool:
            server.inject(refusal % "brk-b, ibm", "fmp")
            return False

        with pytest.raises(ProviderError) as raised:
            await outcomes(feed.stream(), refuse_all)
        assert raised.value.fault is Fault.PLAN


@pytest.mark.parametrize(
    ("answer", "fault", "retriable"),
    [
        ('{"message":"Unauthorized"}', Fault.BAD_KEY, False),
        ('{"event":"login","status":401,"message":"Connected from another location"}', Fault.SHUTDOWN, True),
        ('{"event":"error","status":429,"message":"Limit Reach . Please upgrade your plan"}', Fault.BURST_LIMIT, True),
    ],
)
async def test_refusals_in_mid_stream_end_it(answer: str, fault: Fault, retriable: bool) -> None:
    async with replay(Pace(600.0)) as server:

        def refuse(so_far: list[Parsed]) -> bool:
            server.inject(answer, "fmp")
            return False

        with pytest.raises(ProviderError) as raised:
            await outcomes(provider(server).stream(), refuse)
        assert (raised.value.fault, raised.value.retriable) == (fault, retriable)


async def test_malformed_frames_are_refused_and_the_stream_goes_on() -> None:
    async with replay() as server:
        server.faults_of("fmp").garbage_every = 5
        found = await outcomes(provider(server).stream(), lambda so_far: len(ticks(so_far)) == len(TRADES))
    refused = [each for each in found if isinstance(each, Rejected)]
    assert len(refused) >= 100
    assert all(each.provider == "fmp" for each in refused)


async def test_an_echoed_key_is_in_no_dead_letter() -> None:
    async with replay(Pace(600.0)) as server:

        def echoed(so_far: list[Parsed]) -> bool:
            if len(so_far) == 1:
                server.inject(f'{{"s":"{KEY}","type":"T","lp":-1,"ls":1,"t":1}}', "fmp")
            return any(isinstance(each, Rejected) for each in so_far)

        found = await outcomes(provider(server).stream(), echoed)
    assert KEY not in repr(found)
    assert "[redacted]" in repr(found)


async def test_a_broken_connection_is_told_and_the_next_goes_on_with_the_same_identities() -> None:
    async with replay(Pace(600.0)) as server:
        feed = provider(server, channels=["trades"])

        def cut_off(so_far: list[Parsed]) -> bool:
            server.drop_connections("fmp")
            return False

        with pytest.raises(ProviderError) as raised:
            await outcomes(feed.stream(), cut_off)
        assert (raised.value.fault, raised.value.retriable) == (Fault.NETWORK, True)
        server.faults_of("fmp").duplicate = True
        found = await outcomes(feed.stream(), lambda so_far: len(so_far) >= 40)
    ids = [(each.symbol, each.trade_id) for each in ticks(found)]
    assert len(set(ids)) <= len(ids) // 2 + 2


async def test_a_login_without_an_answer_is_silence() -> None:
    async def say_nothing(connection: ServerConnection) -> None:
        await connection.wait_closed()

    async with serve(say_nothing, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        endpoint = FmpSettings(websocket_url=f"ws://127.0.0.1:{port}", rest_url="", api_key=SecretStr(KEY))
        config = replace(FmpConfig.of(endpoint, load_settings(symbols=["IBM"])), handshake_seconds=0.05)
        assert (await failure(FmpProvider(config, SystemClock()), KEY)).fault is Fault.SILENT


@pytest.mark.parametrize("symbol", SYMBOLS)
@pytest.mark.parametrize("name", ["1min", "5min", "15min", "30min", "1h"])
async def test_past_bars_are_as_recomputed(symbol: str, name: str) -> None:
    interval = Interval.parse(name)
    start_us, end_us = TRADES[0].event_time_us - 86_400_000_000, TRADES[-1].event_time_us - 600_000_000
    expected = recomputed_of(TRADES, symbol, interval.us, start_us, end_us)
    async with replay() as server:
        server.history.add(TRADES)
        history = provider(server).history
        found = await pages(history.bars(symbol, interval, start_us, end_us))
        await history.close()
    bars = [each for page in found for each in page]
    assert all(isinstance(each, Bar) and each.final and each.provider == "fmp" for each in bars)
    assert {each.start_us: (each.open, each.high, each.low, each.close, each.volume) for each in bars} == expected
    assert [each.start_us for each in bars] == sorted(expected)


@pytest.mark.parametrize("around", ["2025-03-09", "2025-11-02", "2025-12-31"])
async def test_days_come_one_after_another_over_the_clocks_change_too(around: str) -> None:
    interval = Interval.parse("1min")
    noon_us = int(datetime.fromisoformat(f"{around} 12:00").replace(tzinfo=EASTERN).timestamp()) * 1_000_000
    times = [noon_us + hours * 3_600_000_000 for hours in range(-48, 48, 5)]
    trades = [TRADES[0]._replace(event_time_us=time_us, sequence=number) for number, time_us in enumerate(times)]
    async with replay() as server:
        server.history.add(trades)
        history = provider(server).history
        found = await pages(history.bars(trades[0].symbol, interval, times[0], times[-1] + 1))
        await history.close()
    assert [each.start_us for page in found for each in page if isinstance(each, Bar)] == times
    assert len(found) == 5


@pytest.mark.parametrize("symbol", SYMBOLS)
async def test_the_last_trades_time_is_of_whole_seconds(symbol: str) -> None:
    newest_us = max(trade.event_time_us for trade in TRADES if trade.symbol == symbol)
    async with replay() as server:
        server.history.add(TRADES)
        history = provider(server).history
        assert await history.last_trade_us(symbol) == newest_us // 1_000_000 * 1_000_000
        await history.close()


async def test_rest_waits_out_a_burst_and_types_what_does_not_pass() -> None:
    async with replay() as server:
        history = provider(server).history
        assert await history.last_trade_us("BTCUSD") is None
        server.history.add(TRADES)
        faults = server.faults_of("fmp")
        faults.set_states({"quota": "burst"}, seconds=0.05)
        assert await history.last_trade_us("BTCUSD") is not None
        for interval in ("1s", "2min", "1d"):
            with pytest.raises(ProviderError) as raised:
                await pages(history.bars("BTCUSD", Interval.parse(interval), 0, 1))
            assert raised.value.fault is Fault.UNSUPPORTED
        with pytest.raises(ProviderError) as raised:
            await pages(history.trades_numbered("BTCUSD", 0, 1))
        assert raised.value.fault is Fault.UNSUPPORTED
        faults.refuse_auth = True
        with pytest.raises(ProviderError) as raised:
            await history.last_trade_us("BTCUSD")
        assert raised.value.fault is Fault.BAD_KEY  # though the answer's status was 200
        assert KEY not in str(raised.value)
        await history.close()


async def test_what_it_can_give() -> None:
    async with replay() as server:
        feed = provider(server, symbols=[*SYMBOLS, "WTI"])
        assert (feed.name, feed.symbols) == ("fmp", SYMBOLS)
        assert feed.capabilities.channels == {"trades", "quotes"}
        assert feed.capabilities.cancels
        assert not feed.capabilities.past_trades

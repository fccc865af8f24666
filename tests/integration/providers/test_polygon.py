"""The Polygon adapter and the replay server over real sockets."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import orjson
import pytest
from websockets.asyncio.server import ServerConnection, serve

from heard import States
from marketstream.clock import SystemClock
from marketstream.domain.errors import Fault, ProviderError
from marketstream.domain.interval import Interval
from marketstream.domain.market import Bar, Quote, Tick
from marketstream.domain.outcomes import Rejected
from marketstream.ports import Frame
from marketstream.providers.polygon.client import PolygonProvider, create
from marketstream.providers.polygon.config import PolygonConfig
from marketstream.providers.polygon.history import PolygonHistory
from marketstream.settings import PolygonSettings, load_settings
from marketstream.testing.exactness import exactness_trades
from marketstream.testing.replay import FileSource, Pace, ReplayOptions, ReplayServer
from marketstream.testing.replay.history import PlayedHistory
from marketstream.testing.trades import RecordedTrades

SYMBOLS = ("IBM", "BAC", "AAPL")
TRADES = exactness_trades(1_200, SYMBOLS, hours=0.5)
PLAYED = PlayedHistory()
PLAYED.add(TRADES)
FIRST_US, LAST_US = TRADES[0].event_time_us, TRADES[-1].event_time_us
KEY = "very-SECRET-key"
MINUTE = Interval.parse("1min")


@asynccontextmanager
async def replay(pace: Pace = Pace(None)) -> AsyncGenerator[ReplayServer, None]:  # noqa: B008  # immutable
    options = ReplayOptions(settle_seconds=0.02, refused_keys=("refused",))
    async with ReplayServer(FileSource(RecordedTrades.of(TRADES)), pace, options=options) as server:
        yield server


def endpoint(stream: str, rest: str = "", key: str = KEY) -> PolygonSettings:
    return PolygonSettings(websocket_url=stream, rest_url=rest, api_key=key, requests_per_minute=6_000)


def provider(
    server: ReplayServer, *channels: str, states: States | None = None, key: str = KEY, intervals: str = "1min"
) -> PolygonProvider:
    settings = load_settings(
        symbols=SYMBOLS, ingest={"channels": channels or ("trades",)}, streaming={"intervals": intervals}
    )
    return create(endpoint(server.url_polygon, server.url_rest, key), settings, SystemClock(), states or States())


async def heard(stream: AsyncGenerator[Frame, None], enough: Callable[[list[Any]], bool]) -> list[Any]:
    outcomes: list[Any] = []
    async with aclosing(stream) as opened:
        async for frame in opened:
            outcomes += frame.outcomes
            if enough(outcomes):
                break
    return outcomes


async def all_trades(server: ReplayServer) -> list[Tick]:
    ticks = await heard(provider(server).stream(), lambda outcomes: len(outcomes) == len(TRADES))
    assert all(isinstance(tick, Tick) for tick in ticks)
    return ticks


def identity(tick: Tick) -> tuple[Any, ...]:
    """Everything but when it came."""
    fields = ("symbol", "price", "size", "event_time_us", "provider", "trade_id", "sequence", "exchange", "conditions")
    return tuple(getattr(tick, field) for field in fields)


async def test_trades_come_once_and_in_order() -> None:
    states = States()
    async with replay() as server:
        stream = provider(server, states=states).stream()
        ticks = await heard(stream, lambda outcomes: len(outcomes) == len(TRADES))
    expected = [(trade.symbol, trade.price, trade.size, trade.event_time_us, trade.sequence) for trade in TRADES]
    assert [(tick.symbol, tick.price, tick.size, tick.event_time_us, tick.sequence) for tick in ticks] == expected
    assert [kind for kind, _ in states.heard] == ["connected", "subscribed"]


async def test_quotes_come_beside_trades() -> None:
    async with replay() as server:
        stream = provider(server, "trades", "quotes").stream()
        outcomes = await heard(stream, lambda outcomes: len(outcomes) == 2 * len(TRADES))
    assert [type(outcome) for outcome in outcomes[:4]] == [Tick, Quote, Tick, Quote]
    for tick, quote in zip(outcomes[::2], outcomes[1::2], strict=True):
        assert (quote.symbol, quote.event_time_us) == (tick.symbol, tick.event_time_us)
        assert quote.bid_price <= tick.price <= quote.ask_price
        assert quote.bid_size % 100 == quote.ask_size % 100 == 0


@pytest.mark.parametrize(("intervals", "names"), [("1min", {"1min"}), ("1s,1min", {"1s", "1min"})])
async def test_bars_are_those_of_the_trades(intervals: str, names: set[str]) -> None:
    expected = {
        (symbol, "1min", bar.start_us): (bar.open, bar.high, bar.low, bar.close, bar.volume, bar.vwap)
        for symbol in SYMBOLS
        for bar in list(PLAYED.bars(symbol, MINUTE.us, FIRST_US, LAST_US))[:-1]  # the last of each is never closed
    }
    async with replay() as server:
        stream = provider(server, "bars", intervals=intervals).stream()
        bars = await heard(stream, lambda bars: sum(bar.interval == "1min" for bar in bars) == len(expected))
    assert {bar.interval for bar in bars} == names
    minutes = [bar for bar in bars if bar.interval == "1min"]
    assert {
        (bar.symbol, bar.interval, bar.start_us): (bar.open, bar.high, bar.low, bar.close, bar.volume, bar.vwap)
        for bar in minutes
    } == expected
    assert all(bar.final and bar.provider == "polygon" for bar in bars)


async def test_the_past_equals_the_stream() -> None:
    async with replay() as server:
        ticks = await all_trades(server)
        symbol, start_us, end_us = "IBM", TRADES[100].event_time_us, TRADES[900].event_time_us
        config = PolygonConfig.of(endpoint(server.url_polygon, server.url_rest), load_settings(symbols=SYMBOLS))
        history = PolygonHistory(config, SystemClock(), page_records=50)
        pages = [frame async for frame in history.trades_between(symbol, start_us, end_us)]
        assert await history.last_trade_us(symbol) == PLAYED.last(symbol).event_time_us  # type: ignore[union-attr]
        await history.close()
    streamed = [tick for tick in ticks if tick.symbol == symbol and start_us <= tick.event_time_us < end_us]
    fetched = [outcome for page in pages for outcome in page.outcomes]
    assert [identity(tick) for tick in fetched] == [identity(tick) for tick in streamed]
    assert len(pages) == -(-len(streamed) // 50) > 2


async def test_past_bars_have_their_counts_and_only_whole_ones_are_final() -> None:
    async with replay() as server:
        await all_trades(server)
        config = PolygonConfig.of(endpoint(server.url_polygon, server.url_rest), load_settings(symbols=SYMBOLS))
        history = PolygonHistory(config, SystemClock(), page_records=7)
        start_us, end_us = MINUTE.start_of(FIRST_US) + 1, LAST_US
        bars = [
            outcome
            async for page in history.bars("BAC", MINUTE, start_us, end_us)
            for outcome in page.outcomes
            if isinstance(outcome, Bar)
        ]
        with pytest.raises(ProviderError) as caught:
            [page async for page in history.bars("BAC", Interval.parse("4h"), start_us, end_us)]
        await history.close()
    expected = [
        (bar.start_us, bar.open, bar.high, bar.low, bar.close, bar.volume, bar.vwap, bar.trade_count)
        for bar in PLAYED.bars("BAC", MINUTE.us, start_us, end_us)
    ]
    found = [
        (bar.start_us, bar.open, bar.high, bar.low, bar.close, bar.volume, bar.vwap, bar.trade_count) for bar in bars
    ]
    assert found == expected
    assert all(bar.final for bar in bars)  # of years ago
    assert caught.value.fault is Fault.UNSUPPORTED


async def test_a_symbol_that_never_traded_has_no_last_trade() -> None:
    async with replay() as server:
        history = provider(server).history
        assert await history.last_trade_us("IBM") is None
        await history.close()


@pytest.mark.parametrize(
    ("quota", "fault"), [("plan", Fault.PLAN), ("burst", Fault.NETWORK), ("bandwidth", Fault.NETWORK)]
)
async def test_a_refused_connection_says_why(quota: Any, fault: Fault) -> None:
    async with replay() as server:
        server.faults_of("polygon").set_states({"quota": quota})
        with pytest.raises(ProviderError) as caught:
            await heard(provider(server).stream(), bool)
    assert caught.value.fault is fault


async def test_a_refused_key_is_said_by_stream_and_rest_and_never_shown() -> None:
    async with replay() as server:
        feed = provider(server, key="refused")
        with pytest.raises(ProviderError) as on_stream:
            await heard(feed.stream(), bool)
        with pytest.raises(ProviderError) as over_rest:
            await feed.history.last_trade_us("IBM")
        await feed.history.close()
    assert on_stream.value.fault is over_rest.value.fault is Fault.BAD_KEY
    assert "refused:" not in str(on_stream.value)


@pytest.mark.parametrize(("quota", "fault"), [("plan", Fault.PLAN), ("burst", Fault.BURST_LIMIT)])
async def test_rest_quotas_are_faults(quota: Any, fault: Fault) -> None:
    async with replay() as server:
        server.faults_of("polygon").set_states({"quota": quota, "retry_after_seconds": 31.0})
        history = provider(server).history
        with pytest.raises(ProviderError) as caught:
            await history.last_trade_us("IBM")
        await history.close()
    assert caught.value.fault is fault
    assert caught.value.retry_after_seconds == (31.0 if fault is Fault.BURST_LIMIT else None)


async def test_a_rest_error_that_passes_is_waited_out() -> None:
    async with replay() as server:
        await all_trades(server)
        server.faults_of("polygon").set_states({"rest_away": True}, seconds=0.3)
        history = provider(server).history
        assert await history.last_trade_us("IBM") is not None
        await history.close()


async def test_malformed_frames_are_refused_and_the_rest_goes_on() -> None:
    async with replay() as server:
        server.faults_of("polygon").set_states({"garbage_every": 1})

        def done(outcomes: list[Any]) -> bool:
            return sum(isinstance(outcome, Tick) for outcome in outcomes) == len(TRADES)

        outcomes = await heard(provider(server).stream(), done)
    assert any(isinstance(outcome, Rejected) for outcome in outcomes)


async def test_a_cut_connection_is_a_network_error_and_the_next_one_goes_on() -> None:
    async with replay() as server:
        feed = provider(server)
        with pytest.raises(ProviderError) as caught:
            await heard(feed.stream(), lambda _: server.faults_of("polygon").drop() > 1)
        assert caught.value.fault is Fault.NETWORK
        assert await heard(feed.stream(), bool)


def said(*statuses: tuple[str, str]) -> bytes:
    return orjson.dumps([{"ev": "status", "status": status, "message": message} for status, message in statuses])


TICK = orjson.dumps([{"ev": "T", "sym": "IBM", "i": "1", "p": 182.5, "s": 1, "t": 1_700_000_000_000}])


@asynccontextmanager
async def server_that_says(*after: bytes) -> AsyncGenerator[str, None]:
    """A server that greets, lets anybody in, and says this to the last subscription."""

    async def handle(connection: ServerConnection) -> None:
        await connection.send(said(("connected", "Connected Successfully")), text=True)
        await connection.recv()
        await connection.send(said(("auth_success", "authenticated")), text=True)
        for _ in ("T", "Q"):
            await connection.recv()
        for frame in after:
            await connection.send(frame, text=True)
        await connection.wait_closed()

    async with serve(handle, "127.0.0.1", 0, compression=None, close_timeout=1) as server:
        yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"


def both_channels(url: str, states: States) -> PolygonProvider:
    settings = load_settings(symbols=["IBM", "BAC"], ingest={"channels": ["trades", "quotes"]})
    return create(endpoint(url), settings, SystemClock(), states)


GRANTED = [("success", "subscribed to: T.IBM"), ("success", "subscribed to: T.BAC")]


@pytest.mark.parametrize(
    ("answers", "refused"),
    [
        ([*GRANTED, ("error", "not authorized"), ("error", "not authorized")], ["Q.IBM, Q.BAC: not authorized"]),
        (
            [GRANTED[0], ("error", "unknown ticker: T.BAC"), ("success", "subscribed to: Q.IBM,Q.BAC")],
            ["T.BAC: unknown ticker: T.BAC"],
        ),
    ],
)
async def test_a_refused_channel_is_told_and_the_rest_goes_on(
    answers: list[tuple[str, str]], refused: list[str]
) -> None:
    states = States()
    async with server_that_says(said(*answers), TICK) as url:
        (tick,) = await heard(both_channels(url, states).stream(), bool)
    assert isinstance(tick, Tick)
    assert states.of("refused_symbol") == refused


@pytest.mark.parametrize(
    ("answers", "fault"),
    [
        ([("error", "not authorized")] * 4, Fault.PLAN),
        ([("error", f"unknown ticker: {channel}") for channel in ("T.IBM", "T.BAC", "Q.IBM", "Q.BAC")], "unknown"),
        ([*GRANTED, ("max_connections", "Maximum number of websocket connections exceeded.")], Fault.NETWORK),
        ([*GRANTED, ("force_disconnect", "slow consumer")], Fault.NETWORK),
        ([("auth_timeout", "")], Fault.NETWORK),
        ([("auth_failed", f"authentication failed for {KEY}")], Fault.BAD_KEY),
        ([("auth_failed", "Your plan doesn't include websocket access.")], Fault.PLAN),
        ([("something", "else")], Fault.PROTOCOL),
    ],
)
async def test_what_ends_the_conversation_has_its_fault(answers: list[tuple[str, str]], fault: Fault | str) -> None:
    async with server_that_says(said(*answers)) as url:
        with pytest.raises(ProviderError) as caught:
            await heard(both_channels(url, States()).stream(), bool)
    assert caught.value.fault is (Fault.UNKNOWN_SYMBOL if fault == "unknown" else fault)
    assert KEY not in str(caught.value)


async def test_a_next_page_is_asked_of_the_same_host_and_must_lead_on() -> None:
    asked: list[tuple[str, str | None]] = []

    async def answer(connection: ServerConnection, request: Any) -> Any:
        asked.append((request.path, request.headers.get("Authorization")))
        response = connection.respond(
            200, '{"results":[],"next_url":"https://elsewhere.invalid/v3/trades/IBM?cursor=1"}'
        )
        response.headers["Connection"] = "close"
        return response

    async def nobody(connection: ServerConnection) -> None:
        raise AssertionError(connection)

    async with serve(nobody, "127.0.0.1", 0, process_request=answer) as server:
        url = f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
        feed = create(endpoint("ws://127.0.0.1:1", url), load_settings(symbols=["IBM"]), SystemClock())
        with pytest.raises(ProviderError, match="nowhere"):
            [page async for page in feed.history.trades_between("IBM", 0, 10_000)]
        await feed.history.close()
    assert [path.partition("?")[2] for path, _ in asked[1:]] == ["cursor=1"]
    assert {authorization for _, authorization in asked} == {f"Bearer {KEY}"}

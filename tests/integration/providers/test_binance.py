"""The Binance adapters' streams, spot's and USD-M's, and the replay server over real sockets."""

import asyncio
from collections.abc import Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from math import fsum
from typing import Any

import orjson
import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

from binance_side import LIVE, SIDES, START_US, USDM_SIDE, Side, hear, of, played, playing, said
from heard import States
from marketstream.clock import SystemClock
from marketstream.domain.errors import Fault, ProviderError
from marketstream.domain.interval import Interval
from marketstream.domain.market import Bar, Quote, Tick
from marketstream.domain.outcomes import Rejected
from marketstream.providers.auto import Feed
from marketstream.providers.binance.client import BinanceProvider
from marketstream.providers.binance.config import BinanceConfig
from marketstream.providers.registry import create_provider
from marketstream.providers.states import ignore_state
from marketstream.settings import load_settings
from marketstream.testing.market_trade import MarketTrade

MINUTE = Interval.parse("1min")
CLOCK = SystemClock()


@pytest.fixture(params=SIDES)
def side(request: pytest.FixtureRequest) -> Side:
    return SIDES[request.param]


def bars_of(trades: Sequence[MarketTrade]) -> dict[tuple[str, int], tuple[Any, ...]]:
    """Every minute's bar by symbol and start, recomputed."""
    spans: dict[tuple[str, int], list[MarketTrade]] = {}
    for trade in trades:
        spans.setdefault((trade.symbol, MINUTE.start_of(trade.event_time_us)), []).append(trade)
    made = {}
    for key, span in spans.items():
        span.sort(key=lambda trade: (trade.event_time_us, trade.sequence))
        prices, volume = [trade.price for trade in span], fsum(trade.size for trade in span)
        vwap = fsum(trade.price * trade.size for trade in span) / volume
        made[key] = (prices[0], max(prices), min(prices), prices[-1], volume, len(span), pytest.approx(vwap, rel=1e-9))
    return made


def numbers(bar: Bar) -> tuple[Any, ...]:
    return (bar.open, bar.high, bar.low, bar.close, bar.volume, bar.trade_count, bar.vwap)


async def test_trades_quotes_and_bars_come_complete(side: Side) -> None:
    trades = side.exact()
    expected = bars_of(trades)
    last = {max(key for key in expected if key[0] == symbol) for symbol in side.symbols}
    closing = expected.keys() - last
    states = States()
    async with playing(trades) as server:
        feed = BinanceProvider(side.config(server, ("trades", "quotes", "bars")), CLOCK, states)

        def complete(outcomes: list[Any]) -> bool:
            if len(outcomes) % 100 and len(outcomes) < 2 * len(trades) + len(closing):
                return False
            finals = {(bar.symbol, bar.start_us) for bar in of(Bar, outcomes) if bar.final}
            return len(of(Tick, outcomes)) == len(of(Quote, outcomes)) == len(trades) and finals >= closing

        outcomes = await hear(feed, complete)
    assert sorted(map(said, of(Tick, outcomes))) == sorted(map(played, trades))
    assert not of(Rejected, outcomes)
    quotes = of(Quote, outcomes)
    assert sorted((quote.symbol, quote.sequence) for quote in quotes) == sorted((t.symbol, t.sequence) for t in trades)
    assert all(quote.bid_price < quote.ask_price and quote.provider == side.name for quote in quotes)
    finals = {(bar.symbol, bar.start_us): numbers(bar) for bar in of(Bar, outcomes) if bar.final}
    assert {key: finals[key] for key in closing} == {key: expected[key] for key in closing}
    connections = 1 if side.name == "binance" else 2
    assert (states.count("connected"), states.count("subscribed")) == (connections, connections)


async def test_spots_quotes_are_of_the_moment_they_came_and_futures_of_the_trade(side: Side) -> None:
    trades = side.exact(300)
    async with playing(trades) as server:
        feed = BinanceProvider(side.config(server, ("quotes",)), CLOCK)
        quotes = of(Quote, await hear(feed, lambda outcomes: len(outcomes) == len(trades)))
    times = {(trade.symbol, trade.sequence): trade.event_time_us for trade in trades}
    for quote in quotes:
        own = quote.received_time_us if side.name == "binance" else times[quote.symbol, quote.sequence]
        assert quote.event_time_us == own


async def test_the_registry_knows_both(side: Side) -> None:
    settings = load_settings(providers=[side.name], symbols=list(side.symbols))
    feed = Feed(side.name, getattr(settings, side.name), bundled=False)
    provider = create_provider(feed, settings, CLOCK, ignore_state)
    assert (provider.name, provider.symbols) == (side.name, side.symbols)
    assert provider.capabilities.numbered
    assert provider.capabilities.past_trades


@pytest.mark.parametrize("suffix", ["", "/", "/market", "/public/stream", "/market/ws/"])
async def test_a_configured_route_does_not_matter(suffix: str) -> None:
    trades = USDM_SIDE.regular(50)
    async with playing(trades) as server:
        config = USDM_SIDE.config(server, ("trades", "quotes"), websocket_url=server.url_binance_usdm + suffix)
        outcomes = await hear(BinanceProvider(config, CLOCK), lambda outcomes: len(outcomes) == 100)
    assert (len(of(Tick, outcomes)), len(of(Quote, outcomes))) == (50, 50)


async def test_a_stream_on_the_wrong_route_is_acknowledged_and_silent() -> None:
    trades = USDM_SIDE.regular(20)
    async with playing(trades) as server:
        address = server.url_binance_usdm
        async with (
            connect(f"{address}/public/ws") as wrong,
            connect(f"{address}/market/ws") as right,
            asyncio.timeout(20),
        ):
            for socket in (wrong, right):
                await socket.send(
                    orjson.dumps({"method": "SUBSCRIBE", "params": ["btcusdt@aggTrade"], "id": 1}), text=True
                )
                assert orjson.loads(await socket.recv()) == {"result": None, "id": 1}
            for trade in trades:
                assert orjson.loads(await right.recv())["a"] == trade.sequence
            await wrong.send(orjson.dumps({"method": "LIST_SUBSCRIPTIONS", "id": 2}), text=True)
            assert orjson.loads(await wrong.recv()) == {"result": ["btcusdt@aggTrade"], "id": 2}


async def test_rotation_loses_nothing_and_overlaps(side: Side) -> None:
    trades = side.regular(900)
    states = States()
    async with playing(trades, LIVE) as server:
        config = replace(side.config(server, rotate_seconds=0.15), overlap_seconds=0.05)
        most = 0

        def count_connections(_: list[Any]) -> None:
            nonlocal most
            most = max(most, len(server.listeners(side.name)))

        feed = BinanceProvider(config, CLOCK, states)
        ticks = of(Tick, await hear(feed, lambda outcomes: outcomes[-1].sequence == 900, count_connections))
    assert {tick.sequence for tick in ticks} == set(range(1, 901))
    assert len(ticks) > 900
    assert 2 <= most <= 3  # the third, if any, is closing
    assert (states.count("connected"), states.count("subscribed")) == (1, 1)
    assert states.count("rotated") >= 2


async def test_an_announced_end_is_replaced_without_a_loss(side: Side) -> None:
    trades = side.regular(400)
    states = States()
    async with playing(trades, LIVE) as server:
        config = replace(side.config(server), overlap_seconds=0.05)
        announced: list[int] = []

        def announce(outcomes: list[Any]) -> None:
            if len(outcomes) == 100:
                announced.append(server.faults_of(side.name).announce_stop())

        feed = BinanceProvider(config, CLOCK, states)
        ticks = of(Tick, await hear(feed, lambda outcomes: outcomes[-1].sequence == 400, announce))
        assert announced == [1]
    assert {tick.sequence for tick in ticks} == set(range(1, 401))
    assert states.count("rotated") == 1


def all_trading(symbols: Sequence[str], seconds: int) -> list[MarketTrade]:
    """Every symbol trades ten times a second."""
    return [
        MarketTrade(symbol, 1.0, 1.0, START_US + turn * 100_000, "X", "buy", str(turn), turn)
        for turn in range(10 * seconds)
        for symbol in symbols
    ]


async def test_symbols_are_spread_over_connections_and_requests(side: Side) -> None:
    symbols = [f"S{number}USDT" + ("-PERP" if side.name == "binance_usdm" else "") for number in range(45)]
    states = States()
    async with playing(all_trading(symbols, 20), LIVE) as server:
        config = replace(side.config(server, symbols=symbols), streams_per_connection=20, streams_per_request=8)
        feed = BinanceProvider(config, CLOCK, states)
        await hear(feed, lambda outcomes: {tick.symbol for tick in of(Tick, outcomes)} == set(symbols))
    assert states.count("connected") == 3
    subscribed = sorted(detail for kind, detail in states.heard if kind == "subscribed")
    assert subscribed == ["20 streams", "20 streams", "5 streams"]


async def test_requests_are_paced_within_the_limit_of_messages() -> None:
    symbols = [f"S{number}USDT" for number in range(13)]
    states = States()
    async with playing(all_trading(symbols, 20), LIVE) as server:
        # Twelve requests follow the address; an eleventh within a second would end the connection.
        config = replace(USDM_SIDE.config(server, symbols=symbols), streams_per_request=1)
        feed = BinanceProvider(config, CLOCK, states)
        await hear(feed, lambda outcomes: {tick.symbol for tick in of(Tick, outcomes)} == set(symbols))
    assert [kind for kind, _ in states.heard] == ["connected", "subscribed"]


async def test_malformed_frames_are_refused_and_the_stream_goes_on(side: Side) -> None:
    trades = side.regular(200)
    async with playing(trades) as server:
        server.faults_of(side.name).garbage_every = 10
        feed = BinanceProvider(side.config(server), CLOCK)
        outcomes = await hear(feed, lambda outcomes: len(of(Tick, outcomes)) == 200)
    assert len(of(Rejected, outcomes)) >= 10
    assert {refusal.provider for refusal in of(Rejected, outcomes)} == {side.name}
    assert [tick.sequence for tick in of(Tick, outcomes)] == list(range(1, 201))


async def test_a_broken_connection_is_an_error_that_may_pass_and_the_next_goes_on(side: Side) -> None:
    trades = side.regular(600)
    async with playing(trades, LIVE) as server:
        feed = BinanceProvider(side.config(server), CLOCK)
        first: list[Any] = []

        def cut(outcomes: list[Any]) -> None:
            first[:] = outcomes
            if len(outcomes) == 50:
                server.drop_connections(side.name)

        with pytest.raises(ProviderError) as raised:
            await hear(feed, lambda _: False, cut)
        assert (raised.value.fault, raised.value.retriable) == (Fault.NETWORK, True)
        second = await hear(feed, lambda outcomes: outcomes[-1].sequence == 600)
        lost = set(range(1, 601)) - {tick.sequence for tick in of(Tick, first + second)}
        missing = [range(min(lost), max(lost) + 1)] if lost else []
        for span in missing:
            async for page in feed.history.trades_numbered(side.symbols[0], span.start, span.stop - 1):
                lost -= {outcome.sequence for outcome in of(Tick, page.outcomes)}
        await feed.history.close()
    assert not lost


async def test_a_used_up_quota_ends_the_stream(side: Side) -> None:
    async with playing(side.regular(600), LIVE) as server:
        feed = BinanceProvider(side.config(server), CLOCK)

        def exhaust(outcomes: list[Any]) -> None:
            if len(outcomes) == 20:
                server.faults_of(side.name).exhaust("burst")

        with pytest.raises(ProviderError, match="limit exceeded") as raised:
            await hear(feed, lambda _: False, exhaust)
        assert raised.value.retriable
        with pytest.raises(ProviderError, match="limit exceeded"):
            await hear(feed, lambda _: False)


@pytest.mark.parametrize(
    ("reply", "fault"),
    [
        ({"code": 2, "msg": "Invalid request: unknown variant"}, Fault.UNSUPPORTED),
        ({"error": {"code": 2, "msg": "Invalid request: invalid stream"}, "id": 1}, Fault.UNKNOWN_SYMBOL),
    ],
)
async def test_a_refused_request_has_its_fault(side: Side, reply: dict[str, Any], fault: Fault) -> None:
    async with playing(side.regular(600), LIVE) as server:
        feed = BinanceProvider(side.config(server), CLOCK)

        def refuse(outcomes: list[Any]) -> None:
            if len(outcomes) == 5:
                server.inject(orjson.dumps(reply), side.name)

        with pytest.raises(ProviderError, match="Invalid request") as raised:
            await hear(feed, lambda _: False, refuse)
    assert raised.value.fault is fault
    assert not raised.value.retriable


@asynccontextmanager
async def refusing(status: int, **headers: str) -> Any:
    async def answer(connection: Any, _request: object) -> Any:
        response = connection.respond(status, "no")
        response.headers.update(headers)
        return response

    async with serve(lambda _: asyncio.sleep(0), "127.0.0.1", 0, process_request=answer) as server:
        yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"


@pytest.mark.parametrize(
    ("status", "fault", "wait"),
    [
        (418, Fault.BANNED, 120.0),
        (429, Fault.BURST_LIMIT, 120.0),
        (403, Fault.BANNED, 120.0),
        (451, Fault.PLAN, 120.0),
        (503, Fault.NETWORK, 120.0),
    ],
)
async def test_a_refused_handshake_means_what_binance_means(status: int, fault: Fault, wait: float) -> None:
    settings = load_settings(providers=["binance"], symbols=["BTCUSDT"])
    async with refusing(status, **{"Retry-After": "120"}) as url:
        endpoint = settings.binance.model_copy(update={"websocket_url": url})
        with pytest.raises(ProviderError, match=str(status)) as raised:
            await hear(BinanceProvider(BinanceConfig.of(endpoint, settings), CLOCK), lambda _: False)
    assert (raised.value.fault, raised.value.retry_after_seconds) == (fault, wait)

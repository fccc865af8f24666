"""The Binance adapters' past, spot's and USD-M's, over real HTTP from the replay server."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from binance_side import SIDES, SPOT_SIDE, START_US, USDM_SIDE, Side, gather, hear, of, played, playing, said
from marketstream.clock import SystemClock
from marketstream.domain.errors import Fault, ProviderError
from marketstream.domain.interval import Interval
from marketstream.domain.market import Bar, Tick
from marketstream.providers.binance.client import BinanceProvider
from marketstream.providers.binance.history import BinanceHistory
from marketstream.testing.fakes import FakeClock
from marketstream.testing.market_trade import MarketTrade
from marketstream.testing.replay import ReplayServer
from marketstream.testing.replay.dialect import Quota

CLOCK = SystemClock()
HOUR_US = 3_600_000_000
NEVER = 2**62


@pytest.fixture(params=SIDES)
def side(request: pytest.FixtureRequest) -> Side:
    return SIDES[request.param]


def history_of(side: Side, server: ReplayServer, **own: Any) -> BinanceHistory:
    """At the moment of the played market's trades, as futures tell of the last two days only."""
    return BinanceHistory(side.config(server, **own), FakeClock(START_US + HOUR_US))


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_ticks_from_rest_are_the_streams(side: Side) -> None:
    trades = side.exact(600)
    async with playing(trades) as server:
        feed = BinanceProvider(side.config(server), FakeClock(START_US))
        streamed = of(Tick, await hear(feed, lambda outcomes: len(outcomes) == len(trades)))
        history = history_of(side, server)
        for symbol in side.symbols:
            expected = [
                replace(tick, received_time_us=START_US + HOUR_US) for tick in streamed if tick.symbol == symbol
            ]
            expected.sort(key=lambda tick: tick.sequence)
            last = expected[-1].sequence
            for pages in (
                history.trades_numbered(symbol, 1, last),
                history.trades_between(symbol, START_US - HOUR_US, START_US + 2 * HOUR_US),
            ):
                assert (await gather(pages))[1] == expected
        await history.close()


async def test_trades_by_number_come_page_after_page(side: Side) -> None:
    trades = side.regular(2_600)
    async with playing(trades) as server:
        server.history.add(trades)
        history, symbol = history_of(side, server), side.symbols[0]
        pages, ticks = await gather(history.trades_numbered(symbol, 101, 2_500))
        assert pages == 3
        assert [said(tick) for tick in ticks] == [played(trade) for trade in trades[100:2_500]]
        assert [tick.sequence for tick in (await gather(history.trades_numbered(symbol, 7, 7)))[1]] == [7]
        assert len((await gather(history.trades_numbered(symbol, 2_590, 9_999)))[1]) == 11
        assert await gather(history.trades_numbered(symbol, 2_601, 9_999)) == (0, [])
        assert await gather(history.trades_numbered(symbol, 5, 4)) == (0, [])
        await history.close()


async def test_numbers_that_do_not_exist_are_left_out(side: Side) -> None:
    trades = [trade for trade in side.regular(3_000) if trade.sequence % 7 and not 500 <= trade.sequence < 1_800]
    async with playing(trades) as server:
        server.history.add(trades)
        history = history_of(side, server)
        ticks = (await gather(history.trades_numbered(side.symbols[0], 1, 2_900)))[1]
        await history.close()
    assert [tick.sequence for tick in ticks] == [trade.sequence for trade in trades if trade.sequence <= 2_900]


@pytest.mark.parametrize(("start", "end"), [(0, NEVER), (100, 2_400), (100, 101), (1_000, 1_000), (2_499, NEVER)])
async def test_trades_by_time_end_where_the_span_ends(side: Side, start: int, end: int) -> None:
    trades = side.regular(2_500)
    start_us, end_us = START_US + start * 1_000, min(START_US + end * 1_000, START_US + HOUR_US)
    async with playing(trades) as server:
        server.history.add(trades)
        history = history_of(side, server)
        ticks = (await gather(history.trades_between(side.symbols[0], start_us, end_us)))[1]
        await history.close()
    inside = [trade.sequence for trade in trades if start_us <= trade.event_time_us < end_us]
    assert [tick.sequence for tick in ticks] == inside


async def test_trades_of_one_millisecond_are_not_torn_apart_by_a_page(side: Side) -> None:
    trades = side.regular(2_500, step_us=0)
    async with playing(trades) as server:
        server.history.add(trades)
        history = history_of(side, server)
        ticks = (await gather(history.trades_between(side.symbols[0], START_US, START_US + 1)))[1]
        await history.close()
    assert [tick.sequence for tick in ticks] == list(range(1, 2_501))


async def test_futures_are_looked_through_hour_by_hour_and_no_further_back_than_kept() -> None:
    symbol = USDM_SIDE.symbols[0]
    times = [START_US, START_US + 30 * HOUR_US, START_US + 47 * HOUR_US + 1_000]
    trades = [MarketTrade(symbol, 1.0, 1.0, time, "X", "buy", str(n), n) for n, time in enumerate(times, start=1)]
    async with playing(trades) as server:
        server.history.add(trades)
        clock = FakeClock(times[-1])
        history = BinanceHistory(USDM_SIDE.config(server), clock)
        assert [tick.sequence for tick in (await gather(history.trades_between(symbol, 0, NEVER)))[1]] == [1, 2, 3]
        clock.advance(2 * 3_600)
        assert [tick.sequence for tick in (await gather(history.trades_between(symbol, 0, clock.time_us)))[1]] == [2, 3]
        await history.close()


async def test_the_last_trade(side: Side) -> None:
    trades = side.regular(1_200)
    async with playing(trades) as server:
        history, symbol = history_of(side, server), side.symbols[0]
        assert await history.last_trade_us(symbol) is None
        server.history.add(trades)
        assert await history.last_trade_us(symbol) == START_US + 1_200_000
        await history.close()


@pytest.mark.parametrize(("name", "minutes"), [("1min", 1), ("5min", 5), ("1h", 60)])
async def test_past_bars_are_recomputed_ones(side: Side, name: str, minutes: int) -> None:
    trades = side.regular(3_000, step_us=1_000_000)
    trades = [trade._replace(price=100.0 + trade.sequence % 17, size=trade.sequence / 4) for trade in trades]
    interval = Interval.parse(name)
    async with playing(trades) as server:
        server.history.add(trades)
        history = history_of(side, server)
        bars = of(Bar, (await gather(history.bars(side.symbols[0], interval, START_US - 1, START_US + HOUR_US)))[1])
        await history.close()
    spans: dict[int, list[MarketTrade]] = {}
    for trade in trades:
        spans.setdefault(interval.start_of(trade.event_time_us), []).append(trade)
    spans = {start: span for start, span in spans.items() if start >= START_US}
    assert [bar.start_us for bar in bars] == list(spans)
    for bar, span in zip(bars, spans.values(), strict=True):
        prices, sizes = [trade.price for trade in span], [trade.size for trade in span]
        assert (bar.open, bar.high, bar.low, bar.close) == (prices[0], max(prices), min(prices), prices[-1])
        assert (bar.volume, bar.trade_count, bar.interval) == (sum(sizes), len(span), name)
        assert bar.vwap == pytest.approx(sum(t.price * t.size for t in span) / sum(sizes), rel=1e-9)
        assert bar.final is (bar.end_us + 2_000_000 <= START_US + HOUR_US)
        assert (bar.provider, bar.symbol) == (side.name, side.symbols[0])


async def test_past_bars_come_page_after_page(side: Side) -> None:
    trades = side.regular(2_300, step_us=60_000_000)
    async with playing(trades) as server:
        server.history.add(trades)
        history = BinanceHistory(side.config(server), FakeClock(START_US + 40 * HOUR_US))
        pages, bars = await gather(history.bars(side.symbols[0], Interval.parse("1min"), 0, NEVER // 1_000 * 1_000))
        await history.close()
    assert pages == 3
    assert [bar.start_us for bar in of(Bar, bars)] == [trade.event_time_us for trade in trades]


async def test_bars_that_binance_does_not_have_are_unsupported(side: Side) -> None:
    async with playing(side.regular(1)) as server:
        history = history_of(side, server)
        for name in ("10s", "1s")[: 2 if side is USDM_SIDE else 1]:
            with pytest.raises(ProviderError) as raised:
                await gather(history.bars(side.symbols[0], Interval.parse(name), 0, NEVER))
            assert raised.value.fault is Fault.UNSUPPORTED
        await history.close()


@pytest.mark.parametrize(
    ("quota", "fault", "wait"),
    [
        ("burst", Fault.BURST_LIMIT, 60.0),
        ("daily", Fault.BURST_LIMIT, 60.0),
        ("ban", Fault.BANNED, 60.0),
        ("bandwidth", Fault.BANNED, None),
        ("plan", Fault.PLAN, None),
    ],
)
async def test_refusals_have_their_fault(side: Side, quota: Quota, fault: Fault, wait: float | None) -> None:
    async with playing(side.regular(1)) as server:
        server.faults_of(side.name).set_states({"quota": quota, "retry_after_seconds": 60.0})
        history = history_of(side, server)
        with pytest.raises(ProviderError) as raised:
            await history.last_trade_us(side.symbols[0])
        await history.close()
    error = raised.value
    assert (error.fault, error.retry_after_seconds, error.provider) == (fault, wait, side.name)


async def test_a_short_burst_limit_is_waited_out(side: Side) -> None:
    async with playing(side.regular(1)) as server:
        server.history.add(side.regular(1))
        faults = server.faults_of(side.name)
        faults.set_states({"quota": "burst", "retry_after_seconds": 0.0}, seconds=0.02)
        history = history_of(side, server)
        assert await history.last_trade_us(side.symbols[0]) is not None
        await history.close()


async def test_unknown_symbols_are_told(side: Side) -> None:
    async with playing(side.regular(1)) as server:
        history = history_of(side, server, symbols=["NOSUCH", *side.symbols], symbol_names={"NOSUCH": "NOSUCH"})
        for symbol in ("NOSUCH", "NOTCONFIGURED"):
            with pytest.raises(ProviderError) as raised:
                await history.last_trade_us(symbol)
            assert raised.value.fault is Fault.UNKNOWN_SYMBOL
        await history.close()


async def test_requests_wait_for_the_next_minute_when_the_address_has_used_its_weight() -> None:
    clock = FakeClock(START_US + 59_700_000)
    trades = SPOT_SIDE.regular(1)
    async with playing(trades, clock=clock) as server:
        server.history.add(trades)
        server.desk.rules("binance").weights[clock.time_us // 60_000_000] = 4_990
        history = BinanceHistory(SPOT_SIDE.config(server, weight_per_minute=5_000), clock)
        for _ in range(3):
            await history.last_trade_us("BTCUSDT")
        asked_at = now()
        clock.advance(0.3)
        await history.last_trade_us("BTCUSDT")
        assert now() - asked_at >= 0.29
        await history.close()


async def test_it_can_be_closed_and_asked_again(side: Side) -> None:
    trades = side.regular(1)
    async with playing(trades) as server:
        server.history.add(trades)
        history = BinanceHistory(side.config(server), CLOCK)
        for _ in range(2):
            assert await history.last_trade_us(side.symbols[0]) is not None
            await history.close()

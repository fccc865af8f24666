"""The producer's process between a replay server and a real Kafka: nothing lost or doubled, nothing bad let in."""

import base64
import signal
from collections import Counter
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from marketstream.contracts.messages import DeadLetter
from marketstream.domain.errors import Fault
from marketstream.domain.market import Tick
from marketstream.domain.outcomes import Reason
from marketstream.testing.market_trade import MarketTrade
from marketstream.testing.replay import FileSource, Pace, ReplayServer
from marketstream.testing.trades import RecordedTrades

if TYPE_CHECKING:
    from conftest import Stand

pytestmark = pytest.mark.servers

START_MS = 1_700_000_000_000


def trades(symbols: list[str], count: int) -> list[MarketTrade]:
    """Trades a millisecond apart, some at the same time, turn by turn in each symbol."""
    return [
        MarketTrade(
            symbol=symbols[number % len(symbols)],
            price=100 + number % 50 / 100,
            size=float(number % 7),
            event_time_us=(START_MS + number // 3) * 1_000,
            exchange="N",
            side="buy" if number % 2 else "sell",
            trade_id=str(number),
            sequence=number // len(symbols) + 1,
        )
        for number in range(count)
    ]


def server(recorded: list[MarketTrade]) -> ReplayServer:
    return ReplayServer(FileSource(RecordedTrades.of(recorded)), Pace(None))


def sent(recorded: list[MarketTrade]) -> Counter[tuple[Any, ...]]:
    return Counter((trade.symbol, trade.price, trade.size, trade.event_time_us) for trade in recorded)


def published(ticks: list[Tick]) -> Counter[tuple[Any, ...]]:
    return Counter((tick.symbol, tick.price, tick.size, tick.event_time_us) for tick in ticks)


def polygon_frame(symbol: str, trade_id: str, *, time_ms: int = START_MS + 60_000, **fields: Any) -> bytes:
    event = {"ev": "T", "sym": symbol, "x": 4, "i": trade_id, "p": 1.5, "s": 1, "t": time_ms, "q": 10**9}
    return orjson.dumps([event | fields])


def letter_bytes(letter: DeadLetter) -> bytes:
    return base64.b64decode(letter.raw) if letter.raw_encoding == "base64" else letter.raw.encode()


def ids(ticks: list[Tick]) -> list[str]:
    return [tick.trade_id for tick in ticks]


@pytest.mark.parametrize("provider", ["polygon", "binance"])
async def test_every_trade_arrives_exactly_once_and_in_order(stand: "Stand", provider: str) -> None:
    recorded = trades(stand.symbols, 6_000)
    async with server(recorded) as replay:
        process = stand.start(provider, replay.url_polygon if provider == "polygon" else replay.url_binance)
        await stand.until(lambda: len(stand.ticks) >= len(recorded))
        assert await stand.stop(process) == 0
    await stand.settled()
    assert published(stand.ticks) == sent(recorded)
    for symbol in stand.symbols:
        sequences = [tick.sequence for tick in stand.ticks if tick.symbol == symbol]
        assert sequences == sorted(sequences)
    assert [event.kind for event in stand.feed_events] == ["connected", "subscribed"]


async def test_bad_input_is_refused_with_its_reason_and_the_stream_goes_on(stand: "Stand") -> None:
    symbol, other = stand.symbols
    good = polygon_frame(symbol, "good")
    bad: dict[bytes, Reason] = {
        f"garbage {symbol}".encode(): Reason.MALFORMED,
        polygon_frame(symbol, "truncated")[:-9]: Reason.MALFORMED,
        b'{"ev":"T","sym":"\xff' + symbol.encode() + b'"}': Reason.MALFORMED,
        polygon_frame(symbol, "type", p="1.5")[1:-1]: Reason.INVALID_FIELD,
        polygon_frame(symbol, "bool", s=True)[1:-1]: Reason.INVALID_FIELD,
        polygon_frame(symbol, "nan").replace(b":1.5", b":NaN")[1:-1]: Reason.NOT_FINITE,
        polygon_frame(symbol, "negative", p=-1.5)[1:-1]: Reason.NON_POSITIVE_PRICE,
        polygon_frame(symbol, "year2100", time_ms=4_102_444_800_000): Reason.TIME_OUT_OF_RANGE,
        polygon_frame("NOBODY" + symbol[:4], "unknown"): Reason.UNKNOWN_SYMBOL,
        polygon_frame(symbol, "late", time_ms=START_MS): Reason.LATE,
    }
    huge = symbol.encode() * (10_000_000 // len(symbol))
    async with server(trades([other], 1)) as replay:
        stand.start("polygon", replay.url_polygon)
        await stand.until(lambda: len(stand.ticks) == 1)
        replay.inject(good)
        for raw in bad:
            whole = b"[" + raw + b"]" if raw.startswith(b"{") else raw
            replay.inject(whole, text=raw.isascii())
        replay.inject(huge)
        replay.inject(polygon_frame(symbol, "after"))
        await stand.until(lambda: "4-after" in ids(stand.ticks))
    await stand.settled()
    assert ids(stand.ticks)[1:] == ["4-good", "4-after"]
    letters = {letter_bytes(letter): letter for letter in stand.dead_letters}
    for raw, reason in bad.items():
        assert letters[raw].reason is reason
        assert letters[raw].provider == "polygon"
        assert not letters[raw].truncated
    own = [letter for raw, letter in letters.items() if raw.startswith(symbol.encode())]
    (oversized,) = [letter for letter in own if letter.reason is Reason.OVERSIZED]
    assert (oversized.raw_size_bytes, oversized.truncated) == (len(huge), True)


async def test_a_dropped_connection_is_made_anew_and_doubles_nothing(stand: "Stand") -> None:
    symbol, other = stand.symbols
    async with server(trades([other], 1)) as replay:
        stand.start("polygon", replay.url_polygon)
        await stand.until(lambda: len(stand.ticks) == 1)
        replay.inject(polygon_frame(symbol, "1"))
        await stand.until(lambda: len(stand.ticks) == 2)
        replay.drop_connections()
        again = ["connected", "subscribed", "disconnected", "connected", "subscribed"]
        await stand.until(lambda: [event.kind for event in stand.feed_events] == again)
        replay.inject(polygon_frame(symbol, "1"))
        replay.inject(polygon_frame(symbol, "2"))
        await stand.until(lambda: "4-2" in ids(stand.ticks))
    await stand.settled()
    assert ids(stand.ticks)[1:] == ["4-1", "4-2"]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
async def test_a_restart_doubles_nothing(stand: "Stand", how: signal.Signals) -> None:
    symbol = stand.symbols[0]
    recorded = trades([symbol], 2_000)
    async with server(recorded) as replay:
        process = stand.start("polygon", replay.url_polygon)
        await stand.until(lambda: len(stand.ticks) == len(recorded) and stand.subscriptions() == 1)
        code = await stand.stop(process, how)
        assert code == (0 if how is signal.SIGTERM else -signal.SIGKILL)
        stand.start("polygon", replay.url_polygon)
        await stand.until(lambda: stand.subscriptions() == 2)
        for tick in stand.ticks[-500:]:
            venue, _, trade_id = tick.trade_id.partition("-")
            replay.inject(polygon_frame(symbol, trade_id, time_ms=tick.event_time_us // 1_000, x=int(venue)))
        replay.inject(polygon_frame(symbol, "new"))
        replay.inject(polygon_frame(symbol, "late", time_ms=START_MS - 60_000))
        await stand.until(lambda: "4-new" in ids(stand.ticks))
        await stand.until(lambda: any(letter.symbol == symbol for letter in stand.dead_letters))
    await stand.settled()
    assert len(stand.ticks) == len(recorded) + 1
    assert [letter.reason for letter in stand.dead_letters if letter.symbol == symbol] == [Reason.LATE]


async def test_trades_missed_on_the_way_are_fetched_and_the_gap_is_closed(stand: "Stand") -> None:
    recorded = trades(stand.symbols, 4_000)
    async with ReplayServer(FileSource(RecordedTrades.of(recorded)), Pace(0.2)) as replay:
        stand.start("binance", replay.url_binance)
        await stand.until(lambda: len(stand.ticks) > 100)
        replay.faults_of("binance").gap(50)
        await stand.until(lambda: any(gap.state == "closed" for gap in stand.gaps))
        replay.drop_connections()
        await stand.until(lambda: len(stand.ticks) >= len(recorded))
    await stand.settled()
    assert published(stand.ticks) == sent(recorded)
    assert {gap.state for gap in stand.gaps} == {"open", "closed"}


async def test_a_crash_loses_nothing(stand: "Stand") -> None:
    recorded = trades(stand.symbols, 20_000)
    async with ReplayServer(FileSource(RecordedTrades.of(recorded)), Pace(0.5)) as replay:
        process = stand.start("binance", replay.url_binance)
        await stand.until(lambda: len(stand.ticks) > 500)
        await stand.stop(process, signal.SIGKILL)
        stand.start("binance", replay.url_binance)
        await stand.until(lambda: len(stand.ticks) >= len(recorded))
    await stand.settled()
    assert published(stand.ticks) == sent(recorded)


async def test_the_next_feed_takes_over_and_no_trade_counts_twice(stand: "Stand") -> None:
    recorded = trades(stand.symbols, 12_000)
    async with ReplayServer(FileSource(RecordedTrades.of(recorded)), Pace(0.5)) as replay:
        second = {
            "PROVIDERS": "polygon,fmp",
            "FMP__WEBSOCKET_URL": replay.endpoints()["fmp"][0],
            "FMP__REST_URL": replay.url_rest,
            "FMP__API_KEY": "any-key",
        }
        stand.start("polygon", replay.url_polygon, **second)
        await stand.until(lambda: len(stand.ticks) > 500)
        replay.faults_of("polygon").set_states({"silent": True})
        await stand.until(lambda: len(stand.ticks) >= len(recorded))
    await stand.settled()
    assert published(stand.ticks) == sent(recorded)
    assert {tick.provider for tick in stand.ticks} == {"polygon", "fmp"}
    over, *_ = [event for event in stand.feed_events if event.kind == "failover"]
    assert (over.provider, over.fault) == ("fmp", Fault.SILENT)


async def test_a_refused_key_is_said_once_and_not_hammered(stand: "Stand") -> None:
    async with server(trades(stand.symbols, 1)) as replay:
        replay.faults.refuse_auth = True
        stand.start("polygon", replay.url_polygon)
        await stand.until(lambda: any(event.kind == "fatal" for event in stand.feed_events))
        await stand.settled()
    fatal = [event for event in stand.feed_events if event.kind == "fatal"]
    assert len(fatal) == 1
    assert "MARKETSTREAM_POLYGON__API_KEY" in fatal[0].detail
    assert "any-key" not in fatal[0].detail

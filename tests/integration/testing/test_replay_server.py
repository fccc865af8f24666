"""The replay server over real sockets: conversations, exactly-once replay, pace, loops, reconnects and faults."""

import asyncio
import time
from collections import Counter
from itertools import islice
from typing import Any

import httpx
import orjson
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedError

from marketstream.domain.errors import LaunchError
from marketstream.settings import Settings
from marketstream.testing.exactness import exactness_trades
from marketstream.testing.fakes import FakeClock
from marketstream.testing.market import Market
from marketstream.testing.market_trade import MarketTrade
from marketstream.testing.replay import FileSource, MarketSource, Pace, ReplayOptions, ReplayServer
from marketstream.testing.replay.fault_states import FaultStates
from marketstream.testing.replay.main import build
from marketstream.testing.trades import RecordedTrades
from wire import hear, hear_polygon, polygon, silence, tell, until

SYMBOLS = ("IBM", "BAC", "AAPL")
TRADES = exactness_trades(3_000, SYMBOLS, hours=1)
FILE = FileSource(RecordedTrades.of(TRADES))
MAX = Pace(None)
QUICK = ReplayOptions(settle_seconds=0.02)
STREAMS = "/".join(f"{symbol.lower()}@trade" for symbol in SYMBOLS)


def as_polygon(trade: MarketTrade) -> tuple[Any, ...]:
    return (trade.symbol, trade.price, trade.size, trade.event_time_us // 1_000, trade.trade_id, trade.sequence)


def from_polygon(event: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(event[key] for key in ("sym", "p", "s", "t", "i", "q"))


def as_binance(trade: MarketTrade) -> tuple[Any, ...]:
    return (trade.symbol, trade.price, trade.size, trade.event_time_us // 1_000, trade.sequence)


def from_binance(event: dict[str, Any]) -> tuple[Any, ...]:
    return (event["s"], float(event["p"]), float(event["q"]), event["T"], event["t"])


async def test_polygon_replays_every_trade_once_in_order() -> None:
    async with ReplayServer(FILE, MAX, options=QUICK) as server, polygon(server) as socket:
        events = await hear_polygon(socket, len(TRADES))
        assert [from_polygon(event) for event in events] == [as_polygon(trade) for trade in TRADES]
        await until(server.ended.is_set)
        assert await silence(socket)  # the connection stays open and idle
        assert (await tell(socket, action="unsubscribe", params="T.*"))[0]["status"] == "success"


@pytest.mark.parametrize("path", [f"/stream?streams={STREAMS}", f"/ws/{STREAMS}", "/ws"])
async def test_binance_replays_every_trade_once_in_order(path: str) -> None:
    async with ReplayServer(FILE, MAX, options=QUICK) as server, connect(server.url_binance + path) as socket:
        if path == "/ws":
            answer = await tell(socket, method="SUBSCRIBE", params=STREAMS.split("/"), id=1)
            assert answer == {"result": None, "id": 1}
        frames = [await hear(socket) for _ in TRADES]
        events = [frame["data"] for frame in frames] if path.startswith("/stream") else frames
        assert [from_binance(event) for event in events] == [as_binance(trade) for trade in TRADES]
        await until(server.ended.is_set)


async def test_a_client_that_subscribes_in_pieces_misses_nothing() -> None:
    async with (
        ReplayServer(FILE, MAX, options=ReplayOptions(settle_seconds=0.3)) as server,
        polygon(server, "T.IBM") as socket,
    ):
        await tell(socket, action="subscribe", params="T.BAC")
        await tell(socket, action="subscribe", params="T.AAPL")
        events = await hear_polygon(socket, len(TRADES))
        assert [from_polygon(event) for event in events] == [as_polygon(trade) for trade in TRADES]


async def test_only_subscribed_symbols_are_sent() -> None:
    async with ReplayServer(FILE, MAX, options=QUICK) as server, polygon(server, "T.BAC") as socket:
        expected = [as_polygon(trade) for trade in TRADES if trade.symbol == "BAC"]
        assert [from_polygon(event) for event in await hear_polygon(socket, len(expected))] == expected
        await until(server.ended.is_set)
        assert await silence(socket)


async def test_at_max_both_protocols_hear_all_of_one_market() -> None:
    async with (
        ReplayServer(FILE, MAX, options=ReplayOptions(settle_seconds=2.0)) as server,
        polygon(server) as first,
        connect(f"{server.url_binance}/ws/{STREAMS}") as second,
    ):
        events, frames = await asyncio.gather(hear_polygon(first, len(TRADES)), _hear_all(second, len(TRADES)))
        assert [from_polygon(event) for event in events] == [as_polygon(trade) for trade in TRADES]
        assert [from_binance(event) for event in frames] == [as_binance(trade) for trade in TRADES]
        assert server.played == len(TRADES)


async def _hear_all(socket: ClientConnection, count: int) -> list[Any]:
    return [await hear(socket) for _ in range(count)]


async def test_at_max_nothing_is_played_unheard_and_a_reconnect_goes_on() -> None:
    source = FileSource(FILE.recorded, loop=True)
    async with ReplayServer(source, MAX, options=QUICK) as server:
        async with polygon(server) as socket:
            first = await hear_polygon(socket, 1)
            await tell_unsubscribed(socket, first)
        stopped_at = server.played
        assert len(first) == stopped_at > 0
        await asyncio.sleep(0.1)
        assert server.played == stopped_at
        async with polygon(server) as socket:
            second = await hear_polygon(socket, len(TRADES))
    played = [trade for chunk in islice(source.recorded.chunks(loop=True), 99) for trade in chunk]
    heard = [from_polygon(event) for event in first + second]
    assert heard == [as_polygon(trade) for trade in played[: len(heard)]]


async def tell_unsubscribed(socket: ClientConnection, events: list[dict[str, Any]]) -> None:
    """Unsubscribes and adds what was on its way before the acknowledgement."""
    await socket.send('{"action":"unsubscribe","params":"T.*"}')
    while (frame := await hear(socket))[0]["ev"] == "T":
        events += frame


async def test_loops_never_go_back_in_time_and_never_repeat_an_id() -> None:
    source = FileSource(FILE.recorded, loop=True)
    async with ReplayServer(source, MAX, options=QUICK) as server, polygon(server) as socket:
        events = await hear_polygon(socket, len(TRADES) * 3)
    ids = Counter((event["sym"], event["i"]) for event in events)
    assert max(ids.values()) == 1
    times = [event["t"] for event in events]
    assert times == sorted(times)


async def test_at_a_pace_trades_come_when_due_and_no_earlier() -> None:
    clock = FakeClock()
    trades = [MarketTrade("A", 1.0, 1.0, second * 1_000_000, None, None, str(second), second) for second in range(9)]
    source = FileSource(RecordedTrades.of(trades))
    async with ReplayServer(source, Pace(2.0), options=QUICK, clock=clock) as server, polygon(server) as socket:
        assert [event["t"] for event in await hear(socket)] == [0]
        assert await silence(socket)
        clock.advance(0.999)
        assert [event["t"] for event in await hear(socket)] == [1_000]
        clock.advance(2.001)
        assert [event["t"] for event in await hear_polygon(socket, 5)] == [2_000, 3_000, 4_000, 5_000, 6_000]
        server.faults.delay_seconds = 1.0
        clock.advance(0.5)
        await until(lambda: server.played == 8)
        assert await silence(socket, 0.05)  # played, but on its way for another second
        clock.advance(1.0)
        assert [event["t"] for event in await hear_polygon(socket, 1)] == [7_000]


async def test_at_a_pace_a_reconnecting_client_joins_live_and_all_hear_the_same() -> None:
    clock = FakeClock()
    source = MarketSource(Market(("IBM",), 10.0, arrivals="even"))
    async with ReplayServer(source, options=QUICK, clock=clock) as server:
        async with polygon(server) as first:
            await hear_polygon(first, 1)
        clock.advance(10)
        await until(lambda: server.played == 101)
        async with polygon(server) as second, connect(f"{server.url_binance}/ws/ibm@trade") as third:
            await until(lambda: len(server.listeners()) == 2)
            clock.advance(0.1)
            ((event,), raw) = (await hear(second), await hear(third))
            assert event["q"] == raw["t"]
            assert event["t"] == clock.now_us() // 1_000


async def test_a_live_market_is_on_the_wall_clock_and_never_ahead() -> None:
    source = MarketSource(Market(("BTCUSDT", "ETHUSDT"), 400.0))
    async with ReplayServer(source, options=QUICK) as server, polygon(server) as socket:
        for _ in range(50):
            for event in await hear(socket):
                assert -30_000 < event["t"] - time.time() * 1_000 <= 0


async def test_a_faster_market_catches_up_with_now_and_then_runs_live() -> None:
    source = MarketSource(Market(("IBM",), 100.0, arrivals="even"), history_seconds=5)
    async with ReplayServer(source, MAX, options=QUICK) as server, polygon(server) as socket:
        events = await hear(socket)
        assert events[0]["t"] <= time.time() * 1_000 - 5_000
        while len(events) < 540:  # five seconds of history at once, the rest as it happens
            events += await hear(socket)
            assert events[-1]["t"] <= time.time() * 1_000
        assert events[-1]["t"] - events[0]["t"] == 10 * (len(events) - 1)


async def test_a_refused_key_ends_the_connection() -> None:
    options = ReplayOptions(refused_keys=("expired",))
    async with ReplayServer(FILE, options=options) as server, connect(server.url_polygon) as socket:
        await hear(socket)
        assert (await tell(socket, action="auth", params="expired"))[0]["status"] == "auth_failed"
        with pytest.raises(ConnectionClosedError):
            await hear(socket)


async def test_auth_can_be_refused_for_a_while() -> None:
    async with ReplayServer(FILE, options=QUICK) as server:
        server.faults.refuse_auth = True
        async with connect(server.url_polygon) as socket:
            await hear(socket)
            assert (await tell(socket, action="auth", params="key"))[0]["status"] == "auth_failed"
        server.faults.refuse_auth = False
        async with polygon(server, "T.IBM") as socket:
            assert (await hear(socket))[0]["sym"] == "IBM"


async def test_binance_cuts_off_who_asks_too_often() -> None:
    async with ReplayServer(FILE) as server, connect(f"{server.url_binance}/ws") as socket:
        for number in range(100):
            await socket.send(orjson.dumps({"method": "LIST_SUBSCRIPTIONS", "id": number}), text=True)
        assert [(await hear(socket))["id"] for _ in range(5)] == [0, 1, 2, 3, 4]
        with pytest.raises(ConnectionClosedError) as closed:
            await hear(socket)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1008


@pytest.mark.parametrize("frame", ["not json", '[{"ev":"T","sym":"IBM"', "x" * 10_000_000], ids=["text", "cut", "10MB"])
async def test_any_frame_can_be_injected_and_the_stream_goes_on(frame: str) -> None:
    clock = FakeClock()
    source = MarketSource(Market(("IBM",), 1.0, arrivals="even"))
    async with (
        ReplayServer(source, options=QUICK, clock=clock) as server,
        connect(server.url_polygon, max_size=None) as socket,
        connect(f"{server.url_binance}/ws") as other,
    ):
        await hear(socket)
        await tell(socket, action="auth", params="key")
        await tell(socket, action="subscribe", params="T.IBM")
        assert (await hear(socket))[0]["ev"] == "T"
        assert server.inject(frame, "polygon") == 1
        assert await socket.recv() == frame
        assert server.inject(b"\x00\xff", "polygon", text=False) == 1
        assert await socket.recv() == b"\x00\xff"
        clock.advance(1)
        assert (await hear(socket))[0]["ev"] == "T"
        assert await silence(other, 0.05)


async def test_connections_can_be_broken_off() -> None:
    async with ReplayServer(FILE) as server, connect(f"{server.url_binance}/ws") as socket:
        await until(server.listeners)
        assert server.drop_connections("polygon") == 0
        assert server.drop_connections() == 1
        with pytest.raises(ConnectionClosedError):
            await hear(socket)
        await until(lambda: not server.listeners())


async def test_it_can_go_silent_and_lose_nothing_at_max() -> None:
    async with ReplayServer(FILE, MAX, options=QUICK) as server:
        server.faults.silent = True
        async with polygon(server) as socket:
            assert await silence(socket)
            server.faults.silent = False
            assert len(await hear_polygon(socket, len(TRADES))) == len(TRADES)


async def test_pings_come_at_the_set_interval() -> None:
    options = ReplayOptions(ping_seconds=0.05)
    async with (
        ReplayServer(FILE, options=options) as server,
        connect(f"{server.url_binance}/ws", ping_interval=None) as socket,
    ):
        await until(server.listeners)
        (listener,) = server.listeners()
        await until(lambda: listener.connection.latency > 0)  # a pong with the ping's payload came back
        assert (await tell(socket, method="LIST_SUBSCRIPTIONS", id=1))["result"] == []


async def test_a_graceful_stop_announces_itself_on_binance() -> None:
    async with ReplayServer(FILE) as server:
        socket = await connect(f"{server.url_binance}/ws")
        await until(server.listeners)
    assert (await hear(socket))["e"] == "serverShutdown"
    with pytest.raises(ConnectionClosed) as closed:
        await hear(socket)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1001


async def test_health_and_a_taken_port() -> None:
    async with ReplayServer(FILE) as server:
        address = server.url_binance.replace("ws://", "http://")
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"{address}/health")).text == "ok\n"
        with pytest.raises(LaunchError, match="can't listen on"):
            await ReplayServer(FILE, port=int(address.rpartition(":")[2])).__aenter__()


async def test_admin_injects_faults_from_another_process_if_allowed() -> None:
    options = ReplayOptions(admin=True, settle_seconds=0.02)
    async with ReplayServer(FILE, options=options) as server, connect(server.url_admin) as admin:
        async with connect(f"{server.url_binance}/ws") as socket:
            await until(server.listeners)
            command = {"command": "frame", "text": "ab", "repeat": 3, "provider": "binance"}
            assert await tell(admin, **command) == {"ok": True, "clients": 1}
            assert await socket.recv() == "ababab"
            assert (await tell(admin, command="frame", base64="AP8=", binary=True))["ok"]
            assert await socket.recv() == b"\x00\xff"
            answer = await tell(admin, command="faults", silent=True, delay_seconds=2)
            assert answer["faults"] == FaultStates(silent=True, delay_seconds=2.0).states()
            assert (await tell(admin, command="drop"))["clients"] == 1
            with pytest.raises(ConnectionClosedError):
                await socket.recv()
        status = await tell(admin, command="status")
        assert (status["ok"], status["played"], status["ended"]) == (True, 0, False)
        for wrong in ({"command": "explode"}, {"command": "frame", "base64": "!"}):
            assert not (await tell(admin, **wrong))["ok"]


async def test_admin_is_closed_by_default() -> None:
    async with ReplayServer(FILE) as server, connect(server.url_admin) as socket:
        assert (await hear(socket))[0]["status"] == "connected"  # just another path of the Polygon protocol


async def test_a_broken_market_is_raised_and_not_served_as_silence() -> None:
    class Broken:
        def start(self, now_us: int, pace: Pace) -> Any:
            raise RuntimeError("torn tape")

    async def serve() -> None:
        async with ReplayServer(Broken(), options=QUICK) as server, polygon(server):
            async with asyncio.timeout(10):
                await server.run_until(asyncio.Event())

    with pytest.raises(RuntimeError, match="torn tape"):
        await serve()


async def test_settings_describe_the_server() -> None:
    described = {"port": 1, "speed": "max", "seed": 3, "arrivals": "even", "ticks_per_second": 5, "history_seconds": 10}
    server = build(Settings(symbols=["IBM", "BTCUSDT"], replay=described))  # type: ignore[arg-type]  # parsed by it
    assert server.url_polygon == "ws://127.0.0.1:1/stocks"

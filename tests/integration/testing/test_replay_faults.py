"""Every fault of the replay server over real sockets, counted; by method, and by command from outside the loop."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import orjson
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from marketstream.testing.fakes import FakeClock
from marketstream.testing.market import Market
from marketstream.testing.market_trade import MarketTrade
from marketstream.testing.replay import FileSource, MarketSource, Pace, ReplayOptions, ReplayServer
from marketstream.testing.replay.dialect import Quota
from marketstream.testing.replay.fault_states import MALFORMED
from marketstream.testing.replay.remote import ReplayControl, ReplayControlError
from marketstream.testing.trades import RecordedTrades
from wire import binance, hear, hear_polygon, polygon, silence, tell, until

OPTIONS = ReplayOptions(settle_seconds=0.01, admin=True)
SYMBOL = "BTCUSDT"


class Stage:
    """A market of one trade a second, on a clock that is moved by hand."""

    def __init__(self, symbols: tuple[str, ...] = (SYMBOL,)) -> None:
        self.clock = FakeClock()
        self.source = MarketSource(Market(symbols, float(len(symbols)), arrivals="even"))
        self.server = ReplayServer(self.source, options=OPTIONS, clock=self.clock)
        self.first = self.clock.now_us()

    async def play(self, seconds: int) -> None:
        """Plays so many trades of each symbol."""
        target = self.server.played + seconds * len(self.source.market.symbols)
        self.clock.advance(seconds)
        await until(lambda: self.server.played >= target)

    def numbers(self, frames: list[dict[str, Any]]) -> list[int]:
        """Which trades these are, counted from 0."""
        return [frame["a"] - self.first for frame in frames]

    def in_history(self, symbol: str = SYMBOL) -> list[int]:
        return [trade.sequence - self.first for trade in self.server.history.numbered_from(symbol, 0, 1_000)]


@asynccontextmanager
async def heard_first(stage: Stage) -> AsyncIterator[ClientConnection]:
    """A client that has heard trade 0."""
    async with stage.server, binance(stage.server, SYMBOL) as socket:
        assert stage.numbers([await hear(socket)]) == [0]
        yield socket


async def hear_all(socket: ClientConnection, count: int) -> list[dict[str, Any]]:
    return [await hear(socket) for _ in range(count)]


async def test_a_stall_keeps_everything_back_and_then_sends_it_at_once() -> None:
    stage = Stage()
    async with heard_first(stage) as socket, binance(stage.server, SYMBOL) as other:
        await until(lambda: len(stage.server.listeners()) == 2)
        assert stage.server.faults_of("polygon").stall(0) == 0
        assert stage.server.faults_of("binance").stall() == 2
        await stage.play(5)
        await socket.send('{"method":"LIST_SUBSCRIPTIONS","id":7}')
        assert await silence(socket)
        assert stage.server.faults.resume() == 2
        frames = await hear_all(socket, 6)
        assert stage.numbers([frame for frame in frames if "a" in frame]) == [1, 2, 3, 4, 5]
        assert [frame["id"] for frame in frames if "id" in frame] == [7]
        assert stage.numbers(await hear_all(other, 5)) == [1, 2, 3, 4, 5]


async def test_a_stall_ends_by_itself() -> None:
    stage = Stage()
    async with heard_first(stage) as socket:
        stage.server.faults.stall(60)
        stage.server.faults.stall(0.02)  # the last one counts
        await stage.play(1)
        assert stage.numbers([await hear(socket)]) == [1]


async def test_a_half_open_connection_neither_speaks_nor_listens_and_new_ones_are_well() -> None:
    stage = Stage()
    async with heard_first(stage) as socket:
        assert stage.server.faults.half_open() == 1
        pong = await socket.ping()
        await socket.send('{"method":"LIST_SUBSCRIPTIONS","id":7}')
        async with binance(stage.server, SYMBOL) as second:
            await until(lambda: len(stage.server.listeners()) == 2)
            await stage.play(2)
            assert stage.numbers(await hear_all(second, 2)) == [1, 2]
        assert await silence(socket)
        assert not pong.done()
        assert stage.server.faults.resume() == 1
        assert await silence(socket, 0.05)  # a half-open connection doesn't come back
        socket.transport.abort()


async def test_silence_loses_trades_for_one_provider_and_keeps_them_in_the_history() -> None:
    stage = Stage()
    async with heard_first(stage) as socket, polygon(stage.server) as other:
        stage.server.faults_of("binance").silent = True
        await stage.play(2)
        assert [event["q"] - stage.first for event in await hear_polygon(other, 2)] == [1, 2]
        assert (await tell(socket, method="LIST_SUBSCRIPTIONS", id=1))["id"] == 1  # it acknowledges
        stage.server.faults_of("binance").silent = False
        await stage.play(1)
        assert stage.numbers([await hear(socket)]) == [3]
        assert stage.in_history() == [0, 1, 2, 3]


async def test_every_frame_comes_twice() -> None:
    stage = Stage()
    async with heard_first(stage) as socket:
        stage.server.faults.duplicate = True
        await stage.play(3)
        assert stage.numbers(await hear_all(socket, 6)) == [1, 1, 2, 2, 3, 3]
        stage.server.faults.duplicate = False
        await stage.play(1)
        assert stage.numbers([await hear(socket)]) == [4]
        assert stage.server.desk.tallies["binance"].duplicated == 3


async def test_the_last_frames_come_again() -> None:
    stage = Stage()
    async with heard_first(stage) as socket:
        await stage.play(3)
        assert stage.numbers(await hear_all(socket, 3)) == [1, 2, 3]
        assert stage.server.faults.repeat(2) == 1
        assert stage.numbers(await hear_all(socket, 2)) == [2, 3]
        assert stage.server.desk.tallies["binance"].duplicated == 2
        assert await silence(socket, 0.05)


async def test_frames_are_reversed_within_windows_and_none_is_kept_for_good() -> None:
    stage = Stage()
    async with heard_first(stage) as socket, polygon(stage.server) as other:
        stage.server.faults.reorder = 3
        await stage.play(7)
        assert stage.numbers(await hear_all(socket, 7)) == [3, 2, 1, 6, 5, 4, 7]
        events = [await hear(other) for _ in range(7)]
        assert [[event["q"] - stage.first for event in frame] for frame in events] == [
            [3],
            [2],
            [1],
            [6],
            [5],
            [4],
            [7],
        ]
        stage.server.faults.reorder = 0
        await stage.play(2)
        assert stage.numbers(await hear_all(socket, 2)) == [8, 9]
        assert stage.server.desk.tallies["binance"].reordered == 6


async def test_a_gap_is_exactly_as_long_as_told() -> None:
    stage = Stage()
    async with heard_first(stage) as socket:
        assert stage.server.faults_of("finage").gap(1) == 0
        assert stage.server.faults.gap(3) == 1
        await stage.play(5)
        assert stage.numbers(await hear_all(socket, 2)) == [4, 5]
        assert stage.server.desk.tallies["binance"].lost == 3
        assert stage.in_history() == [0, 1, 2, 3, 4, 5]


async def test_a_gap_can_be_of_one_symbol_in_array_frames_too() -> None:
    stage = Stage((SYMBOL, "ETHUSDT"))
    async with stage.server, polygon(stage.server) as socket:
        await hear_polygon(socket, 1)
        stage.server.faults.gap(2, "ETHUSDT")
        stage.clock.advance(10)  # two trades a second, the symbols in turn
        events = await hear_polygon(socket, 18)
        heard = [(event["sym"], event["q"] - stage.first) for event in events]
        assert [number for symbol, number in heard if symbol == SYMBOL] == list(range(1, 11))
        assert [number for symbol, number in heard if symbol == "ETHUSDT"] == list(range(2, 10))
        assert stage.server.desk.tallies["polygon"].lost == 2
        assert stage.in_history("ETHUSDT") == list(range(10))


async def test_garbage_comes_between_good_frames() -> None:
    stage = Stage()
    async with heard_first(stage) as socket:
        stage.server.faults.garbage_every = 2
        assert stage.server.faults.garbage(1) == 1
        await stage.play(5)
        frames = [await socket.recv(decode=False) for _ in range(9)]
        garbage = [frame for frame in frames if frame in MALFORMED]
        assert garbage == list(MALFORMED[:4])  # one by command, the others after every second frame
        assert stage.numbers([orjson.loads(frame) for frame in frames if frame not in MALFORMED]) == [1, 2, 3, 4, 5]
        assert stage.server.desk.tallies["binance"].malformed == 4


async def test_a_delay_is_of_the_stream_and_not_of_the_history() -> None:
    stage = Stage()
    async with heard_first(stage) as socket, polygon(stage.server) as other:
        stage.server.faults_of("binance").delay_seconds = 5.0
        await stage.play(2)
        assert [event["q"] - stage.first for event in await hear_polygon(other, 2)] == [1, 2]
        assert stage.in_history() == [0, 1, 2]
        assert await silence(socket, 0.05)
        stage.clock.advance(5)
        assert stage.numbers(await hear_all(socket, 2)) == [1, 2]


async def test_keys_are_refused_by_one_provider() -> None:
    stage = Stage()
    async with stage.server:
        stage.server.faults_of("polygon").refuse_auth = True
        async with connect(stage.server.url_polygon) as socket:
            await hear(socket)
            assert (await tell(socket, action="auth", params="key"))[0]["status"] == "auth_failed"
        async with connect(f"{stage.server.url_finage}?token=key") as socket:
            assert (await hear(socket))["status_code"] == 200
        stage.server.faults_of("polygon").refuse_auth = False
        stage.server.faults.refuse_auth = True
        async with connect(f"{stage.server.url_finage}?token=key") as socket:
            async with asyncio.timeout(10):
                assert str(await socket.recv()).startswith("401")


async def test_connections_are_refused_for_a_while() -> None:
    stage = Stage()
    async with stage.server:
        stage.server.faults_of("binance").set_states({"refuse_connections": True}, seconds=60)
        with pytest.raises(InvalidStatus) as refusal:
            await connect(f"{stage.server.url_binance}/ws")
        assert refusal.value.response.status_code == 503
        async with polygon(stage.server):
            pass
        stage.server.faults_of("binance").set_states({"refuse_connections": True}, seconds=0.02)
        await until(lambda: not stage.server.faults_of("binance").refuse_connections)
        async with binance(stage.server, SYMBOL) as socket:
            assert stage.numbers([await hear(socket)]) == [0]


@pytest.mark.parametrize("quota", ["burst", "daily", "bandwidth", "plan", "ban"])
async def test_a_quota_is_told_to_who_is_there_and_to_who_comes(quota: Quota) -> None:
    stage = Stage()
    async with heard_first(stage) as socket, connect(stage.server.url_polygon) as other:
        await hear(other)
        stage.server.faults_of("binance").set_states({"quota": quota, "retry_after_seconds": 7})
        with pytest.raises(ConnectionClosed):
            await hear(socket)
        async with binance(stage.server, SYMBOL) as second:
            with pytest.raises(ConnectionClosed):
                await hear(second)
        assert (await tell(other, action="auth", params="key"))[0]["status"] == "auth_success"
        rules = stage.server.desk.rules("binance")
        assert (rules.quota, rules.retry_after_seconds) == (quota, 7)
        stage.server.faults_of("binance").clear()
        async with binance(stage.server, SYMBOL) as third:
            await until(stage.server.desk.of("binance").audience.subscribed)
            await stage.play(1)
            assert stage.numbers([await hear(third)]) == [1]


async def test_a_stop_can_be_announced_without_stopping() -> None:
    stage = Stage()
    async with heard_first(stage) as socket:
        assert stage.server.faults.announce_stop() == 1
        assert (await hear(socket))["e"] == "serverShutdown"
        await stage.play(1)
        assert stage.numbers([await hear(socket)]) == [1]


async def test_a_trade_is_taken_back_where_the_protocol_can() -> None:
    stage = Stage(("AAPL",))
    async with (
        stage.server,
        connect(stage.server.url_fmp) as socket,
        connect(f"{stage.server.url_binance}/ws") as other,
    ):
        assert stage.server.cancel("AAPL") is None
        await tell(socket, event="login", data={"apiKey": "key"})
        await tell(socket, event="subscribe", data={"ticker": ["aapl"]})
        trade, _quote = await hear_all(socket, 2)
        cancelled = stage.server.cancel("AAPL")
        assert cancelled == stage.server.history.last("AAPL")
        broken = await hear(socket)
        assert (trade["type"], broken["type"], broken["lp"], broken["t"]) == ("T", "B", trade["lp"], trade["t"])
        assert stage.in_history("AAPL") == [0]
        assert await silence(other, 0.05)


async def test_rest_is_away_slow_and_back() -> None:
    stage = Stage(("AAPL",))
    async with stage.server, polygon(stage.server) as socket:
        await hear_polygon(socket, 1)
        async with httpx.AsyncClient(base_url=stage.server.url_rest, timeout=10) as client:
            quote = {"params": {"symbol": "AAPL", "apikey": "key"}}
            assert (await client.get("/stable/quote", **quote)).json()[0]["symbol"] == "AAPL"
            stage.server.faults_of("fmp").rest_away = True
            assert (await client.get("/stable/quote", **quote)).status_code == 503
            assert (await client.get("/query", params={"apikey": "key"})).status_code == 200
            stage.server.faults.clear()
            stage.server.desk.clear()
            stage.server.faults.rest_delay_seconds = 60.0
            with pytest.raises(httpx.ReadTimeout):
                await client.get("/stable/quote", **quote, timeout=0.05)
            stage.server.faults.rest_delay_seconds = 0.001
            assert (await client.get("/stable/quote", **quote)).status_code == 200


async def test_http_that_is_no_providers_is_refused() -> None:
    async with Stage().server as server, httpx.AsyncClient(base_url=server.url_rest) as client:
        assert (await client.get("/nobody")).status_code == 404
        assert (await client.get("/health")).text == "ok\n"
        assert (await client.get("/played/AAPL", params={"limit": "x"})).status_code == 400
        assert (await client.get("/played/AAPL")).json() == {"symbol": "AAPL", "sequences": [], "next": None}
    async with ReplayServer(Stage().source) as server, httpx.AsyncClient(base_url=server.url_rest) as client:
        assert (await client.get("/played/AAPL")).status_code == 404  # only where commands are taken


async def test_a_restart_breaks_everything_off_and_the_market_goes_on() -> None:
    stage = Stage()
    async with heard_first(stage) as socket:
        address = stage.server.url_binance
        restart = asyncio.create_task(stage.server.restart(0.1))
        with pytest.raises(ConnectionClosed):
            await hear(socket)
        with pytest.raises(OSError, match=r"Connect call failed|refused"):
            await connect(address)
        await stage.play(2)
        await restart
        assert stage.server.url_binance == address
        async with binance(stage.server, SYMBOL) as second:
            await until(stage.server.faults.audience.subscribed)
            await stage.play(1)
            assert stage.numbers([await hear(second)]) == [3]
        assert stage.in_history() == [0, 1, 2, 3]


async def test_the_server_stops_in_the_middle_of_a_restart_and_with_half_open_clients() -> None:
    stage = Stage()
    async with heard_first(stage) as socket, connect(stage.server.url_admin) as admin:
        stage.server.faults.half_open()
        await tell(admin, command="restart", seconds=60)
        await stage.server.__aexit__(None, None, None)
        with pytest.raises(ConnectionClosed):
            await admin.recv()
        socket.transport.abort()


async def test_at_max_what_was_on_a_broken_wire_is_in_the_history_once() -> None:
    trades = [MarketTrade("A", 1.0, 1.0, n * 1_000, None, None, str(n), n) for n in range(1, 5_001)]
    source = FileSource(RecordedTrades.of(trades))
    async with ReplayServer(source, Pace(None), options=OPTIONS) as server:
        for _ in range(3):
            async with binance(server, "A") as socket:
                await hear_all(socket, 50)
                server.drop_connections()
                socket.transport.abort()  # or its unread frames would hold up the end
        async with binance(server, "A") as socket:
            frame = await hear(socket)
            assert frame["a"] > 150
            noted = [trade.sequence for trade in server.history.numbered_from("A", 0, 9_999)]
            assert noted == list(range(1, len(noted) + 1))
            assert len(noted) >= frame["a"]
            while frame["a"] < 5_000:
                frame = await hear(socket)
        assert server.history.summary() == {"A": {"played": 5_000, "first": 1, "highest": 5_000}}


@pytest.mark.parametrize("silent", ["binance", None])
async def test_at_max_a_silent_provider_loses_trades_only_if_somebody_else_listens(silent: str | None) -> None:
    trades = [MarketTrade("A", 1.0, 1.0, n * 1_000, None, None, str(n), n) for n in range(1, 501)]
    options = ReplayOptions(settle_seconds=0.3)
    async with (
        ReplayServer(FileSource(RecordedTrades.of(trades)), Pace(None), options=options) as server,
        binance(server, "A") as socket,
        polygon(server) as other,
    ):
        server.faults_of(silent).silent = True
        if silent is None:
            assert await silence(other, 0.5)
            server.faults.silent = False
            assert [frame["a"] for frame in await hear_all(socket, 500)] == list(range(1, 501))
        else:
            assert len(await hear_polygon(other, 500)) == 500
            assert await silence(socket, 0.05)
        assert server.history.summary()["A"]["played"] == 500


async def test_every_fault_can_be_commanded_from_another_process() -> None:
    stage = Stage()
    async with heard_first(stage) as socket:
        control = ReplayControl(stage.server.url_binance, patience_seconds=5)
        await asyncio.to_thread(_command_everything, control)
        status = await asyncio.to_thread(control.status)
        assert status.symbols[SYMBOL].model_dump() == {"played": 1, "first": stage.first, "highest": stage.first}
        assert (status.played, status.ended, status.clients) == (1, False, 1)
        assert status.providers["binance"].tally == {"lost": 0, "duplicated": 1, "reordered": 0, "malformed": 2}
        assert status.providers["binance"].faults["reorder"] == 0
        assert await asyncio.to_thread(control.played, SYMBOL) == {stage.first}
        frames = [await socket.recv(decode=False) for _ in range(5)]
        assert orjson.loads(frames[0])["a"] == stage.first
        assert frames[1:4] == [*MALFORMED[:2], b"x"]
        assert orjson.loads(frames[4])["e"] == "serverShutdown"
        assert await asyncio.to_thread(control.drop) == 1
        assert await asyncio.to_thread(control.restart, 0.05) == 0
        await asyncio.to_thread(control.status)  # waits until it is back


def _command_everything(control: ReplayControl) -> None:
    assert control.set_states(
        "binance", reorder=3, duplicate=True, garbage_every=5, delay_seconds=1.0, refuse_auth=True, silent=True
    )
    assert control.status().providers["binance"].faults["reorder"] == 3
    assert control.set_states(quota="daily", retry_after_seconds=3.0, seconds=9, provider="fmp") == 0
    assert control.set_states(rest_away=True, rest_delay_seconds=0.5, refuse_connections=True, provider="fmp") == 0
    assert control.clear() == 1
    assert control.repeat(5) == control.garbage(2) == control.inject("x") == control.announce_stop("binance") == 1
    assert control.stall(9, "binance") == control.resume() == control.gap(4, SYMBOL) == 1
    assert control.half_open("polygon") == 0
    assert control.cancel("NOBODY") is None
    for wrong in ({"seconds": -1}, {"reorder": -1}, {"quota": "none"}, {"unknown": 1}, {"provider": "nobody"}):
        with pytest.raises(ReplayControlError):
            control.set_states(**wrong)


async def test_who_is_not_there_is_told_apart_from_who_refuses() -> None:
    async with ReplayServer(Stage().source, options=OPTIONS) as server:
        control = ReplayControl(server.url_rest, patience_seconds=0)
        with pytest.raises(ReplayControlError, match="no provider is called"):
            await asyncio.to_thread(control.drop, "nobody")
    with pytest.raises(ReplayControlError):
        await asyncio.to_thread(control.status)

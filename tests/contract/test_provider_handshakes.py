"""What each provider's handshake has of its own: keys, limits, replies, the end of a connection."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import orjson
import pytest
from pydantic import SecretStr
from websockets.asyncio.server import ServerConnection, serve

from marketstream.domain.errors import ProviderError
from marketstream.domain.market import Tick
from marketstream.ports import Provider
from marketstream.providers.binance.client import BinanceProvider
from marketstream.providers.binance.config import BinanceConfig
from marketstream.providers.polygon.client import PolygonProvider
from marketstream.providers.polygon.config import PolygonConfig
from marketstream.providers.symbology import Symbology
from marketstream.providers.websocket import SocketConfig
from marketstream.settings import ProviderSettings, Settings
from marketstream.testing.fakes import FakeClock

NOW = 1_700_000_000_000_000
KEY = "s3cr3t-k3y"
Handler = Callable[[ServerConnection], Awaitable[None]]


@asynccontextmanager
async def listening(handler: Handler) -> AsyncIterator[str]:
    async with serve(handler, "127.0.0.1", 0, compression=None, close_timeout=1) as server:
        yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"


async def ticks(provider: Provider) -> list[Tick]:
    async with asyncio.timeout(20):
        outcomes = [outcome async for frame in provider.stream() for outcome in frame.outcomes]
    return [outcome for outcome in outcomes if isinstance(outcome, Tick)]


def socket(provider: str, url: str) -> SocketConfig:
    return SocketConfig(provider=provider, url=url, max_frame_bytes=1 << 20, secret=SecretStr(KEY))


def polygon_config(url: str, *symbols: str) -> PolygonConfig:
    endpoint = ProviderSettings(websocket_url=url, rest_url="", api_key=KEY)
    return PolygonConfig.of(endpoint, Settings(symbols=list(symbols) or ["IBM"]))


def binance_config(url: str, symbols: int) -> BinanceConfig:
    names = Symbology.of("binance", [f"S{number}USDT" for number in range(symbols)], {}, lambda name, _: name)
    return BinanceConfig(socket=socket("binance", url), names=names, request_pause_seconds=0.01)


def status(name: str, message: str = "") -> str:
    return orjson.dumps([{"ev": "status", "status": name, "message": message}]).decode()


def agg_trade(number: int, symbol: str = "S0USDT") -> str:
    data = {"e": "aggTrade", "s": symbol, "a": number, "p": "1", "q": "1", "T": NOW // 1_000, "m": True}
    return orjson.dumps({"stream": f"{symbol.lower()}@aggTrade", "data": data}).decode()


@pytest.mark.parametrize(
    ("reply", "retriable"),
    [
        (status("auth_failed", f"bad key {KEY}"), False),
        (status("error", f"not authorized for {KEY}"), False),
        (status("auth_timeout", "too slow"), True),
        (status("max_connections", "too many"), True),
    ],
)
async def test_polygon_says_why_it_refuses_and_never_the_key(reply: str, retriable: bool) -> None:
    async def handle(connection: ServerConnection) -> None:
        await connection.send(status("connected"))
        await connection.recv()
        await connection.send(reply)
        await connection.wait_closed()

    async with listening(handle) as url:
        with pytest.raises(ProviderError) as caught:
            await ticks(PolygonProvider(polygon_config(url), FakeClock(NOW)))
    assert caught.value.retriable is retriable
    assert KEY not in str(caught.value)
    assert caught.value.provider == "polygon"


async def test_polygon_subscribes_in_batches() -> None:
    requested: list[str] = []

    async def handle(connection: ServerConnection) -> None:
        await connection.send(status("connected"))
        await connection.recv()
        await connection.send(status("auth_success"))
        while len(requested) < 450:
            requested.extend(orjson.loads(await connection.recv())["params"].split(","))
        await connection.send(status("success", "subscribed"))

    symbols = [f"S{number}" for number in range(450)]
    async with listening(handle) as url:
        await ticks(PolygonProvider(polygon_config(url, *symbols), FakeClock(NOW)))
    assert requested == [f"T.{symbol}" for symbol in symbols]


@pytest.mark.parametrize("greeting", [None, status("connected")])
async def test_polygon_must_answer_the_handshake_in_time(greeting: str | None) -> None:
    async def handle(connection: ServerConnection) -> None:
        if greeting:
            await connection.send(greeting)
        await connection.wait_closed()

    async with listening(handle) as url:
        config = replace(polygon_config(url), handshake_seconds=0.1)
        with pytest.raises(ProviderError, match="in time") as caught:
            await ticks(PolygonProvider(config, FakeClock(NOW)))
    assert caught.value.retriable


async def test_binance_names_many_streams_in_requests_after_the_address() -> None:
    named: list[str] = []
    states: list[tuple[str, str]] = []

    async def handle(connection: ServerConnection) -> None:
        assert connection.request is not None
        named.extend(connection.request.path.partition("streams=")[2].split("/"))
        while len(named) < 450:
            request: dict[str, Any] = orjson.loads(await connection.recv())
            assert request["method"] == "SUBSCRIBE"
            named.extend(request["params"])
            await connection.send(orjson.dumps({"result": None, "id": request["id"]}).decode())
        await connection.send(agg_trade(1))

    async def note(kind: str, detail: str) -> None:
        states.append((kind, detail))

    async with listening(handle) as url:
        received = await ticks(BinanceProvider(binance_config(url, 450), FakeClock(NOW), note))
    assert len(received) == 1
    assert named == [f"s{number}usdt@aggTrade" for number in range(450)]
    assert [kind for kind, _ in states] == ["connected", "subscribed"]
    assert states[1][1] == "450 streams"


async def test_binance_spreads_streams_over_connections() -> None:
    streams: list[int] = []
    everyone_here = asyncio.Event()

    async def handle(connection: ServerConnection) -> None:
        assert connection.request is not None
        streams.append(connection.request.path.count("@aggTrade"))
        if len(streams) == 3:
            everyone_here.set()
        await everyone_here.wait()
        for number in range(100):
            await connection.send(agg_trade(number, f"S{streams[-1]}USDT"))
        await connection.wait_closed()

    async with listening(handle) as url, asyncio.timeout(20):
        config = replace(binance_config(url, 25), streams_per_connection=10)
        received: list[Tick] = []
        stream = BinanceProvider(config, FakeClock(NOW)).stream()
        while len(received) < 300:
            received += [outcome for outcome in (await anext(stream)).outcomes if isinstance(outcome, Tick)]
        await stream.aclose()
    assert sorted(streams) == [5, 10, 10]


async def test_the_end_of_one_binance_connection_ends_them_all() -> None:
    open_connections: set[ServerConnection] = set()

    async def handle(connection: ServerConnection) -> None:
        open_connections.add(connection)
        if len(open_connections) == 2:
            connection.transport.abort()
        await connection.wait_closed()
        open_connections.discard(connection)

    async with listening(handle) as url:
        config = replace(binance_config(url, 2), streams_per_connection=1)
        with pytest.raises(ProviderError, match="ended"):
            await ticks(BinanceProvider(config, FakeClock(NOW)))
        async with asyncio.timeout(10):
            for connection in list(open_connections):
                await connection.wait_closed()


async def test_binance_refusing_a_request_is_not_tried_again() -> None:
    async def handle(connection: ServerConnection) -> None:
        await connection.recv()
        await connection.send('{"code":2,"msg":"Invalid request"}')
        await connection.wait_closed()

    async with listening(handle) as url:
        with pytest.raises(ProviderError, match="Invalid request") as caught:
            await ticks(BinanceProvider(binance_config(url, 201), FakeClock(NOW)))
    assert not caught.value.retriable


async def test_binance_must_answer_a_request_in_time() -> None:
    async def handle(connection: ServerConnection) -> None:
        await connection.wait_closed()

    async with listening(handle) as url:
        config = replace(binance_config(url, 201), handshake_seconds=0.1)
        with pytest.raises(ProviderError, match="in time"):
            await ticks(BinanceProvider(config, FakeClock(NOW)))


async def test_binance_announcing_its_end_is_replaced_before_it_ends() -> None:
    served: list[ServerConnection] = []
    states: list[str] = []
    replaced = asyncio.Event()

    async def handle(connection: ServerConnection) -> None:
        served.append(connection)
        if len(served) == 1:
            await connection.send(agg_trade(1))
            await connection.send('{"e":"serverShutdown","E":1770123456789}')
            await replaced.wait()
            await connection.send(agg_trade(2))
            await connection.wait_closed()
        else:
            replaced.set()
            await connection.send(agg_trade(2))
            await served[0].wait_closed()
            await connection.send(agg_trade(3))

    async def note(kind: str, _detail: str) -> None:
        states.append(kind)

    async with listening(handle) as url:
        config = replace(binance_config(url, 1), overlap_seconds=0.05)
        received = await ticks(BinanceProvider(config, FakeClock(NOW), note))
    assert len(served) == 2
    assert [tick.sequence for tick in received] == [1, 2, 2, 3]
    assert states == ["connected", "subscribed", "rotated"]


async def test_pings_are_answered() -> None:
    async def handle(connection: ServerConnection) -> None:
        pong = await connection.ping(b"payload")
        await pong
        await connection.send(agg_trade(1))

    async with listening(handle) as url:
        assert len(await ticks(BinanceProvider(binance_config(url, 1), FakeClock(NOW)))) == 1

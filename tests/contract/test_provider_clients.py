"""The port `Provider`, the same suite on every adapter, each against a small server of its protocol."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
from websockets.asyncio.server import ServerConnection, serve

from marketstream.domain.errors import ProviderError
from marketstream.domain.market import Tick
from marketstream.domain.outcomes import Reason, Rejected
from marketstream.ports import Frame, Provider
from marketstream.providers._template import client as template
from marketstream.providers.binance import client as binance
from marketstream.providers.binance_usdm import client as binance_usdm
from marketstream.providers.polygon import client as polygon
from marketstream.providers.websocket import WIRE_LIMIT_BYTES
from marketstream.settings import ProviderSettings, Settings
from marketstream.testing.fakes import FakeClock

NOW = 1_700_000_000_000_000
KEY = "s3cr3t-k3y"
LIMIT = 4_096

Handler = Callable[[ServerConnection], Awaitable[None]]


@dataclass(frozen=True)
class Protocol:
    """One adapter and its provider's side of the conversation."""

    create: Callable[..., Provider]
    greet: Handler
    trade: Callable[[str], bytes]
    symbol_names: Mapping[str, str] = field(default_factory=dict)

    def wrong(self) -> bytes:
        """A trade with a negative price."""
        return self.trade("bad").replace(b'"182.5"', b'"-1"').replace(b"182.5", b"-1")


async def greet_polygon(connection: ServerConnection) -> None:
    async def say(status: str, message: str) -> None:
        await connection.send(orjson.dumps([{"ev": "status", "status": status, "message": message}]).decode())

    await say("connected", "Connected Successfully")
    assert orjson.loads(await connection.recv()) == {"action": "auth", "params": KEY}
    await say("auth_success", "authenticated")
    assert orjson.loads(await connection.recv()) == {"action": "subscribe", "params": "T.IBM,T.BAC"}
    await say("success", "subscribed to: T.IBM")
    await say("success", "subscribed to: T.BAC")


async def greet_binance(connection: ServerConnection) -> None:
    assert connection.request is not None
    assert connection.request.path == "/stream?streams=ibm@aggTrade/bac@aggTrade"


async def greet_binance_usdm(connection: ServerConnection) -> None:
    assert connection.request is not None
    assert connection.request.path == "/market/stream?streams=ibm@aggTrade/bac@aggTrade"


async def greet_template(connection: ServerConnection) -> None:
    assert orjson.loads(await connection.recv()) == {"type": "subscribe", "symbols": ["ibm", "bac"]}
    await connection.send('{"type":"subscribed"}')


def polygon_trade(trade_id: str) -> bytes:
    return orjson.dumps([{"ev": "T", "sym": "IBM", "i": trade_id, "p": 182.5, "s": 1, "t": NOW // 1_000}])


def binance_trade(trade_id: str) -> bytes:
    number = int(trade_id) if trade_id.isdigit() else 0
    data = {"e": "aggTrade", "s": "IBM", "a": number, "p": "182.5", "q": "1", "T": NOW // 1_000, "m": True}
    return orjson.dumps({"stream": "ibm@aggTrade", "data": data})


def template_trade(trade_id: str) -> bytes:
    trade = {"type": "trade", "symbol": "IBM", "id": trade_id, "price": 182.5, "size": 1, "time_ms": NOW // 1_000}
    return orjson.dumps(trade)


PAIRS = {"IBM": "IBM", "BAC": "BAC"}  # Binance takes no share's name for a pair unless told
PROTOCOLS = {
    "polygon": Protocol(polygon.create, greet_polygon, polygon_trade),
    "binance": Protocol(binance.create, greet_binance, binance_trade, PAIRS),
    "binance_usdm": Protocol(binance_usdm.create, greet_binance_usdm, binance_trade, PAIRS),
    "template": Protocol(template.create, greet_template, template_trade),
}


@pytest.fixture(params=PROTOCOLS)
def protocol(request: pytest.FixtureRequest) -> Protocol:
    return PROTOCOLS[request.param]


@asynccontextmanager
async def listening(handler: Handler) -> AsyncIterator[str]:
    async with serve(handler, "127.0.0.1", 0, compression=None, close_timeout=1) as server:
        yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"


def make(protocol: Protocol, url: str, states: list[str] | None = None) -> Provider:
    async def note(kind: str, detail: str) -> None:
        assert detail
        if states is not None:
            states.append(kind)

    endpoint = ProviderSettings(websocket_url=url, rest_url="", api_key=KEY, symbol_names=dict(protocol.symbol_names))
    settings = Settings(symbols=["IBM", "BAC"], ingest={"max_frame_bytes": LIMIT})
    return protocol.create(endpoint, settings, FakeClock(NOW), note)


def conversation(protocol: Protocol, *frames: bytes, hold: bool = False) -> Handler:
    """Greets, sends these frames as text, then closes in good order, or stays."""

    async def handle(connection: ServerConnection) -> None:
        await protocol.greet(connection)
        for frame in frames:
            await connection.send(frame, text=True)
        if hold:
            await connection.wait_closed()

    return handle


async def outcomes(provider: Provider) -> list[Any]:
    async with asyncio.timeout(20):
        return [outcome async for frame in provider.stream() for outcome in frame.outcomes]


async def test_frames_come_in_order_until_the_provider_closes(protocol: Protocol) -> None:
    states: list[str] = []
    frames = [protocol.trade(str(number)) for number in range(50)]
    async with listening(conversation(protocol, *frames)) as url:
        provider = make(protocol, url, states)
        async with asyncio.timeout(20):
            received = [frame async for frame in provider.stream()]
    assert [frame.raw for frame in received] == frames
    assert all(frame.received_time_us == NOW for frame in received)
    ticks = [outcome for frame in received for outcome in frame.outcomes]
    assert [tick.trade_id for tick in ticks if isinstance(tick, Tick)] == [str(number) for number in range(50)]
    assert {(tick.provider, tick.received_time_us) for tick in ticks} == {(provider.name, NOW)}
    assert states == ["connected", "subscribed"]


async def test_it_can_be_streamed_again(protocol: Protocol) -> None:
    async with listening(conversation(protocol, protocol.trade("1"))) as url:
        provider = make(protocol, url)
        assert len(await outcomes(provider)) == len(await outcomes(provider)) == 1


async def test_bad_data_is_a_value_and_the_stream_goes_on(protocol: Protocol) -> None:
    bad = [b"garbage", b"\xff\xfe", protocol.wrong(), b"x" * (LIMIT + 1), protocol.trade("1")[:-3]]
    async with listening(conversation(protocol, *bad, protocol.trade("1"))) as url:
        *refusals, tick = await outcomes(make(protocol, url))
    assert isinstance(tick, Tick)
    assert [refusal.reason for refusal in refusals] == [
        Reason.MALFORMED,
        Reason.MALFORMED,
        Reason.NON_POSITIVE_PRICE,
        Reason.OVERSIZED,
        Reason.MALFORMED,
    ]
    assert refusals[3].raw == bad[3]


async def test_a_ten_megabyte_frame_is_refused_and_the_connection_kept(protocol: Protocol) -> None:
    async with listening(conversation(protocol, b"y" * 10_000_000, protocol.trade("1"))) as url:
        refusal, tick = await outcomes(make(protocol, url))
    assert isinstance(refusal, Rejected)
    assert (refusal.reason, len(refusal.raw)) == (Reason.OVERSIZED, 10_000_000)
    assert isinstance(tick, Tick)


async def test_a_frame_beyond_the_wire_limit_is_recorded_and_ends_the_connection(protocol: Protocol) -> None:
    received: list[Frame] = []
    async with listening(conversation(protocol, b"y" * (WIRE_LIMIT_BYTES + 1), hold=True)) as url:
        stream = make(protocol, url).stream()
        received.append(await anext(stream))
        with pytest.raises(ProviderError) as caught:
            await anext(stream)
    (refusal,) = [outcome for frame in received for outcome in frame.outcomes]
    assert isinstance(refusal, Rejected)
    assert refusal.reason is Reason.OVERSIZED
    assert caught.value.retriable


async def test_a_broken_connection_is_an_error_that_may_pass(protocol: Protocol) -> None:
    async def handle(connection: ServerConnection) -> None:
        await protocol.greet(connection)
        await connection.send(protocol.trade("1"), text=True)
        connection.transport.abort()

    async with listening(handle) as url:
        with pytest.raises(ProviderError) as caught:
            await outcomes(make(protocol, url))
    assert caught.value.retriable


async def test_nobody_listening_is_a_network_error(protocol: Protocol) -> None:
    async with listening(protocol.greet) as url:
        pass
    with pytest.raises(OSError, match=r"Connect call failed|refused"):
        await outcomes(make(protocol, url))


async def test_a_closed_stream_closes_its_connection(protocol: Protocol) -> None:
    gone = asyncio.Event()

    async def handle(connection: ServerConnection) -> None:
        await conversation(protocol, protocol.trade("1"), hold=True)(connection)
        gone.set()

    async with listening(handle) as url, asyncio.timeout(20):
        async with aclosing(make(protocol, url).stream()) as stream:
            await anext(stream)
        await gone.wait()


async def test_a_secret_the_provider_echoes_is_not_shown(protocol: Protocol) -> None:
    async with listening(conversation(protocol, f"oops {KEY}".encode())) as url:
        (refusal,) = await outcomes(make(protocol, url))
    assert KEY.encode() not in refusal.raw
    assert b"[redacted]" in refusal.raw


@pytest.mark.parametrize(("status", "retriable"), [(401, False), (429, True), (503, True)])
async def test_a_refused_handshake_says_whether_to_try_again(protocol: Protocol, status: int, retriable: bool) -> None:
    async def answer(connection: ServerConnection, _request: object) -> object:
        return connection.respond(status, KEY)

    async with serve(protocol.greet, "127.0.0.1", 0, process_request=answer) as server:  # type: ignore[arg-type]  # a Response
        url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
        with pytest.raises(ProviderError, match=str(status)) as caught:
            await outcomes(make(protocol, url))
    assert caught.value.retriable is retriable
    assert KEY not in str(caught.value)


async def test_a_bad_address_is_not_tried_again(protocol: Protocol) -> None:
    with pytest.raises(ProviderError, match="address") as caught:
        await outcomes(make(protocol, "http://127.0.0.1:1"))
    assert not caught.value.retriable

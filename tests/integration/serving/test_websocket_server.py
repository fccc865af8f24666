"""The WebSocket over real sockets: what clients ask and get, and what is refused, bounded and ended."""

import asyncio
import contextlib
import socket
import ssl
from pathlib import Path

import httpx
import orjson
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from certificates import self_signed
from doors import Door, entry, token
from listening import SINCE_US, Listener, World, listening, make_bar, make_tick
from marketstream.domain.errors import ConfigurationError
from marketstream.serving.access.keys import Wish
from marketstream.serving.access.principal import Role
from marketstream.settings import ServingSettings, WebSocketSettings


async def test_a_snapshot_from_the_stores_then_the_stream() -> None:
    world = World()
    world.store(make_tick("BTCUSDT", -2), make_tick("BTCUSDT", -1), make_bar("BTCUSDT", -1, 5))
    async with world.serving(), listening(world.url) as client:
        assert client.welcome["type"] == "welcome"
        snapshot = await client.subscribe("btcusdt", channels=["ticks", "bars"], history=2)
        ticks = [update["data"]["trade_id"] for update in snapshot if update["channel"] == "ticks"]
        assert ticks == ["-2", "-1"]
        assert [update["data"]["trade_count"] for update in snapshot if update["channel"] == "bars"] == [5]
        world.feed(make_tick("BTCUSDT", 0), make_tick("ETHUSDT", 0), make_bar("BTCUSDT", 0, 1))
        heard = await client.updates(2)
        assert [(update["channel"], update["symbol"]) for update in heard] == [
            ("ticks", "BTCUSDT"),
            ("bars", "BTCUSDT"),
        ]
        world.feed(make_bar("BTCUSDT", 0, 1), make_bar("BTCUSDT", 0, 3, final=True))  # the first is not new
        (bar,) = await client.updates(1)
        assert (bar["data"]["trade_count"], bar["data"]["final"]) == (3, True)
        assert (await client.ask(type="ping", id=9))["seq"] == 4  # a snapshot and three updates


async def test_unsubscribed_means_silence() -> None:
    world = World()
    async with world.serving(), listening(world.url) as client:
        await client.subscribe("BTCUSDT", "ETHUSDT")
        assert (await client.ask(type="unsubscribe", symbols=["BTCUSDT"]))["symbols"] == ["BTCUSDT"]
        world.feed(make_tick("BTCUSDT", 0), make_tick("ETHUSDT", 0))
        assert [update["symbol"] for update in await client.updates(1)] == ["ETHUSDT"]
        assert (await client.ask(type="unsubscribe", symbols=["BTCUSDT"]))["code"] == "not_subscribed"


async def test_a_star_is_every_symbol_once() -> None:
    world = World()
    async with world.serving(), listening(world.url) as client:
        await client.subscribe("*", "BTCUSDT")
        world.feed(make_tick("BTCUSDT", 0), make_tick("XRPUSDT", 0))
        assert sorted(update["symbol"] for update in await client.updates(2)) == ["BTCUSDT", "XRPUSDT"]
        world.feed(make_tick("ETHUSDT", 0))
        assert [update["symbol"] for update in await client.updates(1)] == ["ETHUSDT"]


async def test_events_pass_as_they_are_and_general_ones_reach_everybody() -> None:
    world = World()
    async with world.serving(), listening(world.url) as client:
        await client.subscribe("BTCUSDT", channels=["signals", "alerts"])
        world.feed_event("signals", "ETHUSDT", symbol="ETHUSDT", action="buy")
        world.feed_event("signals", "BTCUSDT", symbol="BTCUSDT", action="sell")
        world.feed_event("alerts", "polygon", subject="polygon", message="silent")
        heard = await client.updates(2)
        assert [(update["channel"], update["symbol"]) for update in heard] == [
            ("signals", "BTCUSDT"),
            ("alerts", "polygon"),
        ]
        assert heard[0]["data"] == {"symbol": "BTCUSDT", "action": "sell"}


async def test_conflation_leaves_the_newest() -> None:
    world = World()
    async with world.serving(), listening(world.url) as client:
        await client.subscribe("BTCUSDT", conflate_ms=200)
        world.feed(*(make_tick("BTCUSDT", number) for number in range(50)))
        assert [update["data"]["trade_id"] for update in await client.updates(1)] == ["49"]
        world.feed(*(make_tick("BTCUSDT", number) for number in range(50, 80)))
        assert [update["data"]["trade_id"] for update in await client.updates(1)] == ["79"]


async def test_history_of_a_backfill_is_not_sent() -> None:
    world = World()
    async with world.serving(), listening(world.url) as client:
        await client.subscribe("BTCUSDT")
        world.feed(
            make_tick("BTCUSDT", 20_000), make_tick("BTCUSDT", 20_001, event_us=SINCE_US), make_tick("BTCUSDT", 20_002)
        )
        assert [update["data"]["trade_id"] for update in await client.updates(2)] == ["20000", "20002"]


async def test_a_lost_connection_is_resumed_or_said_to_have_a_gap() -> None:
    world = World(WebSocketSettings(replay_updates=20))
    async with world.serving():
        async with listening(world.url) as first:
            await first.subscribe("BTCUSDT")
            world.feed(make_tick("BTCUSDT", 0))
            await first.updates(1)
            session = first.welcome["session"]
        world.feed(*(make_tick("BTCUSDT", number) for number in range(1, 11)))
        async with listening(world.url) as second:
            answer = await second.ask(type="resume", session=session, seq=2)
            assert (answer["type"], answer["through"]) == ("resumed", 12)
            assert answer["subscriptions"] == [{"channel": "ticks", "symbols": ["BTCUSDT"]}]
            assert [int(update["data"]["trade_id"]) for update in await second.updates(10)] == list(range(1, 11))
        world.feed(*(make_tick("BTCUSDT", number) for number in range(11, 50)))
        async with listening(world.url) as third:
            answer = await third.ask(type="resume", session=session, seq=12)
            assert (answer["type"], answer["reason"]) == ("gap", "overrun")
            assert (await third.hear("snapshot"))["updates"][0]["data"]["trade_id"] == "49"
            world.feed(make_tick("BTCUSDT", 50))
            assert [update["data"]["trade_id"] for update in await third.updates(1)] == ["50"]
        async with listening(world.url) as fourth:
            answer = await fourth.ask(type="resume", session="nonsense", seq=0)
            assert (answer["type"], answer["reason"], answer["subscriptions"]) == ("gap", "unknown", [])
            await fourth.subscribe("BTCUSDT")
            assert (await fourth.ask(type="resume", session=session, seq=0))["code"] == "resume_late"


async def test_a_client_that_does_not_read_is_shed_and_nobody_else_notices() -> None:
    world = World(WebSocketSettings(queue_updates=100, shed_after_seconds=0.5))
    async with world.serving(), listening(world.url) as client:
        await client.subscribe("BTCUSDT")
        deaf = await connect(world.url, max_queue=1, close_timeout=1, ping_interval=None)
        transport = deaf.transport
        await deaf.send('{"type":"subscribe","symbols":["*"]}', text=True)
        await world.until(lambda _: sum(bool(one.subscriptions) for one in world.hub.sessions.values()) == 2)
        transport.pause_reading()
        session = next(one for one in world.hub.sessions.values() if one.id != client.welcome["session"])
        number = 0
        async with asyncio.timeout(30):
            while session.link is not None:
                world.feed(*(make_tick("BTCUSDT", each) for each in range(number, number + 100)))
                number += 100
                assert session.queued <= 200
                heard = await client.updates(100)
                assert int(heard[-1]["data"]["trade_id"]) == number - 1
        transport.resume_reading()
        said = []
        with contextlib.suppress(ConnectionClosed):
            while True:
                said.append(orjson.loads(await deaf.recv()))
        assert said[-1]["type"] == "closing"
        assert (said[-1]["code"], said[-1]["close_code"]) == ("slow_consumer", 4008)
        assert deaf.close_code in (4008, 1006)  # 1006 where the close frame itself had no room


async def test_bounds_are_kept_and_named() -> None:
    world = World(
        WebSocketSettings(max_symbols=2, wildcard=False, max_message_bytes=300, requests_per_second=1, requests_burst=8)
    )
    async with world.serving(), listening(world.url) as client:
        many = await client.ask(type="subscribe", symbols=["BTCUSDT", "ETHUSDT", "XRPUSDT"], id="a")
        assert (many["code"], many["id"]) == ("too_many_symbols", "a")
        assert (await client.ask(type="subscribe", symbols=["*"]))["code"] == "wildcard_off"
        unknown = await client.ask(type="subscribe", symbols=["BTCUSD"])
        assert unknown["code"] == "unknown_symbol"
        assert "did you mean BTCUSDT" in unknown["message"]
        await client.subscribe("BTCUSDT", "ETHUSDT")
        assert (await client.ask(type="subscribe", symbols=["XRPUSDT"]))["code"] == "too_many_symbols"
        for _ in range(8):
            answer = await client.ask(type="ping")
        assert answer["code"] == "rate_limited"
        assert 0 < answer["retry_after_seconds"] <= 1
        await client.socket.send("x" * 301)
        assert (await client.ended())[0] == 1009


async def test_a_flood_is_ended() -> None:
    world = World(WebSocketSettings(requests_per_second=0.01, requests_burst=1))
    async with world.serving(), listening(world.url) as client:
        for _ in range(110):
            await client.say(type="ping")
        assert await client.ended() == (1008, "flood")


async def test_too_many_connections_are_turned_away() -> None:
    world = World(WebSocketSettings(max_clients_per_address=1))
    async with world.serving(), listening(world.url), connect(world.url) as second:
        other = Listener(second)
        assert (await other.hear())["code"] == "too_many_clients"
        assert await other.ended() == (1013, "too_many_clients")


@pytest.mark.parametrize("required", [False, True])
async def test_pages_of_other_sites_are_refused(*, required: bool) -> None:
    door = Door(origins=["https://desk.example"])
    world = World(access=door.access("websocket", required=required))
    async with world.serving():
        for origin in ("https://evil.example", "null"):
            with pytest.raises(InvalidStatus, match="403"):
                await connect(world.url, origin=origin)  # type: ignore[arg-type]  # a text by another name
        for origin in ("https://desk.example", "http://localhost:8050", "http://127.0.0.1:8050"):
            async with listening(world.url, origin=origin) as client:
                assert client.welcome["type"] == ("auth_required" if required else "welcome")


async def test_any_page_may_where_every_origin_is_named_but_no_other_name_of_this_machine() -> None:
    world = World(
        access=Door(origins=["*"]).access("websocket", required=False),
        serving_settings=ServingSettings(cors_origins=["*"]),
    )
    async with world.serving():
        async with listening(world.url, origin="https://elsewhere.example"):
            pass
        with pytest.raises(InvalidStatus, match="403"):
            await connect(f"ws://rebound.example:{world.port}", host="127.0.0.1", port=world.port)


async def test_credentials_by_header_and_by_message() -> None:
    door = Door()
    good, narrow, wrong = (
        door.key(Role.VIEWER),
        door.key(Role.ADMIN, "rest", name="narrow"),
        f"msk_{'a' * 12}_{'b' * 43}",
    )
    world = World(access=door.access("websocket"), clock=door.clock)
    async with world.serving():
        for headers in ({"Authorization": f"Bearer {good}"}, {"X-API-Key": good}):
            async with listening(world.url, additional_headers=headers) as client:
                assert client.welcome["principal"] == "key:desk"
        async with listening(world.url, additional_headers={"Authorization": f"Bearer {token()}"}) as client:
            assert client.welcome["principal"] == "jwt:alice"
        for key, status in ((wrong, 401), (narrow, 403), (door.revoked(), 401), (door.expired(), 401)):
            with pytest.raises(InvalidStatus, match=str(status)) as caught:
                await connect(world.url, additional_headers={"X-API-Key": key})
            answer = caught.value.response
            assert answer.headers["WWW-Authenticate"].startswith('Bearer realm="marketstream", error=')
            assert orjson.loads(answer.body or b"")["status"] == status
        with pytest.raises(InvalidStatus, match="400"):
            await connect(world.url, additional_headers={"X-API-Key": good, "Authorization": f"Bearer {good}"})
        async with listening(world.url) as client:
            assert client.welcome["type"] == "auth_required"
            assert (await client.ask(type="subscribe", symbols=["BTCUSDT"]))["code"] == "auth_required"
            assert (await client.ask(type="auth", token=good))["type"] == "welcome"
            await client.subscribe("BTCUSDT")
        for key, code in ((wrong, 4401), (narrow, 4403)):
            async with listening(world.url) as client:
                await client.say(type="auth", token=key)
                assert (await client.ended())[0] == code


async def test_credentials_that_can_not_be_checked() -> None:
    door = Door()
    key = door.key()
    door.store.available = False
    world = World(access=door.access("websocket"), clock=door.clock)
    async with world.serving():
        with pytest.raises(InvalidStatus, match="503"):
            await connect(world.url, additional_headers={"X-API-Key": key})
        async with listening(world.url) as client:
            await client.say(type="auth", token=key)
            assert await client.ended() == (1013, "try_again")


async def test_guessing_ends_soon_by_header_and_by_message() -> None:
    door = Door()
    good = door.key()
    world = World(access=door.access("websocket", failures=2, failure_seconds=3_000), clock=door.clock)
    async with world.serving():
        for number in range(2):
            async with listening(world.url) as client:
                await client.say(type="auth", token=f"msk_{'a' * 12}_{number:043}")
                assert (await client.ended())[0] == 4401
        with pytest.raises(InvalidStatus, match="429") as caught:
            await connect(world.url, additional_headers={"X-API-Key": good})
        assert int(caught.value.response.headers["Retry-After"]) > 900
        async with listening(world.url) as client:
            await client.say(type="auth", token=good)
            assert (await client.hear("closing"))["retry_after_seconds"] > 900
            assert await client.ended() == (1013, "try_again")
        elsewhere = {"X-API-Key": good, "X-Forwarded-For": "203.0.113.9"}  # by the word of a proxy that is trusted
        async with listening(world.url, additional_headers=elsewhere) as client:
            assert client.welcome["type"] == "welcome"


async def test_who_says_nothing_is_ended() -> None:
    world = World(WebSocketSettings(auth_seconds=0.3), access=Door().access("websocket"))
    async with world.serving(), listening(world.url) as silent:
        assert await silent.ended() == (4408, "auth_timeout")


async def test_a_connection_ends_with_its_credential() -> None:
    door = Door()
    brief = door.key(name="brief", expires_us=door.clock.now_us() + 1_000_000)
    lost, stored = door.stored_key(Wish(name="lost", role=Role.VIEWER))
    kept = door.key(name="kept")
    world = World(access=door.access("websocket", cache_seconds=0.1), clock=door.clock)
    async with world.serving(), contextlib.AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(listening(world.url, additional_headers={"X-API-Key": key}))
            for key in (brief, lost, kept)
        ]
        door.store.revoke(stored.key_id, entry("keys.revoke"))
        assert await clients[1].ended() == (4401, "credential_revoked")
        door.clock.time_us += 2_000_000
        assert await clients[0].ended() == (4401, "credential_expired")
        await clients[2].subscribe("BTCUSDT")


async def test_tls(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    world = World(serving_settings=ServingSettings(tls_certificate=certificate, tls_key=key))
    context = ssl.create_default_context(cafile=certificate)
    async with world.serving(), listening(world.url.replace("ws:", "wss:"), ssl=context) as client:
        await client.subscribe("BTCUSDT")
        world.feed(make_tick("BTCUSDT", 0))
        assert len(await client.updates(1)) == 1


async def test_a_certificate_that_is_none_is_named(tmp_path: Path) -> None:
    nothing = tmp_path / "nothing.pem"
    world = World(serving_settings=ServingSettings(tls_certificate=nothing, tls_key=nothing))
    with pytest.raises(ConfigurationError, match=r"nothing\.pem"):
        async with world.serving():
            pass


async def test_somebody_elses_session_can_not_be_resumed() -> None:
    door = Door()
    first, second = door.key(name="one"), door.key(name="other")
    world = World(access=door.access("websocket"), clock=door.clock)
    async with world.serving(), listening(world.url, additional_headers={"X-API-Key": first}) as one:
        await one.subscribe("BTCUSDT")
        async with listening(world.url, additional_headers={"X-API-Key": second}) as other:
            answer = await other.ask(type="resume", session=one.welcome["session"], seq=0)
            assert (answer["type"], answer["reason"]) == ("gap", "unknown")


async def test_heartbeats_tell_whether_the_stream_is_there() -> None:
    world = World(WebSocketSettings(heartbeat_seconds=0.1))
    async with world.serving(), listening(world.url) as client, httpx.AsyncClient() as http:
        health = f"http://127.0.0.1:{world.port}/health"
        assert (await client.hear("heartbeat"))["stream"] == "live"
        assert (await http.get(f"{health}/ready")).json() == {"status": "ready", "stream": "live", "clients": 1}
        world.away = True
        while (await client.hear("heartbeat"))["stream"] != "away":
            pass
        assert (await http.get(f"{health}/ready")).status_code == 503
        assert (await http.get(f"{health}/live")).status_code == 200
        assert (await http.get(f"http://127.0.0.1:{world.port}/nothing")).status_code == 404


async def test_a_store_that_is_away_is_told_and_asked_again() -> None:
    world = World()
    world.store(make_tick("BTCUSDT", -1))
    world.cache.available = world.history.available = False
    async with world.serving(), listening(world.url) as client:
        assert (await client.ask(type="subscribe", symbols=["BTCUSDT"]))["type"] == "subscribed"
        part = await client.hear("snapshot")
        assert (part["complete"], part["updates"]) == (False, [])
        world.feed(make_tick("BTCUSDT", 0))
        assert len(await client.updates(1)) == 1


async def test_an_abrupt_end_leaves_nothing_behind() -> None:
    world = World(WebSocketSettings(resume_seconds=0))
    async with world.serving():
        async with listening(world.url) as client:
            await client.subscribe("BTCUSDT")
            raw = client.socket.transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.socket.transport.abort()
        await world.until(lambda _: not world.hub.sessions and not world.service.admission.clients)
        world.feed(make_tick("BTCUSDT", 0))


async def test_it_says_good_bye() -> None:
    world = World()
    async with contextlib.AsyncExitStack() as stack:
        async with world.serving():
            client = await stack.enter_async_context(listening(world.url))
        assert await client.ended() == (1001, "shutdown")

"""Signing in to the screens: the page, the cookie, and what neither lets through."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from doors import Door, entry, token
from marketstream.serving.access.keys import Wish
from marketstream.serving.access.principal import Role
from marketstream.serving.dashboard.app import create_app
from marketstream.serving.dashboard.sources import Sources

BASE = "http://screens.example:8050"
PAGE = {"Accept": "text/html,*/*"}
HERE = {"Origin": BASE, "Sec-Fetch-Site": "same-origin"}
DASH = ("/_dash-layout", "/_dash-dependencies", "/assets/market.css", "/nowhere")


def client_of(world: Any, door: Door, base: str = BASE, **settings: Any) -> httpx.AsyncClient:
    app = create_app(Sources(market_data=world.market_data), door.access("dashboard", **settings))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=base)


@pytest.fixture
async def client(world: Any, door: Door) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(world, door) as opened:
        yield opened


async def sign_in(client: httpx.AsyncClient, credential: str, **form: str) -> httpx.Response:
    return await client.post("/login", data={"credential": credential, **form}, headers=HERE)


async def test_strangers_see_the_sign_in_page_and_nothing_else(client: httpx.AsyncClient) -> None:
    sent = await client.get("/?symbol=IBM&window=1min", headers=PAGE)
    assert (sent.status_code, sent.headers["location"]) == (303, "/login?next=%2F%3Fsymbol%3DIBM%26window%3D1min")
    page = await client.get(sent.headers["location"])
    assert page.status_code == 200
    assert 'value="/?symbol=IBM&amp;window=1min"' in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    for path in ("/login/login.css", "/login/scheme.js", "/health/live"):
        assert (await client.get(path)).status_code == 200, path
    for path in DASH:
        answer = await client.get(path)
        assert answer.status_code == 401, path
        assert answer.headers["www-authenticate"] == 'Bearer realm="marketstream"'
    assert (await client.post("/_dash-update-component", json={})).status_code == 401


async def test_a_key_signs_in_and_out(client: httpx.AsyncClient, door: Door) -> None:
    signed_in = await sign_in(client, f" {door.key()} ", next="/?symbol=IBM")
    assert (signed_in.status_code, signed_in.headers["location"]) == (303, "/?symbol=IBM")
    cookie = signed_in.headers["set-cookie"]
    for wanted in ("marketstream_session=", "HttpOnly", "SameSite=strict", "Path=/", "Max-Age=43200"):
        assert wanted in cookie
    assert "Secure" not in cookie  # in clear, a browser would not send it back
    assert "Sign out" in (await client.get("/_dash-layout")).text
    assert (await client.get("/", headers=PAGE)).status_code == 200
    assert (await client.get("/login")).headers["location"] == "/"
    kept = client.cookies["marketstream_session"]
    out = await client.post("/logout", headers=HERE)
    assert (out.status_code, out.headers["location"]) == (303, "/login")
    assert "marketstream_session" not in client.cookies
    again = await client.get("/_dash-layout", headers={"Cookie": f"marketstream_session={kept}"})
    assert again.json()["type"] == "/problems/access-revoked"
    assert [each.action for each in door.store.log.values()][1:] == ["sign-in", "sign-out"]


async def test_over_tls_the_cookie_is_for_this_host_alone(world: Any, door: Door) -> None:
    async with client_of(world, door, "https://screens.example") as client:
        answer = await client.post("/login", data={"credential": door.key()}, headers={"Sec-Fetch-Site": "same-origin"})
        assert answer.headers["set-cookie"].startswith("__Host-marketstream_session=")
        assert "Secure" in answer.headers["set-cookie"]
        assert answer.headers["strict-transport-security"] == "max-age=31536000"
        assert (await client.get("/_dash-layout")).status_code == 200


async def test_a_token_signs_in_too_and_headers_need_no_session(client: httpx.AsyncClient) -> None:
    header = {"Authorization": f"Bearer {token()}"}
    assert (await client.get("/_dash-layout", headers=header)).status_code == 200
    assert (await sign_in(client, token())).status_code == 303
    assert (await client.get("/_dash-layout")).status_code == 200


async def test_what_does_not_open_is_said_on_the_page(client: httpx.AsyncClient, door: Door) -> None:
    credentials = {
        "": "bring an API key",
        "nonsense": "neither an API key nor a token",
        door.key()[:-1] + "!": "no such API key",
        door.expired(): "has expired",
        door.revoked(): "was revoked",
        door.key(Role.ADMIN, "rest", name="rest"): "not for dashboard",
        token(exp=1): "has expired",
    }
    for credential, words in credentials.items():
        answer = await sign_in(client, credential)
        assert (answer.status_code, "set-cookie" in answer.headers) == (401, False), words
        assert words in answer.text
        assert not credential or credential not in answer.text
    await sign_in(client, "x" * 20_000)
    assert not client.cookies


async def test_guessing_on_the_page_ends_soon(world: Any, door: Door) -> None:
    async with client_of(world, door, failures=2) as client:
        statuses = [(await sign_in(client, f"guess{n}")).status_code for n in range(3)]
        right = await sign_in(client, door.key())
    assert statuses == [401, 401, 429]
    assert right.status_code == 429
    assert int(right.headers["retry-after"]) > 0


@pytest.mark.parametrize(
    "following",
    ["//evil.example", "/\\evil.example", "https://evil.example", "javascript:alert(1)", "/\tevil", "/login", "/ä", ""],
)
async def test_nobody_is_sent_elsewhere(client: httpx.AsyncClient, door: Door, following: str) -> None:
    assert (await sign_in(client, door.key(), next=following)).headers["location"] == "/"
    assert "evil" not in (await client.get("/login", params={"next": following})).text


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}],
)
async def test_pages_of_other_sites_can_neither_sign_in_nor_act(
    client: httpx.AsyncClient, door: Door, headers: dict[str, str]
) -> None:
    key = door.key()
    refused = await client.post("/login", data={"credential": key}, headers=headers)
    assert (refused.status_code, "set-cookie" in refused.headers) == (403, False)
    await sign_in(client, key)
    for path in ("/_dash-update-component", "/logout"):
        assert (await client.post(path, json={}, headers=headers)).status_code == 403
    assert (await client.get("/_dash-layout")).status_code == 200


async def test_a_session_ends_with_its_key(world: Any, door: Door) -> None:
    key, stored = door.stored_key(Wish(name="desk", role=Role.VIEWER))
    async with client_of(world, door, cache_seconds=0.01) as client:
        await sign_in(client, key)
        assert (await client.get("/_dash-layout")).status_code == 200
        door.store.revoke(stored.key_id, entry())
        for _ in range(1_000):
            answer = await client.get("/_dash-layout")
            if answer.status_code == 401:
                break
        assert answer.json()["type"] == "/problems/access-revoked"
        assert (await client.get("/", headers=PAGE)).headers["location"].startswith("/login")


async def test_an_open_dashboard_has_neither_page_nor_button(world: Any, door: Door) -> None:
    async with client_of(world, door, "http://127.0.0.1:8050", required=False) as client:
        assert (await client.get("/", headers=PAGE)).status_code == 200
        assert "Sign out" not in (await client.get("/_dash-layout")).text
    async with client_of(world, door, "http://rebound.example", required=False) as client:
        assert (await client.get("/", headers=PAGE)).status_code == 403

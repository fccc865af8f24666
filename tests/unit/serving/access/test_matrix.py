"""Who may not: every REST route with no, a wrong, an expired, a revoked, a too low and a right credential."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from doors import Door, token
from graphql_asking import services_of
from marketstream.contracts.dead_letters import LetterGroups, Letters
from marketstream.domain.errors import ConfigurationError
from marketstream.serving.access.access import Access
from marketstream.serving.access.principal import Role
from marketstream.serving.access.rules import Rules
from marketstream.serving.api.app import Extras, create_app
from marketstream.serving.api.permissions import RULES
from marketstream.serving.exports import Exports
from marketstream.serving.platform_metrics import PlatformMetrics, Scraped

ROLE_OF = {entry: role for entry, role in RULES.table.items() if not entry.startswith("WS ")}
GUARDED = sorted(entry for entry, role in ROLE_OF.items() if role is not None)
PUBLIC = sorted(entry for entry, role in ROLE_OF.items() if role is None)
ANSWERED = (200, 404, 405, 422)  # 405 of a path that there is for another method only
SAMPLES = {"symbol": "BTCUSDT", "letter_id": "2:17", "dataset": "ticks"}


class Desk:
    """A desk without letters: what it answers is not the question here."""

    def letters(self, *_: object) -> Letters:
        return Letters(letters=[], more=False, scanned=0)

    def groups(self, *_: object) -> LetterGroups:
        return LetterGroups(groups=[], complete=True, scanned=0)

    def letter(self, *_: object) -> None:
        return None

    def reinject(self, *_: object, **__: object) -> Any:
        raise AssertionError("nothing was to be put back")


def extras(world: Any) -> Extras:
    """All there is to serve, so that every route is there."""
    metrics = PlatformMetrics(lambda: Scraped([""]), list, dict)
    desk: Any = Desk()
    graphql = services_of(world.market_data)
    return Extras(dead_letters=desk, exports=Exports(world.history), metrics=metrics, graphql=graphql)


@pytest.fixture
async def client(world: Any, door: Door) -> AsyncIterator[httpx.AsyncClient]:
    access = door.access(burst=100_000, failures=100_000)
    app = create_app(world.market_data, world.feed_data, extras(world), access)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=("203.0.113.9", 5))
    async with httpx.AsyncClient(transport=transport, base_url="http://market.example") as opened:
        yield opened


async def ask(client: httpx.AsyncClient, route: str, headers: dict[str, str] | None = None) -> httpx.Response:
    method, _, template = route.partition(" ")
    body = {"json": {"wrong": "body"}} if method in ("POST", "PUT", "PATCH") else {}
    return await client.request(method, template.format(**SAMPLES), headers=headers, **body)


def bearer(credential: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {credential}"}


def problem(response: httpx.Response, status: int, kind: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body["type"].endswith(kind), body
    assert body["status"] == status
    assert body["request_id"] == response.headers["x-request-id"]
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-content-type-options"] == "nosniff"
    return body


async def test_nobody_unknown_comes_in(client: httpx.AsyncClient, door: Door) -> None:
    right = door.key(Role.ADMIN)
    for route in GUARDED:
        nothing = await ask(client, route)
        problem(nothing, 401, "access-missing")
        assert nothing.headers["www-authenticate"] == 'Bearer realm="marketstream"'
        wrong = {
            "an unknown key": f"msk_{'a' * 12}_{'b' * 43}",
            "another secret": f"{right[:17]}{'c' * 43}",
            "half a key": right[:-1],
            "more than a key": right + "x",
            "words": "let me in",
            "another signature": token("admin", secret="b" * 40),
        }
        for what, credential in wrong.items():
            answer = await ask(client, route, bearer(credential) if len(what) % 2 else {"X-API-Key": credential})
            problem(answer, 401, "access-invalid")
            assert 'error="invalid_token"' in answer.headers["www-authenticate"], what
            assert credential not in answer.text + answer.headers["www-authenticate"]


async def test_what_has_ended_opens_nothing(client: httpx.AsyncClient, door: Door) -> None:
    expired, revoked = door.expired(), door.revoked()
    for route in GUARDED:
        problem(await ask(client, route, bearer(expired)), 401, "access-expired")
        problem(await ask(client, route, bearer(revoked)), 401, "access-revoked")
        problem(await ask(client, route, bearer(token("admin", exp=1))), 401, "access-expired")


async def test_each_role_does_what_it_may(client: httpx.AsyncClient, door: Door) -> None:
    credentials = {role: (door.key(role, name=role.word), token(role.word)) for role in Role}
    for route in GUARDED:
        needed = ROLE_OF[route]
        assert needed is not None
        for role, both in credentials.items():
            for credential in both:
                for headers in (bearer(credential), {"X-API-Key": credential}):
                    answer = await ask(client, route, headers)
                    if role < needed:
                        problem(answer, 403, "access-role")
                        challenge = answer.headers["www-authenticate"]
                        assert 'error="insufficient_scope"' in challenge
                        assert f'scope="{needed.word}"' in challenge
                    else:
                        assert answer.status_code in ANSWERED, answer.text
                        assert answer.headers["cache-control"].startswith(("private", "no-store"))
                        assert "Authorization" in answer.headers["vary"]


async def test_a_key_for_something_else_opens_nothing(client: httpx.AsyncClient, door: Door) -> None:
    elsewhere, both = door.key(Role.ADMIN, "websocket"), door.key(Role.ADMIN, "websocket", "rest", name="both")
    graphql = door.key(Role.ADMIN, "graphql", name="graph")
    for route in GUARDED:
        problem(await ask(client, route, bearer(elsewhere)), 403, "access-scope")
        is_graphql = route.endswith("/graphql")
        there = await ask(client, route, bearer(graphql if is_graphql else both))
        assert there.status_code in ANSWERED
        problem(await ask(client, route, bearer(both if is_graphql else graphql)), 403, "access-scope")


async def test_what_is_public_asks_nobody(client: httpx.AsyncClient) -> None:
    for route in PUBLIC:
        for headers in (None, bearer("nonsense")):
            assert (await ask(client, route, headers)).status_code in (200, 307), route


async def test_strangers_are_not_told_what_the_stores_say(client: httpx.AsyncClient, world: Any, door: Door) -> None:
    world.cache.available = False
    secret = "the fake cache is away"
    stranger = (await ask(client, "GET /health/ready")).json()["dependencies"]["cache"]
    known = (await ask(client, "GET /health/ready", bearer(door.key()))).json()["dependencies"]["cache"]
    assert stranger["error"] == "away"
    assert known["error"] != "away", secret


async def test_what_no_rule_knows_does_not_exist(client: httpx.AsyncClient, door: Door) -> None:
    problem(await client.get("/nowhere"), 401, "access-missing")
    problem(await client.get("/nowhere", headers=bearer(door.key())), 404, "not-found")
    answer = await client.delete("/api/v1/symbols", headers=bearer(door.key(Role.ADMIN)))
    problem(answer, 405, "method-not-allowed")
    assert answer.headers["allow"] == "GET"


async def test_a_route_without_a_rule_is_never_served(door: Door) -> None:
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)

    @app.get("/known")
    @app.post("/forgotten/{name}")
    def route() -> None: ...

    from marketstream.serving.access.middleware import guard

    with pytest.raises(ConfigurationError, match=r"POST /forgotten/\{name\}"):
        guard(app, door.access(), Rules({"GET /known": Role.VIEWER}))


def test_every_rule_has_a_route(world: Any, door: Door) -> None:
    inner = create_app(world.market_data, world.feed_data, extras(world), door.access())
    served = set(RULES.entries(inner._app.routes))  # type: ignore[attr-defined]  # what the envelope is around
    assert served == RULES.table.keys()


async def test_the_description_says_who_is_asked(world: Any, client: httpx.AsyncClient, door: Door) -> None:
    schema = (await client.get("/openapi.json")).json()
    assert set(schema["components"]["securitySchemes"]) == {"key", "bearer"}
    described = {
        f"{method.upper()} {path}": operation
        for path, operations in schema["paths"].items()
        for method, operation in operations.items()
    }
    for route, operation in described.items():
        role = ROLE_OF[route]
        assert ("security" in operation) == (role is not None), route
        assert operation["responses"].get("403", {}).get("description", "").endswith(role.word if role else ""), route
    page = (await client.get("/docs")).text
    assert page.count("X-API-Key: …") == len([route for route in described if ROLE_OF[route] is not None])
    opened = (await client_of(world, door.access(required=False)).get("/openapi.json")).json()
    assert "securitySchemes" not in opened["components"]
    assert not any("401" in each["responses"] for path in opened["paths"].values() for each in path.values())


async def test_pages_of_named_origins_ask_first_and_read_refusals_too(world: Any, door: Door) -> None:
    app = create_app(world.market_data, extras=Extras(cors_origins=["https://charts.example"]), access=door.access())
    page = {"Origin": "https://charts.example"}
    asked = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://market.example") as client:
        preflight = await client.options("/api/v1/symbols", headers=page | asked)
        assert preflight.status_code == 200
        assert "authorization" in preflight.headers["access-control-allow-headers"].lower()
        refused = await client.get("/api/v1/symbols", headers=page)
        problem(refused, 401, "access-missing")
        assert refused.headers["access-control-allow-origin"] == "https://charts.example"
        exposed = refused.headers["access-control-expose-headers"]
        assert {"WWW-Authenticate", "RateLimit", "RateLimit-Policy"} <= set(exposed.split(", "))
        answer = await client.get("/api/v1/symbols", headers=page | bearer(door.key()))
        assert answer.status_code == 200
        assert {"origin", "authorization", "x-api-key"} <= set(answer.headers["vary"].lower().split(", "))
        assert (
            "access-control-allow-origin" not in (await client.get("/", headers={"Origin": "https://x.test"})).headers
        )


async def test_two_credentials_are_one_too_many(client: httpx.AsyncClient, door: Door) -> None:
    key = door.key()
    problem(await client.get("/api/v1/symbols", headers=bearer(key) | {"X-API-Key": key}), 400, "bad-credentials")
    problem(await client.get("/api/v1/symbols", headers={"Authorization": f"Basic {key}"}), 400, "bad-credentials")
    problem(await client.get(f"/api/v1/symbols?api_key={key}&access_token={key}"), 401, "access-missing")


async def test_changes_are_recorded_and_looks_are_not(client: httpx.AsyncClient, door: Door) -> None:
    key, trader = door.key(Role.ADMIN), door.key(Role.TRADER, name="trader")
    before = set(door.store.log)
    await ask(client, "GET /api/v1/symbols", bearer(key))
    await ask(client, "POST /api/v1/dead-letters/reinject")  # by a stranger
    refused = await ask(client, "POST /api/v1/dead-letters/reinject", bearer(trader))
    failed = await ask(client, "POST /api/v1/dead-letters/reinject", bearer(key))
    recorded = [each for name, each in door.store.log.items() if name not in before]
    assert [(each.who, each.outcome, each.detail["status"]) for each in recorded] == [
        ("key:trader", "refused", 403),
        ("key:desk", "failed", 422),
    ]
    assert {each.action for each in recorded} == {"POST /api/v1/dead-letters/reinject"}
    assert {each.address for each in recorded} == {"203.0.113.9"}
    assert [each.request_id for each in recorded] == [each.headers["x-request-id"] for each in (refused, failed)]


async def test_a_record_that_can_not_be_stored_waits_and_stops_nothing(client: httpx.AsyncClient, door: Door) -> None:
    key = door.key(Role.ADMIN)
    assert (await ask(client, "GET /api/v1/symbols", bearer(key))).status_code == 200
    before = len(door.store.log)
    door.store.available = False
    assert (await ask(client, "POST /api/v1/dead-letters/reinject", bearer(key))).status_code == 422
    door.store.available = True
    assert len(door.store.log) == before
    await ask(client, "POST /api/v1/dead-letters/reinject", bearer(key))
    assert len(door.store.log) == before + 2


async def test_known_keys_go_on_while_the_database_is_away(client: httpx.AsyncClient, door: Door) -> None:
    key = door.key()
    assert (await ask(client, "GET /api/v1/symbols", bearer(key))).status_code == 200
    door.store.available = False
    assert (await ask(client, "GET /api/v1/symbols", bearer(key))).status_code == 200
    assert (await ask(client, "GET /api/v1/symbols", bearer(token()))).status_code == 200


async def test_without_ever_a_reading_nobody_knows(world: Any, door: Door) -> None:
    key = door.key()
    door.store.available = False
    client = client_of(world, door.access())
    answer = await client.get("/api/v1/symbols", headers=bearer(key))
    problem(answer, 503, "access-unchecked")
    assert answer.headers["retry-after"]


def client_of(world: Any, access: Access, base_url: str = "http://127.0.0.1:8000") -> httpx.AsyncClient:
    transport = httpx.ASGITransport(create_app(world.market_data, access=access), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url=base_url)


async def test_the_rate_is_told_and_kept_by_principal(world: Any, door: Door) -> None:
    client = client_of(world, door.access(burst=3, requests_per_second=0.001))
    first, second = bearer(door.key(name="a")), bearer(door.key(name="b"))
    answers = [await client.get("/api/v1/symbols", headers=first) for _ in range(4)]
    assert [each.status_code for each in answers] == [200, 200, 200, 429]
    assert answers[0].headers["ratelimit-policy"] == '"requests";q=3;w=3000'
    assert [each.headers["ratelimit"].split(";")[1] for each in answers] == ["r=2", "r=1", "r=0", "r=0"]
    assert int(answers[3].headers["retry-after"]) == int(answers[3].headers["ratelimit"].split("t=")[1]) > 900
    body = problem(answers[3], 429, "#quota-exceeded")
    assert body["violated-policies"] == ["requests"]
    assert (await client.get("/api/v1/symbols", headers=second)).status_code == 200


async def test_guessing_ends_soon_and_locks_out_nobody_who_was_right(world: Any, door: Door) -> None:
    client = client_of(world, door.access(failures=3, failure_seconds=3_000))
    known, other = bearer(door.key(name="known")), bearer(door.key(name="other"))
    assert (await client.get("/api/v1/symbols", headers=known)).status_code == 200
    wrong = [await client.get("/api/v1/symbols", headers=bearer(f"msk_{'a' * 12}_{n:043}")) for n in range(4)]
    assert [each.status_code for each in wrong] == [401, 401, 401, 429]
    assert wrong[3].json()["violated-policies"] == ["failures"]
    assert int(wrong[3].headers["retry-after"]) > 900
    assert (await client.get("/api/v1/symbols", headers=other)).status_code == 429  # it could be the right guess
    assert (await client.get("/api/v1/symbols", headers=known)).status_code == 200


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost", "[::1]:8000", "api.localhost"])
async def test_an_open_door_serves_this_machine(world: Any, door: Door, host: str) -> None:
    client = client_of(world, door.access(required=False), f"http://{host}")
    answer = await client.get("/api/v1/symbols")
    assert answer.status_code == 200
    assert "ratelimit" not in answer.headers


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "rebound.example"},
        {"Host": "127.0.0.1.example"},
        {"Host": "["},
        {"Host": ""},
    ],
)
async def test_an_open_door_serves_no_other_name(world: Any, door: Door, headers: dict[str, str]) -> None:
    client = client_of(world, door.access(required=False))
    problem(await client.get("/api/v1/symbols", headers=headers), 403, "cross-site")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://["}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "http://127.0.0.1:8050", "Sec-Fetch-Site": "same-site"}, 404),
        ({"Origin": "https://charts.example", "Sec-Fetch-Site": "cross-site"}, 404),
        ({"Sec-Fetch-Site": "same-origin"}, 404),
        ({}, 404),
    ],
)
async def test_pages_of_other_sites_change_nothing_here(
    world: Any, door: Door, headers: dict[str, str], status: int
) -> None:
    client = client_of(world, door.access(required=False))
    assert (await client.post("/api/v1/nothing", headers=headers)).status_code == status

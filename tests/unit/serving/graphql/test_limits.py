"""What asks too much is refused before anything is done for it: deep, wide, aliased, endless, long."""

import time
from typing import Any

import httpx
import pytest
from graphql import get_introspection_query, parse

from graphql_asking import Asking, app_of, services_of
from marketstream.serving.graphql.limits import Scales, Weight
from marketstream.serving.graphql.schema import build_schema
from marketstream.settings import GraphqlSettings

BOMB = "query { ...f0 } " + " ".join(
    f"fragment f{n} on Query {{ a{n}: windows ...f{n + 1} ...f{n + 1} }}" for n in range(60)
)
HUGE: dict[str, tuple[str, str]] = {
    "deep": ("{ symbols " + "{ symbols " * 12 + "{ name } " + "} " * 13, "depth"),
    "wide": ("{ symbols { " + "name " * 500 + "} }", "fields"),
    "many aliases": ("{ " + " ".join(f"a{n}: windows" for n in range(40)) + " }", "aliases"),
    "many rows of many symbols": ("{ symbols(limit: 500) { bars(limit: 10000) { nodes { open } } } }", "cost"),
    "rows times rows": ("{ symbols(limit: 500) { ticks(limit: 100) { nodes { price } } } }", "cost"),
    "many lists": (
        "{ symbols(limit: 500) { " + " ".join(f"a{n}: bars(limit: 1) {{ source }}" for n in range(10)) + " } }",
        "cost",
    ),
    "fragments of fragments": (BOMB + " fragment f60 on Query { windows }", "fields"),
}


def weight(query: str, **variables: Any) -> Weight:
    return Scales(build_schema(GraphqlSettings())._schema, parse(query), variables).weigh()


@pytest.mark.parametrize("what", HUGE)
async def test_what_asks_too_much_is_refused(asking: Asking, what: str) -> None:
    query, named = HUGE[what]
    errors = (await asking.body(query))["errors"]
    assert {error["extensions"]["code"] for error in errors} == {"asks-too-much"}
    assert named in {error["extensions"]["what"] for error in errors}


@pytest.mark.parametrize(
    "query",
    [
        "{ a(" + "[" * 700 + "]" * 700 + ") }",
        "{ symbols" + "{ a " * 700,
        "{ " + "windows " * 1_600 + "}",
        "{ ...f } fragment f on Query { ...f }",
        "{ ...f } fragment f on Query { ...g } fragment g on Query { ...f }",
        "{ ...nothing }",
        "{",
        "",
        "\0",
        "{ symbols(limit: 99999999999999999999999999) { name } }",
        "query ($a: Int = 99999999999999999999) { symbols(limit: $a) { name } }",
    ],
)
async def test_whatever_is_sent_ends_as_an_error(asking: Asking, query: str) -> None:
    answer = await asking.client.post("/graphql", json={"query": query})
    if answer.status_code != 200:
        assert (query, answer.status_code, answer.json()["type"]) == ("", 422, "/problems/invalid-parameter")
        return
    for error in answer.json()["errors"]:
        assert error["extensions"]["code"] in ("bad-document", "asks-too-much")


async def test_a_bomb_costs_no_time(asking: Asking) -> None:
    # Written out it has 2^60 fields: this ends at all.
    started = time.process_time()
    await asking.body(HUGE["fragments of fragments"][0])
    assert time.process_time() - started < 20


def test_a_weight_is_about_what_the_answer_holds() -> None:
    bars = "bars(limit: 50) { nodes { open close } }"
    assert weight("{ windows }") == Weight(1, 1, 0, 1)
    one = weight(f'{{ symbol(name: "A") {{ {bars} }} }}')
    assert (one.depth, one.fields, one.aliases) == (4, 5, 0)
    assert 50 * 2 <= one.cost <= 50 * 5 + 12
    ten = weight(f"{{ symbols(limit: 10) {{ {bars} }} }}")
    assert 10 * one.cost - 20 <= ten.cost <= 10 * one.cost + 30
    named = weight(f'{{ symbols(names: ["A", "B"]) {{ {bars} }} }}')
    assert named.cost < ten.cost / 4


def test_a_weight_counts_what_variables_and_fragments_bring() -> None:
    plain = weight("{ symbols(limit: 7) { bars(limit: 9) { nodes { open } } } }")
    asked = "query ($a: Int!, $b: Int = 9) { symbols(limit: $a) { bars(limit: $b) { nodes { open } } } }"
    assert weight(asked, a=7) == plain
    spread = "{ symbols(limit: 7) { ...f } } fragment f on Symbol { bars(limit: 9) { ... { nodes { open } } } }"
    assert weight(spread) == plain
    names = "query ($n: [String!]) { symbols(names: $n) { name } }"
    assert weight(names, n=["A"] * 300).cost > 300
    assert weight("{ symbols { name } }").cost > 100  # the argument's own default


async def test_what_tools_ask_of_the_schema_fits(asking: Asking) -> None:
    said = await asking.data(get_introspection_query(descriptions=True))
    assert {"Bar", "Symbol", "Subscription"} <= {each["name"] for each in said["__schema"]["types"]}


async def test_the_schema_is_told_only_where_the_settings_say_so(world: Any) -> None:
    services = services_of(world.market_data, introspection=False)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app_of(services)), base_url="http://test") as client:
        asking = Asking(client)
        for query in (get_introspection_query(), '{ __type(name: "Bar") { name } }'):
            errors = (await asking.body(query))["errors"]
            assert errors[0]["extensions"]["code"] in ("bad-document", "asks-too-much")
        assert await asking.data("{ windows __typename }") == {
            "windows": ["1min", "5min", "15min"],
            "__typename": "Query",
        }
        assert (await client.get("/graphql/schema")).status_code == 404
        assert (await client.get("/graphql")).status_code == 200


@pytest.mark.parametrize(
    ("content", "headers", "status", "kind"),
    [
        (b"{", {}, 400, "bad-json"),
        (b"[]", {}, 422, "invalid-parameter"),
        (b'[{"query": "{ windows }"}]', {}, 422, "invalid-parameter"),
        (b'{"query": 5}', {}, 422, "invalid-parameter"),
        (b'{"query": "{ windows }", "variables": [1]}', {}, 422, "invalid-parameter"),
        (b'{"query": "{ windows }"}', {"Content-Type": "text/plain"}, 415, "unsupported-media-type"),
        (b'{"query": "' + b" " * 70_000 + b'"}', {}, 413, "too-large"),
    ],
)
async def test_a_body_that_is_none_is_a_problem(
    asking: Asking, content: bytes, headers: dict[str, str], status: int, kind: str
) -> None:
    sent = {"Content-Type": "application/json", **headers}
    answer = await asking.client.post("/graphql", content=content, headers=sent)
    assert (answer.status_code, answer.json()["type"]) == (status, f"/problems/{kind}")
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_client_of_the_new_media_type_gets_its_statuses(asking: Asking) -> None:
    headers = {"Accept": "application/graphql-response+json"}
    for query, status in (("{ windows }", 200), ("{ nothing }", 400), ('{ symbol(name: "NO") { name } }', 200)):
        answer = await asking.client.post("/graphql", json={"query": query}, headers=headers)
        assert (answer.status_code, answer.headers["content-type"]) == (status, headers["Accept"])
        assert ("data" in answer.json()) == (status == 200)


async def test_what_takes_too_long_is_given_up(world: Any) -> None:
    services = services_of(world.market_data, timeout_seconds=0.05)
    waited = world.history.bars_of

    def slow(*arguments: Any, **named: Any) -> Any:
        time.sleep(0.5)
        return waited(*arguments, **named)

    world.history.bars_of = slow
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app_of(services)), base_url="http://test") as client:
        error = await Asking(client).error('{ symbol(name: "BTCUSDT") { bars { source } } }')
    assert (error["extensions"]["code"], error["extensions"]["status"]) == ("timeout", 503)


async def test_the_page_loads_nothing_from_elsewhere(asking: Asking) -> None:
    page = await asking.client.get("/graphql")
    script = await asking.client.get("/graphql/console.js")
    schema = await asking.client.get("/graphql/schema")
    assert (page.status_code, script.status_code, schema.status_code) == (200, 200, 200)
    assert "//" not in page.text
    assert "https:" not in script.text
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert "type Query" in schema.text

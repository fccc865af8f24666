"""Every example of the OpenAPI description is what the server answers: request by request, field by field."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import jsonschema
import pytest
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from examples_world import ExamplesWorld, examples_world
from marketstream.serving.api.examples import (
    PATH_VALUES,
    REQUEST_ID,
    UNKNOWN_LETTER,
    UNKNOWN_PARAMETER,
    UNKNOWN_SYMBOL,
    UNKNOWN_TYPE,
)
from marketstream.serving.api.problems import MEDIA_TYPE

Operation = tuple[str, str]  # method and path template


@pytest.fixture
async def described(client: httpx.AsyncClient) -> dict[str, Any]:
    """The description as it is served."""
    document: dict[str, Any] = (await client.get("/openapi.json")).json()
    return document


def client_of(world: ExamplesWorld) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(world.app), base_url="http://test")


@pytest.fixture
def world() -> ExamplesWorld:
    return examples_world()


@pytest.fixture
async def client(world: ExamplesWorld) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(world) as opened:
        yield opened


def operations(described: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


async def send(
    client: httpx.AsyncClient, described: dict[str, Any], method: str, path: str, **changes: Any
) -> httpx.Response:
    operation = described["paths"][path][method]
    values = {**PATH_VALUES, **changes.get("values", {})}
    query = {**operation.get("x-example-query", {}), **changes.get("query", {})}
    body = None
    if "requestBody" in operation:
        name = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].rsplit("/", 1)[-1]
        body = described["components"]["schemas"][name]["example"]
    headers = {"X-Request-ID": REQUEST_ID, **changes.get("headers", {})}
    return await client.request(method, path.format_map(values), params=query, json=body, headers=headers)


def without_durations(value: Any) -> Any:
    """The same, but for how long something took just now."""
    if isinstance(value, dict):
        return {name: without_durations(part) for name, part in value.items() if name != "milliseconds"}
    return value


async def test_every_answer_is_as_its_example(client: httpx.AsyncClient, described: dict[str, Any]) -> None:
    checked = 0
    for method, path, operation in operations(described):
        content = operation["responses"]["200"]["content"]
        if "application/json" not in content:
            continue
        answer = await send(client, described, method, path)
        assert answer.status_code == 200, (path, answer.text)
        assert without_durations(answer.json()) == without_durations(content["application/json"]["example"]), path
        checked += 1
    assert checked >= 20


async def test_every_example_fits_its_schema(described: dict[str, Any]) -> None:
    resource = Resource.from_contents(described, default_specification=DRAFT202012)
    registry: Registry[Any] = Registry().with_resource("urn:openapi", resource)
    for _, path, operation in operations(described):
        for status, answer in operation["responses"].items():
            for media_type, content in answer.get("content", {}).items():
                if "json" not in media_type:
                    continue
                reference = {"$ref": f"urn:openapi{content['schema']['$ref']}"}
                validator = jsonschema.Draft202012Validator(reference, registry=registry)
                assert "example" in content, (path, status)
                validator.validate(content["example"])


@pytest.mark.parametrize(
    ("status", "changes"),
    [
        (404, {"values": {"symbol": UNKNOWN_SYMBOL, "letter_id": UNKNOWN_LETTER}, "query": {}}),
        (406, {"headers": {"Accept": UNKNOWN_TYPE}}),
        (422, {"query": {UNKNOWN_PARAMETER: "1"}}),
    ],
)
async def test_every_refusal_is_as_its_example(
    client: httpx.AsyncClient, described: dict[str, Any], status: int, changes: dict[str, Any]
) -> None:
    checked = 0
    for method, path, operation in operations(described):
        content = operation["responses"].get(str(status), {}).get("content", {})
        if MEDIA_TYPE not in content:
            continue
        asked = dict(changes)
        if status == 404 and "{" not in path.replace("{dataset}", ""):
            asked["query"] = {"symbol": UNKNOWN_SYMBOL}
        answer = await send(client, described, method, path, **asked)
        assert (answer.status_code, answer.headers["content-type"]) == (status, MEDIA_TYPE), (path, answer.text)
        assert answer.json() == content[MEDIA_TYPE]["example"], path
        checked += 1
    assert checked >= 4


async def test_every_outage_is_as_its_example(
    client: httpx.AsyncClient, described: dict[str, Any], world: ExamplesWorld
) -> None:
    world.take_everything_away()
    for method, path, operation in operations(described):
        content = operation["responses"].get("503", {}).get("content", {})
        if MEDIA_TYPE not in content or path == "/api/v1/symbols":  # which knows the configured ones without any store
            continue
        answer = await send(client, described, method, path)
        assert answer.status_code == 503, (path, answer.text)
        differs = {"detail": answer.json()["detail"]}  # names who is away
        assert answer.json() == {**content[MEDIA_TYPE]["example"], **differs}, path

"""Asks a Dash application what its browser would ask."""

from typing import Any

import httpx


async def call(client: httpx.AsyncClient, output: str, values: dict[str, Any], changed: str) -> dict[str, Any]:
    """Runs the callback whose outputs include `output`, as the browser does."""
    callbacks = (await client.get("/_dash-dependencies")).json()
    callback = next(c for c in callbacks if output in c["output"] and "@" not in c["output"])

    def filled(names: list[dict[str, str]]) -> list[dict[str, Any]]:
        return [{**name, "value": values.get(f"{name['id']}.{name['property']}")} for name in names]

    names = callback["output"].strip(".").split("...")
    outputs = [dict(zip(("id", "property"), name.rsplit(".", 1), strict=True)) for name in names]
    body = {
        "output": callback["output"],
        "outputs": outputs,
        "inputs": filled(callback["inputs"]),
        "state": filled(callback["state"]),
        "changedPropIds": [changed],
    }
    response = await client.post("/_dash-update-component", json=body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()["response"]
    return answer


async def visit(client: httpx.AsyncClient, path: str, query: str = "") -> str:
    """The components of the page there, as text."""
    place = {"place.data": {"path": path, "query": query}, "period.value": "2000"}
    answer = await call(client, "content.children", place, "place.data")
    return str(answer["content"]["children"])

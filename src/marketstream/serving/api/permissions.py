"""Which role each REST route needs. A route that is not here is refused when the application is built."""

from typing import Any

from marketstream.serving.access.principal import Role
from marketstream.serving.access.rules import Rules
from marketstream.serving.api.problems import MEDIA_TYPE, ProblemBody

_ANYBODY = None

RULES = Rules(
    {
        "GET /": _ANYBODY,
        "GET /docs": _ANYBODY,
        "GET /openapi.json": _ANYBODY,
        "GET /health/live": _ANYBODY,
        "GET /health/ready": _ANYBODY,
        "GET /api/v1/latest/{symbol}": Role.VIEWER,
        "GET /api/v1/quotes/{symbol}": Role.VIEWER,
        "GET /api/v1/ticks/{symbol}": Role.VIEWER,
        "GET /api/v1/aggregated/{symbol}": Role.VIEWER,
        "GET /api/v1/indicators/{symbol}": Role.VIEWER,
        "GET /api/v1/export/{dataset}": Role.VIEWER,
        "GET /api/v1/symbols": Role.VIEWER,
        "GET /api/v1/feeds": Role.VIEWER,
        "GET /api/v1/feeds/events": Role.VIEWER,
        "GET /api/v1/feeds/gaps": Role.VIEWER,
        "GET /api/v1/feeds/completeness": Role.VIEWER,
        "GET /api/v1/metrics/system": Role.VIEWER,
        "GET /api/v1/metrics/kafka": Role.VIEWER,
        "GET /api/v1/metrics/latency": Role.VIEWER,
        "GET /api/v1/metrics/cache": Role.VIEWER,
        "GET /api/v1/metrics/completeness": Role.VIEWER,
        # What providers sent and was refused may hold anything.
        "GET /api/v1/dead-letters": Role.TRADER,
        "GET /api/v1/dead-letters/groups": Role.TRADER,
        "GET /api/v1/dead-letters/reinject": Role.TRADER,
        "GET /api/v1/dead-letters/{letter_id}": Role.TRADER,
        "POST /api/v1/dead-letters/reinject": Role.ADMIN,
        "GET /graphql": _ANYBODY,  # a page that says what it is
        "GET /graphql/console.js": _ANYBODY,
        "GET /graphql/schema": _ANYBODY,  # where the settings let it be told
        "POST /graphql": Role.VIEWER,
        "WS /graphql": _ANYBODY,  # who comes without a header says who he is in `connection_init`
    },
    reading=("POST /graphql",),
    parts={"/graphql": "graphql"},
)

_SCHEMES = {
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key or a JSON Web Token"},
}


def describe(schema: dict[str, Any]) -> None:
    """Says in an OpenAPI description which operations ask who is there, how to say it, and how they refuse."""
    schema["components"]["securitySchemes"] = _SCHEMES
    content = {MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{ProblemBody.__name__}"}}}
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            role = RULES.table[f"{method.upper()} {path}"]
            refusals = {429: "Too many requests"}
            if role is not None:
                operation["security"] = [{name: []} for name in _SCHEMES]
                refusals |= {401: "No credential, or none that holds", 403: f"This needs the role {role.word}"}
            for status, text in sorted(refusals.items()):
                operation["responses"][str(status)] = {"description": text, "content": content}

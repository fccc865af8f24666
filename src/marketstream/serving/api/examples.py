"""Examples for the OpenAPI description: of every answer, and of failures as the operations really give them."""

from collections.abc import Iterable, Mapping
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute

from marketstream.domain.errors import StoreUnavailableError
from marketstream.serving.api.answers import FORMS, not_acceptable
from marketstream.serving.api.dead_letters import no_letter, unavailable
from marketstream.serving.api.exports import FILE_FORMS
from marketstream.serving.api.problems import (
    MEDIA_TYPE,
    Problem,
    ProblemBody,
    body_of,
    store_away,
    unknown_symbol,
    unreadable_body,
)
from marketstream.serving.api.strict import query_names, unknown_parameters

REQUEST_ID = "3bdfe5ff67b2478aae35224af2f9912a"
# What the examples' requests have in their paths, and what those that fail have instead.
PATH_VALUES = {"symbol": "BTCUSDT", "dataset": "ticks", "letter_id": "2:1734"}
# And in their queries, where an answer depends on the present otherwise.
QUERIES = {
    "/api/v1/feeds/completeness": {"symbol": "BTCUSDT", "start": "1699999980", "end": "1700000040"},
}
UNKNOWN_SYMBOL = "BTCUSD"
UNKNOWN_LETTER = "2:999999"
UNKNOWN_PARAMETER = "limits"
UNKNOWN_TYPE = "application/xml"


def exemplify(app: FastAPI, routers: Iterable[APIRouter]) -> None:
    """Puts the examples into the description, which the application remembers.

    FastAPI leaves out of an example whatever is null, so they are put back whole.
    """
    schema = app.openapi()
    components = schema.setdefault("components", {}).setdefault("schemas", {})
    components[ProblemBody.__name__] = ProblemBody.model_json_schema()
    for route in (route for router in routers for route in router.routes if isinstance(route, APIRoute)):
        for method in (route.methods or ()) if route.include_in_schema else ():
            operation = schema["paths"][route.path_format][method.lower()]
            if route.path_format in QUERIES:
                operation["x-example-query"] = QUERIES[route.path_format]
            for status, answer in operation["responses"].items():
                _exemplify(route, int(status), answer.get("content", {}), components)


def _exemplify(route: APIRoute, status: int, content: dict[str, Any], components: dict[str, Any]) -> None:
    model = route.responses.get(status, {}).get("model") or (route.response_model if status == 200 else None)
    if "application/json" in content and model is not None:
        example = (model.model_config.get("json_schema_extra") or {}).get("example")
        if example is not None:
            components[model.__name__]["example"] = content["application/json"]["example"] = example
    if MEDIA_TYPE in content:
        problem = _PROBLEMS[status](route)
        values = PATH_VALUES
        if status == 404:
            values = values | {"symbol": UNKNOWN_SYMBOL, "letter_id": UNKNOWN_LETTER}
        content[MEDIA_TYPE]["example"] = body_of(problem, route.path_format.format_map(values), REQUEST_ID)


def _not_found(route: APIRoute) -> Problem:
    if "{letter_id}" in route.path_format:
        return no_letter(UNKNOWN_LETTER)
    return unknown_symbol(UNKNOWN_SYMBOL, [PATH_VALUES["symbol"]])


def _not_acceptable(route: APIRoute) -> Problem:
    return not_acceptable(UNKNOWN_TYPE, FILE_FORMS if "{dataset}" in route.path_format else FORMS)


def _invalid(route: APIRoute) -> Problem:
    return unknown_parameters([UNKNOWN_PARAMETER], query_names(route))


def _unavailable(route: APIRoute) -> Problem:
    if "dead-letters" in route.path_format:
        return unavailable("Kafka", StoreUnavailableError("Kafka at 127.0.0.1:9092 does not answer"))
    return store_away(StoreUnavailableError("the database is away"))


_PROBLEMS: Mapping[int, Any] = {
    400: lambda _route: unreadable_body(),
    404: _not_found,
    406: _not_acceptable,
    422: _invalid,
    503: _unavailable,
}

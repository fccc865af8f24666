"""What the OpenAPI description says of answers: their models, their forms, their headers and their failures."""

from typing import Any

from pydantic import BaseModel

from marketstream.serving.api.answers import MEDIA_TYPES
from marketstream.serving.api.problems import problem_responses

Responses = dict[int | str, dict[str, Any]]

_TAGGED = {
    "ETag": {
        "description": "Stands for these very bytes; send it back as `If-None-Match`",
        "schema": {"type": "string"},
    }
}
_PAGED = {
    "Link": {"description": 'The next page, as `rel="next"`; absent after the last', "schema": {"type": "string"}}
}


_FILES: dict[str, Any] = {
    media_type: {"schema": {"type": "string"} if form == "csv" else {"type": "string", "format": "binary"}}
    for form, media_type in MEDIA_TYPES.items()
    if form != "json"
}


def files(*statuses: int) -> Responses:
    """Answers that come as a file only."""
    named = {"Content-Disposition": {"description": "The file's name", "schema": {"type": "string"}}}
    return {200: {"description": "The file", "headers": named, "content": _FILES}, **problem_responses(*statuses)}


def answers(model: type[BaseModel], *statuses: int) -> Responses:
    """Answers of an endpoint that has one form, JSON."""
    return {
        200: {"model": model, "headers": _TAGGED},
        304: {"description": "As the `If-None-Match` header has it"},
        **problem_responses(*statuses),
    }


def tables(model: type[BaseModel], *statuses: int) -> Responses:
    """Answers of a list that also comes as a file."""
    return {
        **answers(model, 406, *statuses),
        200: {"model": model, "headers": {**_TAGGED, **_PAGED}, "content": _FILES},
    }

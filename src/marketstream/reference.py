"""Writes the reference pages that the code itself determines: settings, topics, the GraphQL schema.

Writes: `docs/reference/settings.md`, `docs/reference/topics.md`, `docs/reference/schema.graphql`. Run it as
`python -m marketstream.reference`; a test fails while a page is out of date.
"""

import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import annotated_types
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from marketstream.contracts.schema_files import MESSAGE_OF_TOPIC, generate
from marketstream.contracts.topics import RETENTION_MS
from marketstream.settings import Settings

_MADE = "<!-- Made by `python -m marketstream.reference`; change the code, not this page. -->"
_KEYS = {
    "tick_data": "symbol",
    "aggregated_data": "symbol",
    "technical_indicators": "symbol",
    "quote_data": "symbol",
    "trade_cancels": "symbol",
    "provider_bars": "symbol",
    "alerts": "the alert's subject",
    "dead_letter_queue": "symbol, or provider where no symbol could be read",
    "dead_letter_marks": "the letter's id",
    "query_wakes": "the query's name",
    "feed_events": "provider",
}


def settings_page() -> str:
    """Every setting as a table for each section."""
    lines = [
        "# Settings",
        "",
        _MADE,
        "",
        "Every setting is an environment variable. `.env` in the working directory is read too, and "
        "`<data_dir>/secrets.env`, which the launcher writes; the environment wins over `.env`, which wins over the "
        "secrets. Lists are separated by commas. An empty variable means the default.",
    ]
    general = {name: field for name, field in Settings.model_fields.items() if not _is_section(field)}
    lines += ["", "## General", "", *_settings_table("MARKETSTREAM_", general, Settings.model_construct())]
    for name, field in Settings.model_fields.items():
        if _is_section(field):
            section = typing.cast(BaseModel, field.default)
            fields = type(section).model_fields
            summary = (type(section).__doc__ or "").partition("\n")[0]
            lines += ["", f"## {name}", "", summary, ""]
            lines += _settings_table(f"MARKETSTREAM_{name.upper()}__", fields, section)
    return "\n".join(lines) + "\n"


def topics_page() -> str:
    """Every topic with its key and the fields of its messages."""
    days = RETENTION_MS // (24 * 3_600 * 1_000)
    lines = [
        "# Topics",
        "",
        _MADE,
        "",
        f"Messages are JSON objects, compressed with snappy and kept for {days} days. Times are integer microseconds "
        "UTC. The schemas are files in `src/marketstream/contracts/schemas`; `marketstream schemas` compares them with "
        "the code. A reader passes over fields it does not know.",
    ]
    for topic in MESSAGE_OF_TOPIC:
        schema = generate(topic)
        title = f"{topic}_<interval>" if topic == "aggregated_data" else topic
        lines += ["", f"## `{title}`", "", f"{schema['description']} Key: {_KEYS[topic]}.", ""]
        lines += ["| field | type | |", "| --- | --- | --- |"]
        for name, field in schema["properties"].items():
            optional = "" if name in schema.get("required", ()) else " (optional)"
            kind = _schema_type(field, schema.get("$defs", {}))
            lines.append(f"| `{name}` | {kind}{optional} | {field['description']} |")
    return "\n".join(lines) + "\n"


def graphql_schema() -> str:
    """The schema that GraphQL serves, in GraphQL's own language."""
    from marketstream.serving.graphql.schema import sdl

    made = "# Made by `python -m marketstream.reference`; change the code, not this file."
    return f"{made}\n\n{sdl()}"


PAGES = {"settings.md": settings_page, "topics.md": topics_page, "schema.graphql": graphql_schema}


def _settings_table(prefix: str, fields: dict[str, FieldInfo], defaults: BaseModel) -> Iterator[str]:
    yield "| variable | default | accepts | |"
    yield "| --- | --- | --- | --- |"
    for name, field in fields.items():
        default = _default(getattr(defaults, name))
        accepts = ", ".join(filter(None, (_type(field.annotation), *map(_limit, field.metadata))))
        yield f"| `{prefix}{name.upper()}` | {default} | {accepts} | {field.description or ''} |"


def _is_section(field: FieldInfo) -> bool:
    return isinstance(field.default, BaseModel)


def _default(value: Any) -> str:
    if isinstance(value, SecretStr) or value is None or value in ("", {}):
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{','.join(map(str, value))}`" if isinstance(value, list | tuple) else f"`{value}`"


def _type(annotation: Any) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin in (list, tuple):
        return f"list of {_type(arguments[0])}"
    if origin is dict:
        return "JSON object"
    if origin is types.UnionType:
        return " or ".join(_type(argument) for argument in arguments if argument is not types.NoneType)
    names = {str: "text", SecretStr: "secret", int: "integer", float: "number", bool: "`true` or `false`", Path: "path"}
    return names[annotation]


def _limit(constraint: Any) -> str:
    signs = {
        annotated_types.Ge: ("ge", "≥"),
        annotated_types.Gt: ("gt", ">"),
        annotated_types.Le: ("le", "≤"),
        annotated_types.Lt: ("lt", "<"),
    }
    if type(constraint) not in signs:
        return ""
    attribute, sign = signs[type(constraint)]
    return f"{sign} {getattr(constraint, attribute)}"


def _schema_type(field: dict[str, Any], definitions: dict[str, Any]) -> str:
    if "$ref" in field:
        return _schema_type(definitions[field["$ref"].rpartition("/")[2]], definitions)
    if "anyOf" in field:
        return " or ".join(_schema_type(choice, definitions) for choice in field["anyOf"])
    if "enum" in field:
        return " or ".join(f"`{value}`" for value in field["enum"])
    return f"array of {_schema_type(field['items'], definitions)}" if field["type"] == "array" else str(field["type"])


def main() -> None:
    """Writes every page below the checkout in the working directory."""
    directory = Path("docs") / "reference"
    directory.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        (directory / name).write_text(page())


if __name__ == "__main__":
    main()

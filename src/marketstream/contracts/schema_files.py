"""JSON Schemas of the topics as committed files, and what a change of a message does to those who read it.

Writes: `schemas/<topic>.json` beside this module, one per topic (`aggregated_data` stands for every interval's topic).
"""

import inspect
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from marketstream.contracts.messages import MESSAGES, SCHEMAS
from marketstream.contracts.topics import (
    ALERTS,
    BARS_PREFIX,
    CANCELS,
    DEAD_LETTER_MARKS,
    DEAD_LETTERS,
    FEED_EVENTS,
    INDICATORS,
    PROVIDER_BARS,
    QUERY_WAKES,
    QUOTES,
    TICKS,
)

DIRECTORY = Path(__file__).parent / "schemas"
DIALECT = "https://json-schema.org/draft/2020-12/schema"
MESSAGE_OF_TOPIC = {
    TICKS: "tick",
    QUOTES: "quote",
    CANCELS: "cancel",
    PROVIDER_BARS: "bar",
    BARS_PREFIX.rstrip("_"): "bar",
    INDICATORS: "indicators",
    DEAD_LETTERS: "dead_letter",
    DEAD_LETTER_MARKS: "dead_letter_mark",
    FEED_EVENTS: "feed_event",
    ALERTS: "alert",
    QUERY_WAKES: "query_wake",
}

Schema = dict[str, Any]
_ANNOTATIONS = ("title", "description", "default")


class Change(StrEnum):
    """What a model's change means for who reads the topic."""

    NONE = "unchanged"
    COMPATIBLE = "changed compatibly"
    BREAKING = "changed incompatibly"


@dataclass(frozen=True, slots=True)
class Difference:
    """A topic's model against its committed file.

    Attributes:
        topic: The file's name without `.json`.
        change: How grave the difference is.
        breaks: What breaks readers, one sentence each; empty unless the change is breaking.
    """

    topic: str
    change: Change
    breaks: tuple[str, ...] = ()


def generate(topic: str) -> Schema:
    """The schema of a topic's messages, as readers may rely on it; field descriptions come from the docstring."""
    message = MESSAGE_OF_TOPIC[topic]
    schema = SCHEMAS[message].json_schema(mode="validation")
    documentation = inspect.getdoc(MESSAGES[message]) or ""
    schema["description"] = documentation.partition("\n")[0]
    for name, text in _attributes(documentation).items():
        schema["properties"][name]["description"] = text
    return {"$schema": DIALECT, **schema, "title": topic}


def differences(directory: Path = DIRECTORY) -> list[Difference]:
    """Compares every model with its committed file; a topic without a file is a compatible change."""
    return [_compare(topic, directory / f"{topic}.json") for topic in MESSAGE_OF_TOPIC]


def write(directory: Path = DIRECTORY) -> None:
    """Writes every topic's file."""
    directory.mkdir(parents=True, exist_ok=True)
    for topic in MESSAGE_OF_TOPIC:
        (directory / f"{topic}.json").write_text(json.dumps(generate(topic), indent=2) + "\n")


def breaking_changes(old: Schema, new: Schema) -> list[str]:
    """What makes messages of one schema unreadable by the other's readers, one sentence each.

    A field that is gone, has another type, lost an allowed value or became required breaks; a new optional field or a
    new allowed value does not (readers are to be updated before writers use it).
    """
    before, after = _fields(old), _fields(new)
    breaks = [f"{name} is gone" for name in before.keys() - after.keys()]
    required = set(new.get("required", ())) - set(old.get("required", ()))
    breaks += [f"{name} is required, and was not" for name in required]
    for name in before.keys() & after.keys():
        old_type, old_values = _split_values(before[name])
        new_type, new_values = _split_values(after[name])
        if old_type != new_type or (old_values is None) != (new_values is None):
            breaks.append(f"{name} has another type")
        elif lost := sorted((old_values or set()) - (new_values or set())):
            breaks.append(f"{name} no longer allows {', '.join(lost)}")
    return sorted(breaks)


def _compare(topic: str, path: Path) -> Difference:
    if not path.exists():
        return Difference(topic, Change.COMPATIBLE)
    old, new = json.loads(path.read_text()), generate(topic)
    if old == new:
        return Difference(topic, Change.NONE)
    breaks = tuple(breaking_changes(old, new))
    return Difference(topic, Change.BREAKING if breaks else Change.COMPATIBLE, breaks)


def _attributes(documentation: str) -> dict[str, str]:
    """The `Attributes:` section of a Google-style docstring, by name."""
    section = re.search(r"^Attributes:\n((?:    .*\n?|\n)+)", documentation, re.MULTILINE)
    entries = re.findall(r"^    (\w+): (.+(?:\n {8}.+)*)", section[1], re.MULTILINE) if section else []
    return {name: re.sub(r"\s+", " ", text) for name, text in entries}


def _fields(schema: Schema) -> dict[str, Any]:
    definitions = schema.get("$defs", {})
    return {name: _plain(field, definitions) for name, field in schema.get("properties", {}).items()}


def _plain(node: Any, definitions: Mapping[str, Any]) -> Any:
    """A schema node with references resolved and annotations, which change no message, left out."""
    if isinstance(node, dict):
        if "$ref" in node:
            return _plain(definitions[node["$ref"].rpartition("/")[2]], definitions)
        return {key: _plain(value, definitions) for key, value in node.items() if key not in _ANNOTATIONS}
    return [_plain(item, definitions) for item in node] if isinstance(node, list) else node


def _split_values(field: Any) -> tuple[Any, set[str] | None]:
    """A field's type and, where it is a plain enumeration, its allowed values."""
    if "const" in field:
        return {key: value for key, value in field.items() if key != "const"}, {str(field["const"])}
    if "enum" in field:
        return {key: value for key, value in field.items() if key != "enum"}, set(map(str, field["enum"]))
    return field, None

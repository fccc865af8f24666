"""The scalars that GraphQL lacks, and how fields are read from what the readers return."""

from collections.abc import Mapping
from typing import Any, NewType

import strawberry
from graphql import GraphQLError
from strawberry.schema.config import StrawberryConfig
from strawberry.types.scalar import ScalarDefinition

Long = NewType("Long", int)
Numbers = NewType("Numbers", dict[str, float])
Labels = NewType("Labels", dict[str, str])

_INT64 = 2**63


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not -_INT64 <= value < _INT64:
        raise GraphQLError("a Long is an integer of 64 bits")
    return value


def _same(value: Any) -> Any:
    return value


_SCALARS: dict[object, ScalarDefinition] = {
    Long: strawberry.scalar(
        name="Long",
        description="An integer of 64 bits as a JSON number; times are µs UTC, which every double holds exactly.",
        serialize=_same,
        parse_value=_whole,
    ),
    Numbers: strawberry.scalar(
        name="Numbers", description="Numbers by name, as a JSON object.", serialize=_same, parse_value=_same
    ),
    Labels: strawberry.scalar(
        name="Labels", description="Texts by name, as a JSON object.", serialize=_same, parse_value=_same
    ),
}


def read_field(value: object, name: str) -> Any:
    """A field of a value type, or of a mapping."""
    return value.get(name) if isinstance(value, Mapping) else getattr(value, name)


def schema_config() -> StrawberryConfig:
    """How the schema is made: fields of any value type, names in GraphQL's own camel case."""
    return StrawberryConfig(default_resolver=read_field, scalar_map=_SCALARS)

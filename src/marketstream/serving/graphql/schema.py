"""The schema, with everything that guards it."""

from collections.abc import Callable
from functools import partial
from typing import Any

import strawberry
from graphql import GraphQLError
from strawberry.extensions import DisableIntrospection, SchemaExtension

from marketstream.serving.graphql.errors import Errors
from marketstream.serving.graphql.limits import DocumentLimits
from marketstream.serving.graphql.query import Query
from marketstream.serving.graphql.scalars import schema_config
from marketstream.serving.graphql.subscription import Subscription
from marketstream.settings import GraphqlSettings


class GuardedSchema(strawberry.Schema):
    """Logs nothing by itself: clients' mistakes are theirs, and ours are logged where they are masked."""

    def process_errors(self, errors: list[GraphQLError], execution_context: Any = None) -> None:
        """Does nothing."""


def build_schema(settings: GraphqlSettings) -> GuardedSchema:
    """The schema within these bounds."""
    extensions: list[type[SchemaExtension] | Callable[[], SchemaExtension]] = [
        Errors,
        partial(DocumentLimits, settings),
    ]
    if not settings.introspection:
        extensions.append(DisableIntrospection)
    return GuardedSchema(query=Query, subscription=Subscription, extensions=extensions, config=schema_config())


def sdl() -> str:
    """The schema in GraphQL's own language."""
    return build_schema(GraphqlSettings()).as_str() + "\n"

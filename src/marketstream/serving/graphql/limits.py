"""How much one document may ask: counted before it is validated, each fragment once however often it is spread.

Validation itself takes time that grows with the square of a document's fields, and a fragment spread in a fragment
spread in a fragment grows without bound; so nothing else looks at a document first.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLField,
    GraphQLNamedType,
    GraphQLSchema,
    IntValueNode,
    ListValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValueNode,
    VariableNode,
    get_named_type,
    get_nullable_type,
    is_list_type,
)
from strawberry.extensions import SchemaExtension

from marketstream.observability import metrics
from marketstream.settings import GraphqlSettings

_LIST_LENGTH = 10  # of a list whose length nobody gives
_READING = 10  # what it costs to read any list from the stores, however short it is
_LARGEST = 10**9
_COUNTED = ("nodes", "minutes", "cancelled")  # lists as long as the `limit` around them


@dataclass(frozen=True, slots=True)
class Weight:
    """What a selection amounts to, all fragments written out.

    Attributes:
        depth: Levels of nested fields.
        fields: Fields.
        aliases: Fields with a name of the client's.
        cost: About how many values the answer may hold for one object.
    """

    depth: int = 0
    fields: int = 0
    aliases: int = 0
    cost: int = 0

    def __add__(self, other: "Weight") -> "Weight":
        return Weight(
            max(self.depth, other.depth),
            min(self.fields + other.fields, _LARGEST),
            min(self.aliases + other.aliases, _LARGEST),
            min(self.cost + other.cost, _LARGEST),
        )


class Scales:
    """Weighs one document.

    Args:
        schema: What its fields are.
        document: The document.
        variables: As they came, unchecked.
    """

    def __init__(self, schema: GraphQLSchema, document: DocumentNode, variables: Mapping[str, Any]) -> None:
        self._schema = schema
        self._variables = dict(variables)
        self._fragments = {
            each.name.value: each for each in document.definitions if isinstance(each, FragmentDefinitionNode)
        }
        self._operations = [each for each in document.definitions if isinstance(each, OperationDefinitionNode)]
        self._known: dict[str, Weight] = {}
        for operation in self._operations:
            for definition in operation.variable_definitions or ():
                name = definition.variable.name.value
                if name not in self._variables and definition.default_value is not None:
                    self._variables[name] = self._value(definition.default_value)

    def weigh(self) -> Weight:
        """The weight of all operations together, and of fragments that nobody spreads."""
        total = Weight()
        for operation in self._operations:
            root = self._schema.get_root_type(operation.operation)
            total += self._selection(operation.selection_set, root)
        for name in self._fragments:
            if name not in self._known:
                total += self._fragment(name)
        return total

    def _selection(self, selection_set: SelectionSetNode | None, parent: GraphQLNamedType | None) -> Weight:
        total = Weight()
        for selection in selection_set.selections if selection_set else ():
            if isinstance(selection, FieldNode):
                total += self._field(selection, parent)
            elif isinstance(selection, FragmentSpreadNode):
                total += self._fragment(selection.name.value)
            else:
                condition = getattr(selection, "type_condition", None)
                of = parent if condition is None else self._schema.get_type(condition.name.value)
                total += self._selection(getattr(selection, "selection_set", None), of)
        return total

    def _fragment(self, name: str) -> Weight:
        known = self._known.get(name)
        if known is None:
            self._known[name] = Weight()  # what spreads itself is refused by validation
            fragment = self._fragments.get(name)
            if fragment is not None:
                of = self._schema.get_type(fragment.type_condition.name.value)
                known = self._known[name] = self._selection(fragment.selection_set, of)
        return known or Weight()

    def _field(self, node: FieldNode, parent: GraphQLNamedType | None) -> Weight:
        name = node.name.value
        known: Mapping[str, GraphQLField] = getattr(parent, "fields", {})
        field = known.get(name)
        inner = self._selection(node.selection_set, get_named_type(field.type) if field else None)
        about_schema = name.startswith("__")  # small and fixed; validation bounds how deep it may be nested
        cost, depth = (0, 0) if about_schema else (self._cost(node, field, inner.cost), inner.depth)
        return Weight(depth + 1, inner.fields + 1, inner.aliases + (node.alias is not None), min(cost, _LARGEST))

    def _cost(self, node: FieldNode, field: GraphQLField | None, inner: int) -> int:
        if field is None or node.selection_set is None:
            return 1
        given = {argument.name.value: self._value(argument.value) for argument in node.arguments or ()}
        if "limit" in field.args:
            rows = _count(given.get("limit", field.args["limit"].default_value))
            names = given.get("names")
            if isinstance(names, list) and "after" in field.args:  # which names, or else how many
                rows = len(names)
            return _READING + max(1, rows) * (1 + inner)
        if is_list_type(get_nullable_type(field.type)) and node.name.value not in _COUNTED:
            return _LIST_LENGTH * (1 + inner)
        return 1 + inner

    def _value(self, node: ValueNode) -> Any:
        if isinstance(node, VariableNode):
            return self._variables.get(node.name.value)
        if isinstance(node, IntValueNode):
            return int(node.value[:20])
        return list(node.values) if isinstance(node, ListValueNode) else None


class DocumentLimits(SchemaExtension):
    """Refuses what asks too much, before it is validated.

    Args:
        settings: How much is too much.
    """

    def __init__(self, settings: GraphqlSettings) -> None:
        super().__init__()
        self._settings = settings

    def on_operation(self) -> Iterator[None]:
        """Bounds the parser."""
        self.execution_context.parse_options["max_tokens"] = self._settings.max_tokens
        yield

    def on_validate(self) -> Iterator[None]:
        """Weighs the document."""
        context = self.execution_context
        if context.graphql_document is not None:
            schema: Any = context.schema
            scales = Scales(schema._schema, context.graphql_document, context.variables or {})
            faults = list(self._faults(scales.weigh()))
            if faults:
                for fault in faults:
                    metrics.GRAPHQL_REFUSED.labels((fault.extensions or {})["what"]).inc()
                context.pre_execution_errors = faults
        yield

    def _faults(self, weight: Weight) -> Iterator[GraphQLError]:
        settings = self._settings
        for what, found, most, hint in (
            ("depth", weight.depth, settings.max_depth, "nest less"),
            ("fields", weight.fields, settings.max_fields, "select less at once"),
            ("aliases", weight.aliases, settings.max_aliases, "ask for several symbols by `symbols(names:)`"),
            ("cost", weight.cost, settings.max_cost, "ask for fewer symbols, a smaller `limit` or fewer fields"),
        ):
            if found > most:
                shown = f"{found:,}" if found < _LARGEST else "endless"
                message = f"This document's {what} would be {shown}, where {most:,} may be: {hint}."
                yield GraphQLError(
                    message, extensions={"code": "asks-too-much", "what": what, "found": found, "most": most}
                )


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 1

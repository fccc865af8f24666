"""Which route needs which role: a table beside the routes, in which every route must stand."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from fastapi.routing import iter_route_contexts
from starlette.routing import BaseRoute, WebSocketRoute, compile_path

from marketstream.domain.errors import ConfigurationError
from marketstream.serving.access.principal import Part, Role

_REMEMBERED = 4_096
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "QUERY"})


@dataclass(frozen=True, slots=True)
class Rule:
    """What a route asks of whoever calls it.

    Args:
        role: The least role; None for anybody at all.
        audited: Whether calls are recorded: what changes something is.
        part: Which part of the platform it belongs to, where that is not the process' own.
    """

    role: Role | None
    audited: bool = False
    part: Part | None = None


class Rules:
    """The rules by method and path.

    Args:
        table: By `METHOD /path/{parameter}`, as the route has it (`WS` for WebSockets), the least role; None for
            anybody. What is no GET or WS is audited.
        reading: Entries that change nothing, whatever their method.
        parts: Paths that belong to another part of the platform than the process' own.

    Raises:
        ValueError: A key is no method and path.
    """

    def __init__(
        self,
        table: Mapping[str, Role | None],
        *,
        reading: Collection[str] = (),
        parts: Mapping[str, Part] | None = None,
    ) -> None:
        self._patterns = []
        self.table: Mapping[str, Role | None] = dict(table)
        for entry, role in table.items():
            method, _, path = entry.partition(" ")
            if not method.isupper() or not path.startswith("/"):
                raise ValueError(f"{entry!r} is no method and path")
            audited = method not in (*SAFE_METHODS, "WS") and entry not in reading
            rule = Rule(role, audited, (parts or {}).get(path))
            self._patterns.append((method, compile_path(path)[0], rule))
        self._of_path = lru_cache(_REMEMBERED)(self._match)

    def of(self, path: str) -> Mapping[str, Rule]:
        """The rules of a path by method, empty where it is none of ours; with a slash too many as without."""
        return self._of_path(path) or (self._of_path(path.rstrip("/")) if path.endswith("/") else {})

    def check(self, routes: Iterable[BaseRoute]) -> None:
        """Refuses to serve a route that has no rule.

        Raises:
            ConfigurationError: There is one.
        """
        if missing := sorted(set(self.entries(routes)) - self.table.keys()):
            raise ConfigurationError(f"no role is set for {', '.join(missing)}: add them to the table of rules")

    @staticmethod
    def entries(routes: Iterable[BaseRoute]) -> Iterator[str]:
        """Every route as the table has it; `MOUNT` for an application of its own, whose routes nothing here knows."""
        for route in iter_route_contexts(list(routes)):
            methods = route.methods
            if methods is None:
                kind = "WS" if isinstance(route.original_route, WebSocketRoute) else "MOUNT"
                yield f"{kind} {route.path}"
            else:
                yield from (f"{method} {route.path}" for method in methods - {"HEAD", "OPTIONS"})

    def _match(self, path: str) -> Mapping[str, Rule]:
        found: dict[str, Rule] = {}
        for method, pattern, rule in self._patterns:
            if pattern.match(path):
                found.setdefault(method, rule)
        return found

"""Which route needs which role: a table beside the routes, in which every route must stand."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from starlette.routing import BaseRoute, Mount, compile_path

from marketstream.domain.errors import ConfigurationError
from marketstream.serving.access.principal import Role

_REMEMBERED = 4_096
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "QUERY"})


@dataclass(frozen=True, slots=True)
class Rule:
    """What a route asks of whoever calls it.

    Args:
        role: The least role; None for anybody at all.
        audited: Whether calls are recorded: what changes something is.
    """

    role: Role | None
    audited: bool = False


class Rules:
    """The rules by method and path.

    Args:
        table: By `METHOD /path/{parameter}`, as the route has it (`WS` for WebSockets), the least role; None for
            anybody. What is no GET or WS is audited.

    Raises:
        ValueError: A key is no method and path.
    """

    def __init__(self, table: Mapping[str, Role | None]) -> None:
        self._patterns = []
        self._table = dict(table)
        for entry, role in table.items():
            method, _, path = entry.partition(" ")
            if not method.isupper() or not path.startswith("/"):
                raise ValueError(f"{entry!r} is no method and path")
            rule = Rule(role, audited=method not in (*SAFE_METHODS, "WS"))
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
        if missing := sorted(set(_entries(routes)) - self._table.keys()):
            raise ConfigurationError(f"no role is set for {', '.join(missing)}: add them to the table of rules")

    def _match(self, path: str) -> Mapping[str, Rule]:
        found: dict[str, Rule] = {}
        for method, pattern, rule in self._patterns:
            if pattern.match(path):
                found.setdefault(method, rule)
        return found


def _entries(routes: Iterable[BaseRoute], prefix: str = "") -> Iterator[str]:
    for route in routes:
        path = prefix + getattr(route, "path", "")
        inner = getattr(route, "routes", None)
        if inner is not None:
            yield from _entries(inner, path if isinstance(route, Mount) else prefix)
            continue
        methods = getattr(route, "methods", None)
        if methods is None and "WebSocket" not in type(route).__name__:
            yield f"MOUNT {path}"  # an application of its own: nothing here knows its routes
            continue
        yield from (f"{method} {path}" for method in (methods or {"WS"}) - {"HEAD", "OPTIONS"})

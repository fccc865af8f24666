"""Routes that refuse query parameters they do not know, and those given twice, rather than ignore them."""

from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from fastapi import Request, Response
from fastapi.dependencies.utils import get_flat_params
from fastapi.params import Query
from fastapi.routing import APIRoute

from marketstream.serving.api.problems import Problem, near, refused_parameters

_NAMED_AT_MOST = 10  # to find near names takes a while


class StrictRoute(APIRoute):
    """A route that checks the names of its query parameters before anything else."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler behind the check."""
        handler = super().get_route_handler()
        known = query_names(self)

        async def checked(request: Request) -> Response:
            if request.scope["query_string"]:
                _check([name for name, _ in request.query_params.multi_items()], known)
            return await handler(request)

        return checked


def _check(given: Sequence[str], known: frozenset[str]) -> None:
    times = Counter(given)
    unknown = [name for name in times if name not in known][:_NAMED_AT_MOST]
    twice = [name for name, count in times.items() if count > 1 and name in known]
    if unknown or twice:
        raise refused_parameters(
            {name: _unknown(name, known) for name in unknown} | dict.fromkeys(twice, "is given twice")
        )


def query_names(route: APIRoute) -> frozenset[str]:
    """The query parameters that a route knows."""
    return frozenset(field.alias for field in get_flat_params(route.dependant) if isinstance(field.field_info, Query))


def unknown_parameters(names: Sequence[str], known: frozenset[str]) -> Problem:
    """A 422 about parameters that are none here."""
    return refused_parameters({name: _unknown(name, known) for name in names})


def _unknown(name: str, known: frozenset[str]) -> str:
    alike = near(name, sorted(known))
    if alike:
        return f"is no parameter here; did you mean {' or '.join(alike)}?"
    return f"is no parameter here; these are: {', '.join(sorted(known))}" if known else "is not wanted: there are none"

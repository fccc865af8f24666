"""A page of the screens as one declaration: where it is, what it needs, how it looks, what it does.

A page is a folder with a `PAGE`; `registry.py` lists them. The shell gives each page `<name>-refresh`, an interval of
the length the user chose, keeps the page's selections in the address, and hands the address's query to its layout.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dash import Dash, Input
from dash.development.base_component import Component

from marketstream.serving.dashboard.sources import Sources

Layout = Callable[[Sources, str], Sequence[Component]]


def _always(_sources: Sources) -> bool:
    return True


def _nothing(_app: Dash, _sources: Sources) -> None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page.

    Attributes:
        name: Its own; a prefix of its components' ids.
        path: Where it is.
        title: What people call it.
        icon: A class of `base.css`.
        layout: Its components, from the sources and the address's query (`?symbol=IBM`); raises
            `StoreUnavailableError` where nothing can be shown.
        register: Adds its callbacks.
        selections: What of it belongs into the address: the query's names, each with the component that holds it.
        available: Whether there is anything to show.
    """

    name: str
    path: str
    title: str
    icon: str
    layout: Layout
    register: Callable[[Dash, Sources], None] = _nothing
    selections: Mapping[str, str] | None = None
    available: Callable[[Sources], bool] = _always

    @property
    def refresh(self) -> str:
        """The id of its interval."""
        return f"{self.name}-refresh"

    @property
    def chosen(self) -> list[Any]:
        """Its selections as inputs of a callback, in their order."""
        return [Input(component, "value") for component in (self.selections or {}).values()]

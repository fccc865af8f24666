"""Small components that every page uses: cards, controls, notices and states. Pure: data in, components out."""

from collections.abc import Sequence
from typing import Any, Literal

import dash_mantine_components as dmc  # type: ignore[import-untyped]  # ships none
from dash import html
from dash.development.base_component import Component

State = Literal["live", "stale", "away"]


def labelled(label: str) -> dict[str, Any]:
    """What a component is called by those who cannot see it."""
    return {"aria-label": label}


def card(title: str, children: Sequence[Any], *, kind: str = "", aside: Any = None) -> Component:
    """A titled section."""
    head = html.Div([html.H2(title), *([] if aside is None else [aside])], className="card-head")
    return html.Section([head, *children], className=f"card {kind}".strip(), **labelled(title))


def select(name: str, label: str, options: Sequence[Any], value: str | None, **more: Any) -> Component:
    """A list to search and choose from."""
    control: Component = dmc.Select(
        id=name,
        data=list(options),
        value=value,
        allowDeselect=False,
        maxDropdownHeight=320,
        nothingFoundMessage="Nothing of that name",
        **labelled(label),
        **more,
    )
    return control


def choice(name: str, label: str, options: Sequence[Any], value: str, **more: Any) -> Component:
    """A few options side by side."""
    control: Component = dmc.SegmentedControl(
        id=name, data=list(options), value=value, size="sm", **labelled(label), **more
    )
    return control


def badge(text: str, state: State, *, detail: str = "", title: str = "", name: str | None = None) -> Component:
    """A state in a word, told by its dot and its colour too."""
    children: list[Any] = [html.I(className="dot"), text]
    if detail:
        children.append(html.Small(detail))
    named: dict[str, Any] = {} if name is None else {"id": name}
    return html.Span(children, className=f"badge badge-{state}", title=title or None, **named)


def loading(words: str) -> list[Component]:
    """While something is read for the first time."""
    return [dmc.Loader(type="dots", color="gray"), html.Span(words)]


def empty(headline: str, words: str) -> Component:
    """In place of what is not there yet."""
    return html.Div([html.Strong(headline), html.Span(words)], className="empty")


def notice(headline: str, words: str) -> list[Component]:
    """A word over the page on what is wrong."""
    return [html.Strong(headline), html.Span(words)]


def figure(name: str, value: Any, *, kind: str = "") -> Component:
    """A number and what it is."""
    return html.Div([html.Dt(name), html.Dd(value, className=kind)])


def table(heads: Sequence[str], rows: Sequence[Component], *, name: str, label: str) -> Component:
    """A table that scrolls by itself, by keyboard too. A head that begins with `<` is of a column of words."""
    cells = [
        html.Th(head.removeprefix("<"), scope="col", className="words" if head.startswith("<") else "")
        for head in heads
    ]
    grid = html.Table([html.Thead(html.Tr(cells)), html.Tbody(list(rows))])
    return html.Div([grid], id=name, className="scroll", tabIndex=0, **_group(label))


def _group(label: str) -> dict[str, Any]:
    return {"role": "group", **labelled(label)}

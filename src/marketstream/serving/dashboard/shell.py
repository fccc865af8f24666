"""What is around every page: navigation, colour scheme, update interval, connection, and the address.

`assets/shell.js` tells `place` where the browser is; one callback answers with that page's components.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import dash_mantine_components as dmc  # type: ignore[import-untyped]  # ships none
from dash import ClientsideFunction, Dash, Input, Output, State, dcc, html
from dash.development.base_component import Component

from marketstream.domain.errors import StoreUnavailableError
from marketstream.serving.dashboard import parts
from marketstream.serving.dashboard.page import Page
from marketstream.serving.dashboard.sources import Sources
from marketstream.serving.dashboard.theme import FONT

PERIODS: Mapping[str, str] = {
    "1000": "1 s",
    "2000": "2 s",
    "5000": "5 s",
    "10000": "10 s",
    "30000": "30 s",
    "0": "Paused",
}
USUAL_PERIOD = "2000"


def frame(pages: Sequence[Page], *, signs_in: bool = False) -> Component:
    """Everything but the page itself, with a way out where people sign in."""
    provider: Component = dmc.MantineProvider(
        [
            dcc.Store(id="place"),
            dcc.Store(id="title"),
            html.A("Skip to the content", href="#main", id="skip", className="skip"),
            html.Div(
                [
                    _navigation(pages),
                    html.Div(
                        [
                            _corner(signs_in=signs_in),
                            html.Div(parts.loading("Starting"), id="content", className="content"),
                        ],
                        className="view",
                    ),
                ],
                className="app",
            ),
        ],
        defaultColorScheme="dark",
        theme={"fontFamily": FONT, "primaryColor": "teal", "defaultRadius": "md", "cursorType": "pointer"},
    )
    return provider


def register(app: Dash, sources: Sources, pages: Sequence[Page]) -> None:
    """Adds the shell's callbacks."""
    browser: Any = app  # Dash leaves its client-side callbacks untyped
    browser.clientside_callback(ClientsideFunction("shell", "title"), Input("title", "data"))
    browser.clientside_callback(ClientsideFunction("shell", "period"), Input("period", "value"))
    for page in pages:
        browser.clientside_callback(
            ClientsideFunction("shell", "interval"),
            Output(page.refresh, "interval"),
            Input("period", "value"),
            Input(page.refresh, "id"),
        )
        if page.selections:
            browser.clientside_callback(
                ClientsideFunction("shell", "remember"),
                Output(f"{page.name}-remembered", "data"),  # without an output it would not be called at first
                *page.chosen,
                State(f"{page.name}-names", "data"),
            )
    _register_content(app, sources, {page.path: page for page in pages})


def _register_content(app: Dash, sources: Sources, by_path: Mapping[str, Page]) -> None:
    @app.callback(
        Output("content", "children"),
        Output("title", "data"),
        Input("place", "data"),
        State("period", "value"),
        prevent_initial_call=True,
    )
    async def show_page(place: Mapping[str, str], period: str | None) -> tuple[list[Component], str]:
        page = by_path.get(_path(place["path"]))
        if page is None:
            return _nowhere(place["path"], list(by_path.values())), "Not found · marketstream"
        title = f"{page.title} · marketstream"
        try:
            children = await asyncio.to_thread(page.layout, sources, place["query"])
        except StoreUnavailableError as error:
            return [*_keepers(page, period), _away(error)], title
        return [*_keepers(page, period), *children], title


def _path(path: str) -> str:
    return path.rstrip("/") or "/"


def _keepers(page: Page, period: str | None) -> list[Component]:
    milliseconds = int(period) if period and int(period) else None
    names = {"path": page.path, "names": list(page.selections or {})}
    return [
        dcc.Interval(id=page.refresh, interval=milliseconds or 2**31 - 1),
        dcc.Store(id=f"{page.name}-names", data=names),
        dcc.Store(id=f"{page.name}-remembered"),
    ]


def _navigation(pages: Sequence[Page]) -> Component:
    links = [
        dcc.Link(
            [html.I(className=f"icon icon-{page.icon}"), html.Span(page.title)],
            href=page.path,
            id=f"to-{page.name}",
            className="to",
        )
        for page in pages
    ]
    brand = dcc.Link([html.I(className="mark")], href="/", className="brand", title="marketstream")
    return html.Nav([brand, html.Div(links, className="links")], className="rail", **parts.labelled("Pages"))


def _corner(*, signs_in: bool) -> Component:
    toggle = dmc.ColorSchemeToggle(
        id="scheme",
        lightIcon=html.I(className="icon icon-sun"),
        darkIcon=html.I(className="icon icon-moon"),
        variant="subtle",
        color="gray",
        size="lg",
        **parts.labelled("Switch between dark and light"),
    )
    link = html.Div(
        [html.I(className="dot"), html.Span("Reconnecting")],
        id="connection",
        className="badge badge-away",
        role="status",
    )
    return html.Div(
        [link, _period(), toggle, *([_sign_out()] if signs_in else [])],
        className="corner",
        role="region",
        **parts.labelled("Display"),
    )


def _period() -> Component:
    options = [{"value": value, "label": label} for value, label in PERIODS.items()]
    return parts.select(
        "period",
        "Update every",
        options,
        USUAL_PERIOD,
        leftSection=html.I(className="icon icon-clock"),
        className="period",
        persistence=True,
        persistence_type="local",
        size="sm",
        comboboxProps={"width": 110, "position": "bottom-end"},
    )


def _sign_out() -> Component:
    button = html.Button("Sign out", type="submit", className="sign-out")
    return html.Form([button], action="/logout", method="POST")


def _nowhere(path: str, pages: Sequence[Page]) -> list[Component]:
    links = [dcc.Link(page.title, href=page.path, className="plain-link") for page in pages]
    words = html.Div(
        [html.Strong("There is no such page"), html.Span(f"Nothing is at {path[:100]}. There are:"), *links],
        className="empty",
    )
    return [html.Main([words], id="main")]


def _away(error: Exception) -> Component:
    words = [
        html.Strong("Market data is away"),
        html.Span(f"Neither the cache nor the database answers. {error}"),
        html.A("Try again", href="", className="plain-link"),
    ]
    return html.Main([html.Div(words, className="empty", role="alert")], id="main")

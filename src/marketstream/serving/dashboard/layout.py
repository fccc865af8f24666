"""The page's skeleton; everything in it is local, nothing comes from a CDN."""

from collections.abc import Sequence
from typing import Any

import dash_mantine_components as dmc  # type: ignore[import-untyped]  # ships none
from dash import dcc, html
from dash.development.base_component import Component

from marketstream.serving.dashboard.figure import blank
from marketstream.serving.dashboard.selection import SPANS, Selection
from marketstream.serving.dashboard.theme import FONT

REFRESH_MS = 2_000
_GRAPH: Any = {
    "displaylogo": False,
    "scrollZoom": True,
    "responsive": True,
    "doubleClick": "reset",
    "displayModeBar": False,
}


def page(selection: Selection, symbols: Sequence[str], windows: Sequence[str], *, signs_in: bool = False) -> Component:
    """The page before its first data, with the controls set to a selection, and a way out where people sign in."""
    provider: Component = dmc.MantineProvider(
        [
            dcc.Location(id="url", refresh=False),
            dcc.Interval(id="refresh", interval=REFRESH_MS),
            dcc.Store(id="drawn"),
            dcc.Store(id="title"),
            html.A("Skip to the chart", href="#chart", id="skip", className="skip"),
            html.Div([_header(selection, symbols, windows, signs_in=signs_in), _body(), _footer()], className="page"),
        ],
        defaultColorScheme="dark",
        theme={"fontFamily": FONT, "primaryColor": "teal", "defaultRadius": "md", "cursorType": "pointer"},
    )
    return provider


def _header(selection: Selection, symbols: Sequence[str], windows: Sequence[str], *, signs_in: bool) -> Component:
    return html.Header(
        [
            html.Div([html.I(className="mark"), html.Span("marketstream")], className="brand"),
            html.Div(
                [
                    dmc.Select(
                        id="symbol",
                        data=list(symbols),
                        value=selection.symbol,
                        searchable=True,
                        allowDeselect=False,
                        selectFirstOptionOnChange=True,
                        nothingFoundMessage="No such symbol",
                        maxDropdownHeight=320,
                        className="symbol",
                        **_labelled("Symbol"),
                    ),
                    _choice("window", "Bar length", windows, selection.window),
                    _choice("span", "Range", SPANS, selection.span),
                ],
                className="controls",
            ),
            html.Div(
                [
                    html.Div(id="badge", role="status", className="badge-slot"),
                    dmc.ColorSchemeToggle(
                        id="scheme",
                        lightIcon=html.I(className="icon icon-sun"),
                        darkIcon=html.I(className="icon icon-moon"),
                        variant="subtle",
                        color="gray",
                        size="lg",
                        **_labelled("Switch between dark and light"),
                    ),
                    *([_sign_out()] if signs_in else []),
                ],
                className="corner",
            ),
        ]
    )


def _sign_out() -> Component:
    button = html.Button("Sign out", type="submit", className="sign-out")
    return html.Form([button], action="/logout", method="POST")


def _choice(name: str, label: str, options: Sequence[str], value: str) -> Component:
    control: Component = dmc.SegmentedControl(id=name, data=list(options), value=value, size="sm", **_labelled(label))
    return control


def _labelled(label: str) -> dict[str, Any]:
    return {"aria-label": label}


def _body() -> Component:
    chart = html.Section(
        [
            html.Div(id="summary", className="summary"),
            html.Div(
                [
                    dcc.Graph(id="chart", figure=blank("dark"), config=_GRAPH, className="graph"),
                    html.Div([dmc.Loader(type="dots"), html.Span("Reading the market")], id="veil", className="veil"),
                ],
                className="stage",
            ),
        ],
        className="card market",
        **_labelled("Chart"),
    )
    trades = html.Section(
        [html.H2("Last trades"), html.Div(id="tape", className="tape", tabIndex=0)],
        className="card trades",
        **_labelled("Last trades"),
    )
    notices = html.Div([html.Div(id="link-notice"), html.Div(id="notice", role="alert")], className="notices")
    return html.Main([notices, html.Div([chart, trades], className="columns")])


def _footer() -> Component:
    legend = [
        html.I(className="candle up"),
        html.Span("up, hollow"),
        html.I(className="candle down"),
        html.Span("down, filled"),
        html.I(className="stroke"),
        html.Span("VWAP of each bar"),
    ]
    return html.Footer([html.Span(legend, className="legend"), html.Span("All times are UTC.", id="origin")])

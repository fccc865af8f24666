"""The page's components; everything in it is local, nothing comes from a CDN."""

from collections.abc import Sequence
from typing import Any

import dash_mantine_components as dmc  # type: ignore[import-untyped]  # ships none
from dash import dcc, html
from dash.development.base_component import Component

from marketstream.analytics.parameters import IndicatorParameters
from marketstream.serving.dashboard import parts
from marketstream.serving.dashboard.market.selection import PANES, SPANS, Selection, from_link, overlays, showable
from marketstream.serving.dashboard.market.traces import label
from marketstream.serving.dashboard.plots import blank
from marketstream.serving.dashboard.sources import Sources

_POPS_UP: Any = {"aria-haspopup": "dialog"}
_GRAPH: Any = {
    "displaylogo": False,
    "scrollZoom": True,
    "responsive": True,
    "doubleClick": "reset",
    "displayModeBar": False,
}


def page(sources: Sources, query: str) -> list[Component]:
    """The page before its first data, with the controls set as the link asks."""
    symbols = sources.market_data.symbols()
    windows = [interval.name for interval in sources.market_data.intervals()]
    known = showable(sources.parameters)
    selection, fault = from_link(query, symbols, windows, sources.usual_window, known)
    return [
        *(dcc.Store(id=name) for name in ("drawn", "tape-data", "watch-data", "market-title")),
        _bar(selection, symbols, windows, sources.parameters),
        _body(fault),
    ]


def _bar(
    selection: Selection, symbols: Sequence[str], windows: Sequence[str], parameters: IndicatorParameters
) -> Component:
    return html.Header(
        [
            html.H1("Market", className="unseen"),
            parts.select(
                "symbol",
                "Symbol",
                symbols,
                selection.symbol,
                searchable=True,
                selectFirstOptionOnChange=True,
                className="symbol",
            ),
            _windows(windows, selection.window),
            parts.choice("span", "Range", SPANS, selection.span),
            _shown(selection, parameters),
            html.Div(id="badge", role="status", className="badge-slot"),
        ],
        className="bar",
    )


def _windows(windows: Sequence[str], value: str) -> Component:
    if len(windows) <= 5:
        return parts.choice("window", "Bar length", windows, value)
    return parts.select("window", "Bar length", windows, value, className="window")


def _shown(selection: Selection, parameters: IndicatorParameters) -> Component:
    """What is drawn, behind a button."""

    def box(name: str) -> Component:
        checkbox: Component = dmc.Checkbox(label=label(name, parameters), value=name, size="sm")
        return checkbox

    groups = [
        html.P("Over the candles"),
        *map(box, overlays(parameters)),
        html.P("Panes"),
        *map(box, PANES),
    ]
    button = dmc.Button(
        "Indicators",
        leftSection=html.I(className="icon icon-layers"),
        variant="default",
        size="sm",
        className="plain",
        **_POPS_UP,
    )
    boxes = dmc.CheckboxGroup(html.Div(groups, className="boxes"), id="show", value=list(selection.show))
    popover: Component = dmc.Popover(
        [dmc.PopoverTarget(button), dmc.PopoverDropdown(boxes)],
        position="bottom-start",
        trapFocus=True,
        withRoles=False,  # they would be on a wrapper around the button, where they mean nothing
        keepMounted=True,
    )
    return popover


def _body(fault: str | None) -> Component:
    notices = html.Div([html.Div(fault, id="link-notice"), html.Div(id="notice", role="alert")], className="notices")
    side = html.Div([_watch(), _tape()], className="side")
    return html.Main([notices, html.Div([_chart(), side], className="columns"), _footer()], id="main")


def _chart() -> Component:
    stage = [
        dcc.Graph(id="chart", figure=blank("dark"), config=_GRAPH, className="graph"),
        html.Div(parts.loading("Reading the market"), id="veil", className="veil"),
    ]
    return html.Section(
        [
            html.Div(id="summary", className="summary"),
            html.Div(id="legend", className="legend"),
            html.Div(stage, className="stage"),
        ],
        className="card market",
        **parts.labelled("Chart"),
    )


def _watch() -> Component:
    rows = html.Div(id="watch", className="watch scroll", **parts.labelled("Watchlist"), role="group", tabIndex=0)
    return parts.card("Watchlist", [rows], kind="watching", aside=html.Small("1 hour"))


def _tape() -> Component:
    head = html.Thead(html.Tr([html.Th(each, scope="col") for each in ("Time", "Price", "Size")]))
    rows = html.Div(
        html.Table([head, html.Tbody(id="tape-rows")]),
        id="tape",
        className="tape scroll",
        role="group",
        tabIndex=0,
        **parts.labelled("Last trades"),
    )
    return parts.card("Last trades", [rows], kind="trades")


def _footer() -> Component:
    key = [
        html.I(className="candle up"),
        html.Span("up, hollow"),
        html.I(className="candle down"),
        html.Span("down, filled"),
    ]
    return html.Footer([html.Span(key, className="keys"), html.Span("All times are UTC.", id="origin")])

"""The page's components: figures on top, then what flows, what serves, what feeds, what was refused."""

from typing import Any

from dash import dcc, html
from dash.development.base_component import Component

from marketstream.serving.dashboard import parts
from marketstream.serving.dashboard.plots import blank
from marketstream.serving.dashboard.sources import Sources

SLOW_MS = 15_000
_GRAPH: Any = {"displayModeBar": False, "responsive": True}


def page(sources: Sources, query: str) -> list[Component]:
    """The page before its first data."""
    del query  # nothing is chosen here
    return [
        dcc.Interval(id="system-slow", interval=SLOW_MS),
        dcc.Store(id="flow-drawn"),
        html.Header(
            [html.H1("System"), html.Div(id="system-badge", role="status", className="badge-slot")], className="bar"
        ),
        html.Main([_notices(), *_figures(sources), html.Div(_cards(sources), className="board")], id="main"),
    ]


def _notices() -> Component:
    notices = [html.Div(id="system-notice", role="alert"), html.Div(id="feeds-notice", role="alert")]
    return html.Div(notices, className="notices")


def _figures(sources: Sources) -> list[Component]:
    if sources.metrics is None:
        return []
    return [html.Div(html.Dl(id="system-figures", className="figures tiles"), className="tile-row")]


def _cards(sources: Sources) -> list[Component]:
    cards: list[Component] = []
    if sources.metrics is not None:
        cards += [
            _flow(),
            _filled("Latency by stage", "system-stages", "half"),
            _filled("Services", "system-services", "half"),
        ]
        cards += [_filled("Waiting in Kafka", "system-lags", "half")]
    if sources.feed_data is not None:
        cards += [
            _completeness(),
            _filled("Feeds", "system-feeds", "half"),
            _filled("What happened", "system-events", "half"),
        ]
    if sources.dead_letters is not None:
        cards += [_filled("Refused in 24 hours", "system-letters", "half")]
    return cards


def _filled(title: str, name: str, kind: str) -> Component:
    loading = html.Div(parts.loading("Reading"), className="empty")
    return parts.card(
        title, [html.Div(loading, id=name, className="limited")], kind=kind, aside=html.Small(id=f"{name}-aside")
    )


def _flow() -> Component:
    graph = dcc.Graph(id="flow", figure=blank("dark"), config=_GRAPH, className="plot")
    return parts.card("Throughput", [graph], kind="half", aside=html.Small("a second"))


def _completeness() -> Component:
    graph = dcc.Graph(id="completeness", figure=blank("dark"), config=_GRAPH, className="plot")
    aside = html.Small(id="completeness-aside")
    return parts.card("Completeness of the last hour", [graph], kind="half", aside=aside)

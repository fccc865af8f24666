"""The page's components: a pair's spread and z-score, all correlations, all figures."""

from typing import Any

from dash import dcc, html
from dash.development.base_component import Component

from marketstream.serving.dashboard import parts
from marketstream.serving.dashboard.links import Asked
from marketstream.serving.dashboard.plots import blank
from marketstream.serving.dashboard.sources import Sources

LENGTHS = ("60", "240", "1000")
_GRAPH: Any = {"displayModeBar": False, "responsive": True}


def page(sources: Sources, query: str) -> list[Component]:
    """The page before its first data, with the pair and the window as the link asks."""
    windows = [interval.name for interval in sources.market_data.intervals()]
    asked = Asked(query)
    window = asked.one("window", windows, sources.usual_window)
    names = names_of(sources, window)
    pair = asked.one("pair", names, names[0] if names else "", upper=True)
    bar = html.Header(
        [
            html.H1("Pairs"),
            parts.select("pairs-pair", "Pair", names, pair, searchable=True, className="pair-name"),
            parts.choice("pairs-window", "Bar length", windows, window),
            parts.choice("pairs-bars", "Bars", LENGTHS, asked.one("bars", LENGTHS, LENGTHS[1])),
            html.Div(id="pairs-badge", role="status", className="badge-slot"),
        ],
        className="bar",
    )
    return [dcc.Store(id="pairs-drawn"), bar, _body(asked.fault)]


def names_of(sources: Sources, window: str) -> list[str]:
    """Every pair as `A/B`.

    Raises:
        StoreUnavailableError: The database is away.
    """
    found = sources.pairs.latest(window) if sources.pairs is not None else []
    return sorted(f"{each.symbol_a}/{each.symbol_b}" for each in found)


def _body(fault: str | None) -> Component:
    notices = html.Div([html.Div(fault), html.Div(id="pairs-notice", role="alert")], className="notices")
    loading = html.Div(parts.loading("Reading"), className="empty")
    course = parts.card(
        "Spread and z-score",
        [
            html.Dl(id="pairs-figures", className="figures inset"),
            dcc.Graph(id="pairs-chart", figure=blank("dark"), config=_GRAPH, className="plot tall-plot"),
        ],
        kind="pair-course",
    )
    map_ = parts.card(
        "Correlation of returns",
        [dcc.Graph(id="pairs-map", figure=blank("dark"), config=_GRAPH, className="plot")],
        kind="half",
    )
    every = parts.card("All pairs", [html.Div(loading, id="pairs-list", className="limited")], kind="half")
    return html.Main([notices, course, html.Div([map_, every], className="board")], id="main")

"""The page's components: two lists that refresh by themselves, and what narrows them down."""

from dash import html
from dash.development.base_component import Component

from marketstream.serving.dashboard import parts
from marketstream.serving.dashboard.links import Asked
from marketstream.serving.dashboard.sources import Sources

ALL = "all"
DIRECTIONS = (ALL, "bullish", "bearish")
SEVERITIES = (ALL, "warning", "critical")  # this grave at least


def page(sources: Sources, query: str) -> list[Component]:
    """The page before its first data, narrowed down as the link asks."""
    symbols = [ALL, *sources.market_data.symbols()]
    asked = Asked(query)
    symbol = asked.one("symbol", [*symbols, ALL.upper()], ALL, upper=True)
    direction = asked.one("direction", DIRECTIONS, ALL)
    severity = asked.one("severity", SEVERITIES, ALL)
    options = [{"value": each, "label": "All symbols" if each == ALL else each} for each in symbols]
    bar = html.Header(
        [
            html.H1("Signals"),
            parts.select(
                "signals-symbol",
                "Symbol",
                options,
                ALL if symbol == ALL.upper() else symbol,
                searchable=True,
                className="symbol",
            ),
            parts.choice("signals-direction", "Direction of signals", _words(DIRECTIONS), direction),
            parts.choice("signals-severity", "Least severity of anomalies", _words(SEVERITIES), severity),
        ],
        className="bar",
    )
    return [bar, _body(asked.fault)]


def _words(options: tuple[str, ...]) -> list[dict[str, str]]:
    return [{"value": each, "label": each.capitalize()} for each in options]


def _body(fault: str | None) -> Component:
    notices = html.Div([html.Div(fault), html.Div(id="signals-notice", role="alert")], className="notices")
    loading = html.Div(parts.loading("Reading"), className="empty")
    lists = [
        parts.card(
            "Signals",
            [html.Div(loading, id="signals-list", className="filled")],
            kind="tall",
            aside=_told("signals-count"),
        ),
        parts.card(
            "Anomalies",
            [html.Div(loading, id="anomalies-list", className="filled")],
            kind="tall",
            aside=_told("anomalies-count"),
        ),
    ]
    return html.Main([notices, html.Div(lists, className="halves")], id="main")


def _told(name: str) -> Component:
    return html.Small(id=name)

"""The page's components: what to export on the left, a first look at it on the right."""

from collections.abc import Sequence
from typing import Any

import dash_mantine_components as dmc  # type: ignore[import-untyped]  # ships none
from dash import html
from dash.development.base_component import Component

from marketstream.serving.dashboard import parts
from marketstream.serving.dashboard.export.order import DATASETS, FORMATS, RANGES, Order, from_link
from marketstream.serving.dashboard.sources import Sources

_DATASETS = {"ticks": "Trades", "aggregated": "Bars", "indicators": "Indicators"}
_FORMATS = {"csv": "CSV", "parquet": "Parquet", "arrow": "Arrow"}
_RANGES = {"1h": "1 hour", "1d": "1 day", "7d": "7 days", "all": "All", "custom": "Custom"}


def page(sources: Sources, query: str) -> list[Component]:
    """The page, with everything chosen as the link asks."""
    symbols = sources.market_data.symbols()
    windows = [interval.name for interval in sources.market_data.intervals()]
    order, fault = from_link(query, symbols, windows, sources.usual_window)
    notices = html.Div([html.Div(fault)], className="notices")
    cards = [
        parts.card("What", [_form(order, symbols, windows)], kind="export"),
        parts.card(
            "A first look",
            [html.Div(parts.loading("Reading"), id="export-preview", className="filled")],
            kind="tall",
            aside=html.Small("the newest rows"),
        ),
    ]
    return [
        html.Header([html.H1("Export")], className="bar"),
        html.Main([notices, html.Div(cards, className="form-and-look")], id="main"),
    ]


def _form(order: Order, symbols: Sequence[str], windows: Sequence[str]) -> Component:
    custom = html.Div(
        [
            _row("From, UTC", _moment("export-start", "From, UTC", order.start)),
            _row("To, UTC", _moment("export-end", "To, UTC", order.end)),
        ],
        id="export-custom",
        className="pair",
    )
    return html.Div(
        [
            _row("Data", parts.choice("export-data", "Data", _named(DATASETS, _DATASETS), order.data)),
            _row("Symbols", _symbols(order, symbols)),
            html.Div(
                _row("Bar length", parts.select("export-window", "Bar length", windows, order.window)),
                id="export-windows",
            ),
            _row("Range", parts.choice("export-range", "Range", _named(RANGES, _RANGES), order.span)),
            custom,
            _row("Format", parts.choice("export-format", "Format", _named(FORMATS, _FORMATS), order.form)),
            html.Div(id="export-fault", role="alert", className="fault"),
            _download(),
            html.Div([html.H3("The same over REST"), html.Pre(id="export-rest", tabIndex=0)], className="same"),
        ],
        className="form",
    )


def _download() -> Component:
    words: list[Any] = [html.I(className="icon icon-download"), "Download"]
    return html.A(words, id="export-download", className="primary", href="#", download="")


def _symbols(order: Order, symbols: Sequence[str]) -> Component:
    control: Component = dmc.MultiSelect(
        id="export-symbols",
        data=list(symbols),
        value=list(order.symbols),
        searchable=True,
        clearable=True,
        maxDropdownHeight=320,
        placeholder="" if order.symbols else "All symbols",
        **parts.labelled("Symbols"),
    )
    return control


def _row(label: str, control: Any) -> Component:
    return html.Div([html.Span(label, className="label"), control], className="row")


def _named(options: Sequence[str], words: dict[str, str]) -> list[dict[str, str]]:
    return [{"value": each, "label": words[each]} for each in options]


def _moment(name: str, label: str, value: str) -> Component:
    control: Component = dmc.TextInput(
        id=name, value=value, placeholder="2026-01-31 09:30:00", debounce=400, **parts.labelled(label)
    )
    return control

"""Signals and anomalies as tables. Pure: data in, components out."""

from collections.abc import Sequence
from typing import Any

from dash import dcc, html
from dash.development.base_component import Component

from marketstream.serving.dashboard import numbers, parts
from marketstream.serving.dashboard.sources import SeenAnomaly, SeenSignal

_ACRONYMS = {"rsi": "RSI", "macd": "MACD"}
_ARROWS = {"bullish": "up", "bearish": "down"}


def words(kind: str) -> str:
    """A kind as people say it: `rsi_oversold` is `RSI oversold`."""
    text = " ".join(_ACRONYMS.get(each, each) for each in kind.split("_"))
    return text[:1].upper() + text[1:]


def signals(found: Sequence[SeenSignal], now_us: int) -> Component:
    """Signals, the newest first."""
    if not found:
        return parts.empty("No signals yet", "Crossings of averages, RSI, MACD and Bollinger bands appear here.")
    rows = [_signal(each, now_us) for each in reversed(found)]
    heads = ("Symbol", "<Signal", "Strength", "Price", "When")
    return parts.table(heads, rows, name="signals-table", label="Signals")


def anomalies(found: Sequence[SeenAnomaly], now_us: int) -> Component:
    """Anomalies, those that last before those that are over, the newest first."""
    if not found:
        return parts.empty("Nothing unusual", "Leaps of prices and volumes, and late trades, appear here.")
    ordered = sorted(found, key=lambda each: (each.ended_us is None, each.time_us), reverse=True)
    rows = [_anomaly(each, now_us) for each in ordered]
    return parts.table(("Symbol", "<What", "Score", "Since"), rows, name="anomalies-table", label="Anomalies")


def _signal(signal: SeenSignal, now_us: int) -> Component:
    kind = _ARROWS.get(signal.direction, "flat")
    values = ", ".join(f"{name} {value:,.6g}" for name, value in signal.values.items())
    name: list[Any] = [html.I(className="arrow", role="img", **parts.labelled(signal.direction)), words(signal.kind)]
    if not signal.final:
        name.append(html.Small("provisional", className="tag"))
    return html.Tr(
        [
            html.Td(_symbol(signal.symbol, signal.interval)),
            html.Td(name, className=f"words {kind}"),
            html.Td(_strength(signal.strength)),
            html.Td(numbers.price(signal.price, numbers.price_decimals([signal.price]))),
            html.Td(_when(signal.time_us, now_us)),
        ],
        title=values,
    )


def _anomaly(anomaly: SeenAnomaly, now_us: int) -> Component:
    lasting = anomaly.ended_us is None
    lasted = "lasts" if lasting else f"for {numbers.age(((anomaly.ended_us or 0) - anomaly.time_us) / 1e6)}"
    what = [
        html.Span(anomaly.severity, className=f"severity {anomaly.severity}"),
        html.B(words(anomaly.kind)),
        html.Div(anomaly.message, className="quiet"),
    ]
    cells = [
        html.Td(_symbol(anomaly.symbol, None)),
        html.Td(what, className="words wrapped"),
        html.Td(f"{anomaly.score:,.1f}"),
        html.Td([_when(anomaly.time_us, now_us), html.Small(lasted, className="under")]),
    ]
    return html.Tr(cells, className="" if lasting else "over")


def _symbol(symbol: str, interval: str | None) -> list[Any]:
    query = f"?symbol={symbol}" + (f"&window={interval}" if interval else "")
    link = dcc.Link(symbol, href=f"/{query}", className="plain-link")
    return [link, *([html.Small(interval, className="beside")] if interval else [])]


def _strength(strength: float) -> Component:
    bar = html.I(style={"width": f"{strength:.0%}"})
    return html.Span([html.Span(bar, className="gauge"), f"{strength:.2f}"], className="gauged")


def _when(time_us: int, now_us: int) -> Component:
    age = numbers.age(max(0, now_us - time_us) / 1e6)
    return html.Span(f"{age} ago", title=f"{numbers.day_and_clock(time_us)} UTC")

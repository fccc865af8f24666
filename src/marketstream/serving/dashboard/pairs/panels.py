"""A pair's figures, and the table of all pairs. Pure: data in, components out."""

from collections.abc import Sequence

from dash import dcc, html
from dash.development.base_component import Component

from marketstream.serving.dashboard import numbers, parts
from marketstream.serving.dashboard.pairs.charts import BEYOND
from marketstream.serving.dashboard.sources import SeenPair

_SURE = 0.05  # the p-value below which a pair counts as cointegrated


def figures(pair: SeenPair | None, interval: str) -> list[Component]:
    """The chosen pair's newest figures."""
    if pair is None:
        return []
    unusual = pair.z_score is not None and abs(pair.z_score) >= BEYOND
    return [
        parts.figure("z-score", number(pair.z_score, 2, sign=True), kind="unusual" if unusual else ""),
        parts.figure("Spread", number(pair.spread, 4)),
        parts.figure("Hedge ratio", number(pair.hedge_ratio, 4)),
        parts.figure("By Kalman filter", number(pair.kalman_hedge_ratio, 4)),
        parts.figure("Correlation", number(pair.correlation, 3)),
        parts.figure("Cointegration, p", number(pair.coint_p_value, 3)),
        parts.figure("Unit root, p", number(pair.adf_p_value, 3)),
        parts.figure(f"Half-life, bars of {interval}", number(pair.half_life_bars, 1)),
        parts.figure("Hurst", number(pair.hurst, 2)),
        parts.figure("Bars", f"{pair.observations:,}"),
    ]


def every(pairs: Sequence[SeenPair]) -> Component:
    """All pairs, those furthest from their mean first."""
    if not pairs:
        return parts.empty("No pairs yet", "A pair appears when both symbols have enough bars.")
    ordered = sorted(pairs, key=lambda each: -abs(each.z_score or 0.0))
    heads = ("Pair", "z-score", "Correlation", "Hedge", "Half-life", "Cointegrated")
    return parts.table(heads, [_row(each) for each in ordered], name="pairs-table", label="All pairs")


def number(value: float | None, decimals: int, *, sign: bool = False) -> str:
    """A figure, or a dash where it is not defined."""
    if value is None:
        return numbers.price(None, 0)
    return numbers.signed(value, decimals) if sign else f"{value:,.{decimals}f}"


def _row(pair: SeenPair) -> Component:
    name = f"{pair.symbol_a}/{pair.symbol_b}"
    link = dcc.Link(name, href=f"/pairs?pair={name}&window={pair.interval}", className="plain-link")
    unusual = pair.z_score is not None and abs(pair.z_score) >= BEYOND
    p_value = pair.coint_p_value
    sure = "not known" if p_value is None else f"{'yes' if p_value < _SURE else 'no'}, p {p_value:.3f}"
    return html.Tr(
        [
            html.Td(link),
            html.Td(number(pair.z_score, 2, sign=True), className="unusual" if unusual else ""),
            html.Td(number(pair.correlation, 3)),
            html.Td(number(pair.hedge_ratio, 4)),
            html.Td(number(pair.half_life_bars, 1)),
            html.Td(sure, className="" if p_value is not None and p_value < _SURE else "quiet"),
        ]
    )

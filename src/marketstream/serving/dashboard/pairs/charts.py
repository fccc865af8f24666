"""The page's two charts: a pair's spread above its z-score, and the correlations of all pairs."""

from collections.abc import Sequence
from typing import Any

from marketstream.serving.dashboard import numbers
from marketstream.serving.dashboard.plots import Figure, blank, small
from marketstream.serving.dashboard.sources import SeenPair
from marketstream.serving.dashboard.theme import PALETTES, Palette, Scheme

BEYOND = 2.0  # deviations from which a spread counts as unusual


def course(history: Sequence[SeenPair], scheme: Scheme) -> Figure:
    """The spread with its mean and a band of two deviations, above the z-score with its zones."""
    if not history:
        return blank(scheme)
    palette = PALETTES[scheme]
    times = [numbers.axis_time(each.time_us) for each in history]
    data = [
        _line(times, [_edge(each, -BEYOND) for each in history], "Band", palette.bollinger, width=1),
        _line(times, [_edge(each, BEYOND) for each in history], "Band", palette.bollinger, width=1)
        | {"fill": "tonexty", "fillcolor": f"{palette.bollinger}14"},
        _line(times, [each.spread_mean for each in history], "Mean", palette.muted, width=1, dash="dot"),
        _line(times, [each.spread for each in history], "Spread", palette.vwap),
        _line(times, [each.z_score for each in history], "z-score", palette.ema) | {"yaxis": "y2"},
    ]
    layout = small(palette) | {"hovermode": "x unified", "hoversubplots": "axis", "shapes": _zones(palette)}
    layout["xaxis"] |= {"type": "date", "anchor": "y2", "hoverformat": "%a %-d %b %Y, %H:%M UTC"}
    layout["yaxis"] |= {"domain": [0.42, 1.0], "nticks": 6}
    layout["yaxis2"] = layout["yaxis"] | {"domain": [0.0, 0.36], "tickvals": [-BEYOND, 0, BEYOND]}
    layout["margin"] |= {"r": 64}
    return {"data": data, "layout": layout}


def correlations(pairs: Sequence[SeenPair], scheme: Scheme) -> Figure:
    """Every symbol against every other: vermillion moves apart, teal together, the ground where nothing is known."""
    if not pairs:
        return blank(scheme)
    palette = PALETTES[scheme]
    symbols = sorted({symbol for each in pairs for symbol in (each.symbol_a, each.symbol_b)})
    known = {frozenset((each.symbol_a, each.symbol_b)): each.correlation for each in pairs}
    grid = [[1.0 if one == two else known.get(frozenset((one, two))) for two in symbols] for one in symbols]
    heat = {
        "type": "heatmap",
        "x": symbols,
        "y": symbols,
        "z": grid,
        "zmin": -1,
        "zmax": 1,
        "xgap": 2,
        "ygap": 2,
        "colorscale": [[0, palette.down], [0.5, palette.grid], [1, palette.up]],
        "showscale": False,
        "text": [["" if value is None else f"{value:.2f}" for value in row] for row in grid],
        "texttemplate": "%{text}" if len(symbols) <= 12 else "",
        "hovertemplate": "%{y} and %{x}: <b>%{z:.3f}</b><extra></extra>",
    }
    layout = small(palette)
    layout["xaxis"] |= {"side": "top", "tickangle": 0}
    layout["yaxis"] |= {"side": "left", "autorange": "reversed", "automargin": True, "showgrid": False}
    layout["margin"] = {"l": 78, "r": 14, "t": 28, "b": 12}
    return {"data": [heat], "layout": layout}


def _edge(each: SeenPair, deviations: float) -> float | None:
    if each.spread_mean is None or each.spread_std is None:
        return None
    return each.spread_mean + deviations * each.spread_std


def _line(times: Sequence[str], heights: Sequence[float | None], name: str, colour: str, **line: Any) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": times,
        "y": heights,
        "line": {"color": colour, "width": 1.5, **line},
        "hovertemplate": "%{y:,.4~f}",
    }


def _zones(palette: Palette) -> list[dict[str, Any]]:
    place = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "yref": "y2"}
    line = {"color": palette.warn, "width": 1, "dash": "dash"}
    return [place | {"y0": at, "y1": at, "line": line} for at in (-BEYOND, BEYOND)]

"""The chart as a plain plotly figure: candles and overlays above, panes beneath, one time axis in UTC."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from marketstream.analytics.parameters import IndicatorParameters
from marketstream.domain.interval import Interval
from marketstream.domain.market import Bar
from marketstream.serving.dashboard import numbers
from marketstream.serving.dashboard.market.snapshot import Snapshot
from marketstream.serving.dashboard.market.traces import AXES, label, traces
from marketstream.serving.dashboard.plots import Figure, Path, hover_label, put
from marketstream.serving.dashboard.theme import FONT, PALETTES, Scheme

CANDLES = 0
MIN_BARS_ACROSS = 30  # a handful of candles is not blown up to fill the width
RSI_ZONES = (30, 70)
_MARGIN, _DIGIT = 20, 8  # pixels beside the price axis, and for each digit of its labels
_GAP_BARS = 6
_GAP_US = 30 * 60 * 1_000_000  # silence worth cutting out: nights and week-ends of equities
_HEIGHTS = {"price": 1.0, "volume": 0.2, "rsi": 0.24, "macd": 0.28}
_BETWEEN = 0.045  # of the height, between two panes
_LAST_PRICE = 0  # the first shape and annotation
_UTC = 1  # the second annotation


def draw(snapshot: Snapshot, scheme: Scheme, parameters: IndicatorParameters) -> Figure:
    """The whole figure of a snapshot with at least one bar."""
    selection = snapshot.selection
    drawn = traces(selection, parameters, snapshot.decimals)
    data = [
        {**trace.look, **{name: [column(row) for row in snapshot.rows] for name, column in trace.columns.items()}}
        for trace in drawn
    ]
    frame: Figure = {"type": "scatter", "mode": "lines", "x": [], "y": [None, None], "hoverinfo": "skip"}
    figure: Figure = {"data": [*map(_own, data), frame], "layout": _layout(snapshot, parameters)}
    figure["layout"]["xaxis"]["rangebreaks"] = [
        {"bounds": [numbers.axis_time(start), numbers.axis_time(end)]}
        for start, end in gaps(snapshot.bars.data, selection.interval)
    ]
    values = {**frame_values(snapshot, len(drawn)), **price_values(snapshot), **_colours(snapshot, scheme)}
    for index, trace in enumerate(drawn):
        values |= {("data", index, *path): value for path, value in trace.colours(PALETTES[scheme]).items()}
    for path, value in values.items():
        put(figure, path, value)
    return figure


def gaps(bars: Sequence[Bar], interval: Interval) -> list[tuple[int, int]]:
    """Silences `[start_us, end_us)` that are cut out of the time axis."""
    shortest = max(_GAP_US, _GAP_BARS * interval.us)
    return [(one.end_us, two.start_us) for one, two in pairwise(bars) if two.start_us - one.end_us >= shortest]


def frame_values(snapshot: Snapshot, index: int) -> dict[Path, object]:
    """The invisible last trace that keeps the time axis a little longer than the bars, and never too short."""
    bars, interval = snapshot.bars.data, snapshot.selection.interval
    first, newest = bars[0].start_us, bars[-1].start_us
    if not gaps(bars, interval):
        first = min(first, newest - MIN_BARS_ACROSS * interval.us)
    return {("data", index, "x"): [numbers.axis_time(first), numbers.axis_time(newest + 2 * interval.us)]}


def price_values(snapshot: Snapshot) -> dict[Path, object]:
    """Where the line of the last price is, and its label."""
    last = snapshot.last_price
    return {
        ("layout", "shapes", _LAST_PRICE, "y0"): last,
        ("layout", "shapes", _LAST_PRICE, "y1"): last,
        ("layout", "annotations", _LAST_PRICE, "y"): last,
        ("layout", "annotations", _LAST_PRICE, "text"): numbers.price(last, snapshot.decimals),
    }


def direction_values(snapshot: Snapshot, scheme: Scheme) -> dict[Path, object]:
    """The colour of the last price: that of the newest candle."""
    palette = PALETTES[scheme]
    newest = snapshot.bars.data[-1]
    direction = palette.up if (snapshot.last_price or newest.close) >= newest.open else palette.down
    return {
        ("layout", "shapes", _LAST_PRICE, "line", "color"): direction,
        ("layout", "annotations", _LAST_PRICE, "bgcolor"): direction,
    }


def _own(trace: Figure) -> Figure:
    """With dictionaries of its own, which get their colours later."""
    return {name: dict(value) if isinstance(value, dict) else value for name, value in trace.items()}


def _colours(snapshot: Snapshot, scheme: Scheme) -> dict[Path, object]:
    palette = PALETTES[scheme]
    values: dict[Path, object] = {
        **direction_values(snapshot, scheme),
        ("layout", "paper_bgcolor"): palette.surface,
        ("layout", "plot_bgcolor"): palette.surface,
        ("layout", "font", "color"): palette.muted,
        ("layout", "hoverlabel"): hover_label(palette),
        ("layout", "annotations", _LAST_PRICE, "font", "color"): palette.on_direction,
        ("layout", "annotations", _UTC, "font", "color"): palette.muted,
    }
    for axis in ("xaxis", *(_axis_name(pane) for pane in _panes(snapshot))):
        values["layout", axis, "gridcolor"] = palette.grid
        values["layout", axis, "spikecolor"] = palette.muted
    if "rsi" in snapshot.selection.panes:
        for index, kind in ((1, "fillcolor"), (2, "fillcolor")):
            values["layout", "shapes", index, kind] = f"{palette.rsi}1f"
    if "macd" in snapshot.selection.panes:
        values["layout", "yaxis4", "zerolinecolor"] = palette.muted
    return values


def _panes(snapshot: Snapshot) -> tuple[str, ...]:
    return ("price", *snapshot.selection.panes)


def _axis_name(pane: str) -> str:
    return f"yaxis{AXES[pane][1:]}"


def _layout(snapshot: Snapshot, parameters: IndicatorParameters) -> dict[str, Any]:
    price = numbers.price(snapshot.last_price, snapshot.decimals)
    domains = _domains(_panes(snapshot))
    lowest = AXES[_panes(snapshot)[-1]]
    titles = [_title(label(pane, parameters), domains[pane][1]) for pane in snapshot.selection.panes]
    return {
        "uirevision": snapshot.selection.market,  # a zoom survives everything but other bars
        "font": {"family": FONT, "size": 12},
        "margin": {"l": 12, "r": _MARGIN + _DIGIT * len(price), "t": 14, "b": 34},
        "showlegend": False,
        "dragmode": "pan",
        "hovermode": "x unified",
        "hoversubplots": "axis",
        "barmode": "overlay",  # a bar is in one of two traces only
        "bargap": 0.25,
        "xaxis": _time_axis(snapshot.selection.interval) | {"anchor": lowest},
        **{_axis_name(pane): _value_axis(domain) | _own_axis(pane, snapshot) for pane, domain in domains.items()},
        "shapes": [_price_line(), *(_zones() if "rsi" in domains else [])],
        "annotations": [_price_label(), _corner("UTC"), *titles],
    }


def _domains(panes: Sequence[str]) -> dict[str, list[float]]:
    """The part of the height that each pane takes, from above."""
    free = 1 - _BETWEEN * (len(panes) - 1)
    whole = sum(_HEIGHTS[pane] for pane in panes)
    domains, top = {}, 1.0
    for pane in panes:
        bottom = top - free * _HEIGHTS[pane] / whole
        domains[pane] = [max(0.0, round(bottom, 4)), round(top, 4)]
        top = bottom - _BETWEEN
    return domains


def _own_axis(pane: str, snapshot: Snapshot) -> dict[str, Any]:
    if pane == "price":
        return {"tickformat": _tick_format(snapshot)}
    if pane == "volume":
        return {"rangemode": "tozero", "nticks": 3, "tickformat": "~s"}
    if pane == "rsi":
        return {"range": [5, 95], "tickvals": list(RSI_ZONES), "autorange": False}
    return {"nticks": 4, "zeroline": True, "zerolinewidth": 1}


def _tick_format(snapshot: Snapshot) -> str:
    """Every decimal where prices are small; above, as many as the ticks need."""
    return f",.{snapshot.decimals}f" if (snapshot.last_price or 0) < 1_000 else ""


def _time_axis(interval: Interval) -> dict[str, Any]:
    clock = "%H:%M:%S" if interval.seconds < 60 else "%H:%M"
    return {
        "type": "date",
        "rangeslider": {"visible": False},
        "showgrid": False,
        "zeroline": False,
        "showspikes": True,
        "spikemode": "across",
        "spikesnap": "cursor",
        "spikethickness": 1,
        "spikedash": "dot",
        "hoverformat": f"%a %-d %b %Y, {clock} UTC",
        "tickformatstops": [
            {"dtickrange": [None, 60_000], "value": "%H:%M:%S"},
            {"dtickrange": [60_000, 86_400_000], "value": "%H:%M\n%-d %b"},
            {"dtickrange": [86_400_000, None], "value": "%-d %b\n%Y"},
        ],
        "tickangle": 0,
    }


def _value_axis(domain: list[float]) -> dict[str, Any]:
    return {
        "domain": domain,
        "side": "right",
        "fixedrange": True,  # the browser fits it to what is in view
        "zeroline": False,
        "separatethousands": True,
        "exponentformat": "none",
        "ticklabelstandoff": 6,
        "showspikes": True,
        "spikemode": "across",
        "spikesnap": "cursor",
        "spikethickness": 1,
        "spikedash": "dot",
    }


def _price_line() -> dict[str, Any]:
    return {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "line": {"width": 1, "dash": "dot"}}


def _zones() -> list[dict[str, Any]]:
    """Where RSI says oversold and overbought."""
    place = {"type": "rect", "xref": "paper", "x0": 0, "x1": 1, "yref": AXES["rsi"], "layer": "below"}
    return [
        place | {"y0": low, "y1": high, "line": {"width": 0}} for low, high in ((5, RSI_ZONES[0]), (RSI_ZONES[1], 95))
    ]


def _price_label() -> dict[str, Any]:
    return {
        "xref": "paper",
        "x": 1,
        "xanchor": "left",
        "xshift": 2,
        "showarrow": False,
        "borderpad": 3,
        "font": {"size": 12, "weight": 600},
    }


def _corner(text: str) -> dict[str, Any]:
    place = {"xref": "paper", "yref": "paper", "x": 1, "y": 0, "xanchor": "left", "yanchor": "top", "yshift": -16}
    return place | {"xshift": 8, "text": text, "showarrow": False, "font": {"size": 11}}


def _title(text: str, top: float) -> dict[str, Any]:
    """A pane's name, in its upper left corner."""
    place = {"xref": "paper", "yref": "paper", "x": 0, "y": top, "xanchor": "left", "yanchor": "bottom", "yshift": -2}
    return place | {"text": text, "showarrow": False, "font": {"size": 11}}

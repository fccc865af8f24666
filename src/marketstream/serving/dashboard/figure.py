"""The chart as a plain plotly figure: candles and VWAP above, volume beneath, one time axis in UTC."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from operator import attrgetter
from typing import Any

from marketstream.domain.interval import Interval
from marketstream.domain.market import Bar
from marketstream.serving.dashboard import numbers
from marketstream.serving.dashboard.snapshot import Snapshot
from marketstream.serving.dashboard.theme import FONT, PALETTES, Scheme

Figure = dict[str, Any]
Path = tuple[str | int, ...]

CANDLES, VWAP, VOLUME_UP, VOLUME_DOWN, FRAME = range(5)
MIN_BARS_ACROSS = 30  # a handful of candles is not blown up to fill the width
_MARGIN, _DIGIT = 20, 8  # pixels beside the price axis, and for each digit of its labels
_GAP_BARS = 6
_GAP_US = 30 * 60 * 1_000_000  # silence worth cutting out: nights and week-ends of equities


def _time(bar: Bar) -> object:
    return numbers.axis_time(bar.start_us)


def _volume_words(bar: Bar) -> object:
    return [numbers.amount(bar.volume), numbers.count([bar])]


def _volume_up(bar: Bar) -> object:
    return bar.volume if bar.close >= bar.open else None


def _volume_down(bar: Bar) -> object:
    return bar.volume if bar.close < bar.open else None


# Every array of the figure that grows with the bars: where it is, and its value for one bar.
COLUMNS: tuple[tuple[Path, Callable[[Bar], object]], ...] = (
    ((CANDLES, "x"), _time),
    *(((CANDLES, price), attrgetter(price)) for price in ("open", "high", "low", "close")),
    ((VWAP, "x"), _time),
    ((VWAP, "y"), attrgetter("vwap")),
    ((VOLUME_UP, "x"), _time),
    ((VOLUME_UP, "y"), _volume_up),
    ((VOLUME_UP, "customdata"), _volume_words),
    ((VOLUME_DOWN, "x"), _time),
    ((VOLUME_DOWN, "y"), _volume_down),
    ((VOLUME_DOWN, "customdata"), _volume_words),
)


def draw(snapshot: Snapshot, scheme: Scheme) -> Figure:
    """The whole figure of a snapshot with at least one bar."""
    bars, interval = snapshot.bars.data, snapshot.selection.interval
    figure: Figure = {"data": _traces(snapshot.decimals), "layout": _layout(snapshot)}
    for path, column in COLUMNS:
        put(figure["data"], path, [column(bar) for bar in bars])
    figure["layout"]["xaxis"]["rangebreaks"] = [
        {"bounds": [numbers.axis_time(start), numbers.axis_time(end)]} for start, end in gaps(bars, interval)
    ]
    for path, value in {**frame_values(bars, interval), **price_values(snapshot), **colours(snapshot, scheme)}.items():
        put(figure, path, value)
    return figure


def blank(scheme: Scheme) -> Figure:
    """A figure with nothing on it, not even axes."""
    hidden = {"visible": False, "fixedrange": True}
    colour = PALETTES[scheme].surface
    return {"data": [], "layout": {"xaxis": hidden, "yaxis": hidden, "paper_bgcolor": colour, "plot_bgcolor": colour}}


def put(target: Any, path: Path, value: object) -> None:
    """Sets a value inside nested dictionaries and lists, or inside a dash `Patch` of them."""
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = value


def gaps(bars: Sequence[Bar], interval: Interval) -> list[tuple[int, int]]:
    """Silences `[start_us, end_us)` that are cut out of the time axis."""
    shortest = max(_GAP_US, _GAP_BARS * interval.us)
    return [(one.end_us, two.start_us) for one, two in pairwise(bars) if two.start_us - one.end_us >= shortest]


def frame_values(bars: Sequence[Bar], interval: Interval) -> dict[Path, object]:
    """The invisible trace that keeps the time axis a little longer than the bars, and never too short."""
    first, newest = bars[0].start_us, bars[-1].start_us
    if not gaps(bars, interval):
        first = min(first, newest - MIN_BARS_ACROSS * interval.us)
    return {("data", FRAME, "x"): [numbers.axis_time(first), numbers.axis_time(newest + 2 * interval.us)]}


def price_values(snapshot: Snapshot) -> dict[Path, object]:
    """Where the line of the last price is, and its label."""
    last = snapshot.last_price
    return {
        ("layout", "shapes", 0, "y0"): last,
        ("layout", "shapes", 0, "y1"): last,
        ("layout", "annotations", 0, "y"): last,
        ("layout", "annotations", 0, "text"): numbers.price(last, snapshot.decimals),
    }


def colours(snapshot: Snapshot, scheme: Scheme) -> dict[Path, object]:
    """Everything that depends on the colour scheme, and the last price's label, which depends on its direction too."""
    palette = PALETTES[scheme]
    newest = snapshot.bars.data[-1]
    direction = palette.up if (snapshot.last_price or newest.close) >= newest.open else palette.down
    values: dict[Path, object] = {
        ("data", CANDLES, "increasing"): {"line": {"color": palette.up, "width": 1.4}, "fillcolor": palette.surface},
        ("data", CANDLES, "decreasing"): {"line": {"color": palette.down, "width": 1.4}, "fillcolor": palette.down},
        ("data", VWAP, "line", "color"): palette.vwap,
        ("data", VOLUME_UP, "marker", "color"): palette.up,
        ("data", VOLUME_DOWN, "marker", "color"): palette.down,
        ("layout", "paper_bgcolor"): palette.surface,
        ("layout", "plot_bgcolor"): palette.surface,
        ("layout", "font", "color"): palette.muted,
        ("layout", "hoverlabel"): {
            "bgcolor": palette.raised,
            "bordercolor": palette.grid,
            "font": {"color": palette.text, "size": 12, "family": FONT},
        },
        ("layout", "shapes", 0, "line", "color"): direction,
        ("layout", "annotations", 0, "bgcolor"): direction,
        ("layout", "annotations", 0, "font", "color"): palette.on_direction,
        ("layout", "annotations", 1, "font", "color"): palette.muted,
    }
    for axis in ("xaxis", "yaxis", "yaxis2"):
        values["layout", axis, "gridcolor"] = palette.grid
        values["layout", axis, "spikecolor"] = palette.muted
    return values


def _traces(decimals: int) -> list[dict[str, Any]]:
    shown = f",.{decimals}f"
    return [
        {
            "type": "candlestick",
            "name": "",
            "hovertemplate": (
                f"O <b>%{{open:{shown}}}</b>  H <b>%{{high:{shown}}}</b><br>"
                f"L <b>%{{low:{shown}}}</b>  C <b>%{{close:{shown}}}</b><extra></extra>"
            ),
        },
        {
            "type": "scatter",
            "mode": "lines",
            "name": "VWAP",
            "line": {"width": 1.3},
            "hovertemplate": f"VWAP <b>%{{y:{shown}}}</b><extra></extra>",
        },
        _volume_trace(),
        _volume_trace(),
        {"type": "scatter", "mode": "lines", "x": [], "y": [None, None], "hoverinfo": "skip"},
    ]


def _volume_trace() -> dict[str, Any]:
    return {
        "type": "bar",
        "name": "Volume",
        "yaxis": "y2",
        "opacity": 0.55,
        "marker": {"line": {"width": 0}},
        "hovertemplate": "Volume <b>%{customdata[0]}</b> in <b>%{customdata[1]}</b> trades<extra></extra>",
    }


def _layout(snapshot: Snapshot) -> dict[str, Any]:
    label = numbers.price(snapshot.last_price, snapshot.decimals)
    return {
        "uirevision": snapshot.selection.key,  # a zoom survives everything but another chart
        "font": {"family": FONT, "size": 12},
        "margin": {"l": 12, "r": _MARGIN + _DIGIT * len(label), "t": 14, "b": 34},
        "showlegend": False,
        "dragmode": "pan",
        "hovermode": "x unified",
        "hoversubplots": "axis",
        "barmode": "overlay",  # a bar is in one of the two volume traces only
        "bargap": 0.25,
        "xaxis": _time_axis(snapshot.selection.interval),
        "yaxis": _value_axis([0.25, 1.0]) | {"tickformat": _tick_format(snapshot)},
        "yaxis2": _value_axis([0.0, 0.19]) | {"rangemode": "tozero", "nticks": 3, "tickformat": "~s"},
        "shapes": [{"type": "line", "xref": "paper", "x0": 0, "x1": 1, "line": {"width": 1, "dash": "dot"}}],
        "annotations": [_price_label(), _corner("UTC")],
    }


def _tick_format(snapshot: Snapshot) -> str:
    """Every decimal where prices are small; above, as many as the ticks need."""
    return f",.{snapshot.decimals}f" if (snapshot.last_price or 0) < 1_000 else ""


def _time_axis(interval: Interval) -> dict[str, Any]:
    clock = "%H:%M:%S" if interval.seconds < 60 else "%H:%M"
    return {
        "anchor": "y2",
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

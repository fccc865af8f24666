"""The page's two charts: what flows, as lines that grow at their end, and how complete each minute is."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from marketstream.contracts.feed_state import MinuteRecord
from marketstream.serving.dashboard import numbers
from marketstream.serving.dashboard.plots import small
from marketstream.serving.dashboard.system.flow import KEPT_SECONDS, Rates
from marketstream.serving.dashboard.theme import PALETTES, Palette, Scheme

MOST_POINTS = int(KEPT_SECONDS)
_COLOURS = ("up", "vwap", "sma", "ema", "session", "down", "bollinger")
_DASHES = ("solid", "solid", "dash", "dot", "dashdot", "longdash", "longdashdot")


def lines_of(rates: Sequence[Rates]) -> list[str]:
    """The names of all lines, in their order."""
    return list(dict.fromkeys(name for each in rates for name in each.each))


def flow(rates: Sequence[Rates], lines: Sequence[str], scheme: Scheme) -> dict[str, Any]:
    """The whole chart of these lines."""
    palette = PALETTES[scheme]
    times = [_time(each) for each in rates]
    data = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": name,
            "x": times,
            "y": [each.each.get(name) for each in rates],
            "line": {
                "color": getattr(palette, _COLOURS[index % len(_COLOURS)]),
                "width": 1.6,
                "dash": _DASHES[index % len(_DASHES)],
            },
            "hovertemplate": "%{y:,.0f}",
        }
        for index, name in enumerate(lines)
    ]
    legend = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "font": {"size": 11}}
    layout = small(palette) | {"showlegend": True, "legend": legend, "hovermode": "x unified"}
    layout["yaxis"] |= {"rangemode": "tozero", "nticks": 5, "tickformat": "~s"}
    layout["xaxis"] |= {"type": "date", "tickformat": "%H:%M:%S", "nticks": 6}
    return {"data": data, "layout": layout}


def extension(rates: Sequence[Rates], lines: Sequence[str]) -> list[Any]:
    """What the chart of these lines has to be longer by, as `extendData` wants it."""
    times = [_time(each) for each in rates]
    heights = [[each.each.get(name) for each in rates] for name in lines]
    return [{"x": [times] * len(lines), "y": heights}, list(range(len(lines))), MOST_POINTS]


def completeness(minutes: Sequence[MinuteRecord], scheme: Scheme) -> dict[str, Any]:
    """Each symbol's minutes, the complete ones in the ground's own colour, so that what lacks stands out."""
    palette = PALETTES[scheme]
    rows = {symbol: list(each) for symbol, each in groupby(minutes, key=lambda record: record.symbol)}
    times = sorted({record.minute_us for record in minutes})
    scores = [_by_minute(records, times) for records in rows.values()]
    words = [[_words(record) for record in _in_order(records, times)] for records in rows.values()]
    heat = {
        "type": "heatmap",
        "x": [numbers.axis_time(time_us) for time_us in times],
        "y": list(rows),
        "z": scores,
        "zmin": 0.0,
        "zmax": 1.0,
        "xgap": 1,
        "ygap": 2,
        "showscale": False,
        "customdata": words,
        "hovertemplate": "%{y} at %{x|%H:%M}<br><b>%{customdata}</b><extra></extra>",
        "colorscale": [[0, palette.down], [0.9, palette.warn], [0.999, palette.bollinger], [1, _mixed(palette)]],
    }
    layout = small(palette)
    layout["xaxis"] |= {"type": "date", "tickformat": "%H:%M", "nticks": 6, "showgrid": False}
    layout["yaxis"] |= {
        "showgrid": False,
        "automargin": True,
        "ticklabelstandoff": 6,
        "side": "left",
        "autorange": "reversed",
    }
    layout["margin"] |= {"l": 70, "r": 14}
    return {"data": [heat] if rows else [], "layout": layout}


def _mixed(palette: Palette) -> str:
    return f"{palette.up}66"


def _by_minute(records: Sequence[MinuteRecord], times: Sequence[int]) -> list[float | None]:
    return [None if record is None else record.score for record in _in_order(records, times)]


def _in_order(records: Sequence[MinuteRecord], times: Sequence[int]) -> list[MinuteRecord | None]:
    by_time: Mapping[int, MinuteRecord] = {record.minute_us: record for record in records}
    return [by_time.get(time_us) for time_us in times]


def _words(record: MinuteRecord | None) -> str:
    if record is None or record.score is None:
        return "nothing known"
    text = f"{record.score:.1%}, {record.ticks:,} trades"
    return f"{text}, {record.reason.replace('_', ' ')}" if record.reason != "complete" else text


def _time(rates: Rates) -> str:
    return numbers.axis_time(round(rates.at * 1e6))

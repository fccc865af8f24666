"""What the chart draws, series by series: each one's look, and its value for one bar."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from marketstream.analytics.parameters import IndicatorParameters
from marketstream.serving.dashboard import numbers
from marketstream.serving.dashboard.market.recent import Row
from marketstream.serving.dashboard.market.selection import Selection
from marketstream.serving.dashboard.plots import Path
from marketstream.serving.dashboard.theme import Palette

Column = Callable[[Row], object]
AXES: Mapping[str, str] = {"price": "y", "volume": "y2", "rsi": "y3", "macd": "y4"}
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash")


@dataclass(frozen=True, slots=True)
class Trace:
    """One series.

    Attributes:
        name: What it shows.
        look: Its plotly attributes that never change.
        columns: Its arrays: the value of each for one bar.
        colours: Its attributes that depend on the colour scheme.
    """

    name: str
    look: Mapping[str, Any]
    columns: Mapping[str, Column]
    colours: Callable[[Palette], Mapping[Path, object]]


def traces(selection: Selection, parameters: IndicatorParameters, decimals: int) -> list[Trace]:
    """Everything the selection shows; the candles first."""
    shown = f",.{decimals}f"
    found = [_candles(shown)]
    for name in selection.show:
        found += _overlay(name, parameters, shown)
    panes: dict[str, Callable[[], list[Trace]]] = {
        "volume": _volume,
        "rsi": lambda: _rsi(parameters),
        "macd": lambda: _macd(shown),
    }
    for pane in selection.panes:
        found += panes[pane]()
    return found


def label(name: str, parameters: IndicatorParameters) -> str:
    """What people call an overlay or a pane."""
    words = {
        "vwap": "VWAP of the bar",
        "vwap_session": "VWAP of the session",
        "bollinger": f"Bollinger {parameters.bollinger}, {parameters.bollinger_deviations:g}",
        "volume": "Volume",
        "rsi": f"RSI {parameters.rsi}",
        "macd": f"MACD {parameters.macd_fast}, {parameters.macd_slow}, {parameters.macd_signal}",
    }
    return words.get(name) or name.upper().replace("_", " ")


def dash_of(name: str, parameters: IndicatorParameters) -> str:
    """The dashes that tell an average from the others of its kind."""
    kind, _, period = name.partition("_")
    periods: Sequence[int] = getattr(parameters, kind, ())
    return _DASHES[periods.index(int(period)) % len(_DASHES)] if period.isdigit() else "solid"


def _time(row: Row) -> object:
    return numbers.axis_time(row.bar.start_us)


def _value(name: str) -> Column:
    return lambda row: row.values.get(name)


def _candles(shown: str) -> Trace:
    def colours(palette: Palette) -> Mapping[Path, object]:
        up = {"line": {"color": palette.up, "width": 1.4}, "fillcolor": palette.surface}
        down = {"line": {"color": palette.down, "width": 1.4}, "fillcolor": palette.down}
        return {("increasing",): up, ("decreasing",): down}

    hover = (
        f"O <b>%{{open:{shown}}}</b>  H <b>%{{high:{shown}}}</b><br>"
        f"L <b>%{{low:{shown}}}</b>  C <b>%{{close:{shown}}}</b><extra></extra>"
    )
    prices: dict[str, Column] = {
        "open": lambda row: row.bar.open,
        "high": lambda row: row.bar.high,
        "low": lambda row: row.bar.low,
        "close": lambda row: row.bar.close,
    }
    look = {"type": "candlestick", "name": "", "hovertemplate": hover}
    return Trace("candles", look, {"x": _time, **prices}, colours)


def _line(name: str, text: str, value: Column, colour: str, **look: Any) -> Trace:
    """A line in the colour that the palette has under a name; `text` is its hover text."""
    attributes = {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "hovertemplate": f"{text}<extra></extra>",
        **look,
        "line": {"width": 1.3, **look.get("line", {})},
    }
    return Trace(
        name, attributes, {"x": _time, "y": value}, lambda palette: {("line", "color"): getattr(palette, colour)}
    )


def _overlay(name: str, parameters: IndicatorParameters, shown: str) -> list[Trace]:
    if name == "bollinger":
        return _bollinger(shown)
    if name == "vwap":
        return [_line("VWAP", f"VWAP <b>%{{y:{shown}}}</b>", lambda row: row.bar.vwap, "vwap")]
    colour = {"vwap_session": "session", "sma": "sma", "ema": "ema"}.get(name if name == "vwap_session" else name[:3])
    if colour is None:
        return []  # a pane
    words = "Session VWAP" if name == "vwap_session" else label(name, parameters)
    line = {"dash": dash_of(name, parameters)}
    return [_line(words, f"{words} <b>%{{y:{shown}}}</b>", _value(name), colour, line=line)]


def _bollinger(shown: str) -> list[Trace]:
    band = {"width": 1}
    upper = _line("Bollinger", f"Upper <b>%{{y:{shown}}}</b>", _value("bollinger_upper"), "bollinger", line=band)
    lower = _line("Bollinger", f"Lower <b>%{{y:{shown}}}</b>", _value("bollinger_lower"), "bollinger", line=band)
    filled = Trace(
        upper.name,
        {**upper.look, "fill": "tonexty"},
        upper.columns,
        lambda palette: {**upper.colours(palette), ("fillcolor",): f"{palette.bollinger}14"},
    )
    return [lower, filled]


def _volume() -> list[Trace]:
    hover = "Volume <b>%{customdata[0]}</b> in <b>%{customdata[1]}</b> trades<extra></extra>"
    look = {
        "type": "bar",
        "name": "Volume",
        "yaxis": AXES["volume"],
        "opacity": 0.55,
        "marker": {"line": {"width": 0}},
        "hovertemplate": hover,
    }

    def words(row: Row) -> object:
        return [numbers.amount(row.bar.volume), numbers.count([row.bar])]

    def side(up: bool) -> Column:
        return lambda row: row.bar.volume if (row.bar.close >= row.bar.open) is up else None

    return [
        Trace("volume", look, {"x": _time, "y": side(up), "customdata": words}, _side_colour(up))
        for up in (True, False)
    ]


def _side_colour(up: bool) -> Callable[[Palette], Mapping[Path, object]]:
    return lambda palette: {("marker", "color"): palette.up if up else palette.down}


def _rsi(parameters: IndicatorParameters) -> list[Trace]:
    name = f"rsi_{parameters.rsi}"
    return [_line("RSI", "RSI <b>%{y:.1f}</b>", _value(name), "rsi", yaxis=AXES["rsi"])]


def _macd(shown: str) -> list[Trace]:
    axis = AXES["macd"]

    def side(up: bool) -> Column:
        def value(row: Row) -> object:
            height = row.values.get("macd_histogram")
            return height if height is not None and (height >= 0) is up else None

        return value

    look = {
        "type": "bar",
        "name": "Histogram",
        "yaxis": axis,
        "opacity": 0.55,
        "marker": {"line": {"width": 0}},
        "hovertemplate": f"Histogram <b>%{{y:{shown}}}</b><extra></extra>",
    }
    bars = [Trace("macd_histogram", look, {"x": _time, "y": side(up)}, _side_colour(up)) for up in (True, False)]
    lines = [
        _line("MACD", f"MACD <b>%{{y:{shown}}}</b>", _value("macd"), "macd", yaxis=axis),
        _line(
            "Signal", f"Signal <b>%{{y:{shown}}}</b>", _value("macd_signal"), "signal", yaxis=axis, line={"dash": "dot"}
        ),
    ]
    return [*bars, *lines]

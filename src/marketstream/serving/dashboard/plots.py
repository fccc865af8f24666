"""What every plotly figure of the pages shares."""

from typing import Any

from marketstream.serving.dashboard.theme import FONT, PALETTES, Palette, Scheme

Figure = dict[str, Any]
Path = tuple[str | int, ...]


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


def hover_label(palette: Palette) -> Figure:
    """The look of what is shown where the pointer is."""
    font = {"color": palette.text, "size": 12, "family": FONT}
    return {"bgcolor": palette.raised, "bordercolor": palette.grid, "font": font}


def small(palette: Palette) -> Figure:
    """The layout of a small chart that cannot be zoomed, its values on the right."""
    axis = {"gridcolor": palette.grid, "zeroline": False, "fixedrange": True}
    return {
        "font": {"family": FONT, "size": 11.5, "color": palette.muted},
        "paper_bgcolor": palette.surface,
        "plot_bgcolor": palette.surface,
        "margin": {"l": 14, "r": 46, "t": 8, "b": 28},
        "showlegend": False,
        "xaxis": axis | {"showgrid": False},
        "yaxis": axis | {"side": "right", "ticklabelstandoff": 6},
        "hoverlabel": hover_label(palette),
    }

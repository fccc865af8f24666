"""Colours of the pages. Up is teal and hollow, down is vermillion and filled.

The pair differs in lightness and in blue as well as in hue, so it can be told apart with every kind of colour blindness
(after Okabe and Ito, "Color Universal Design", 2008); candles differ by fill too, so that nothing rests on hue alone.
Averages of one kind share a colour and differ by their dashes.
The same values are CSS variables in `assets/base.css`.
"""

from dataclasses import dataclass
from typing import Literal

Scheme = Literal["dark", "light"]

FONT = (
    'Inter, "Segoe UI Variable Text", "Segoe UI", system-ui, -apple-system, Roboto, "Helvetica Neue", "DejaVu Sans", '
    "sans-serif"
)


@dataclass(frozen=True, slots=True)
class Palette:
    """One scheme's colours."""

    up: str
    down: str
    vwap: str
    session: str  # VWAP of the session
    bollinger: str
    sma: str
    ema: str
    rsi: str
    macd: str
    signal: str
    warn: str
    surface: str
    raised: str
    text: str
    muted: str
    grid: str
    on_direction: str  # text on top of `up` and `down`


PALETTES: dict[Scheme, Palette] = {
    "dark": Palette(
        up="#35c9b0",
        down="#f2704a",
        vwap="#a99bff",
        session="#e08fd0",
        bollinger="#7fa3c7",
        sma="#e9c46a",
        ema="#6cc5f0",
        rsi="#a99bff",
        macd="#6cc5f0",
        signal="#e9c46a",
        warn="#e9b44c",
        surface="#12161e",
        raised="#1c222d",
        text="#e8ebf1",
        muted="#8e98a9",
        grid="#212835",
        on_direction="#0b0e13",
    ),
    "light": Palette(
        up="#0b7f70",
        down="#c6421c",
        vwap="#6a55d8",
        session="#a8348f",
        bollinger="#4a7196",
        sma="#9a6700",
        ema="#0b6fa8",
        rsi="#6a55d8",
        macd="#0b6fa8",
        signal="#9a6700",
        warn="#9a6700",
        surface="#ffffff",
        raised="#ffffff",
        text="#161b24",
        muted="#5d6778",
        grid="#e9ecf1",
        on_direction="#ffffff",
    ),
}


def scheme_of(name: str | None) -> Scheme:
    """The scheme the browser reports; dark until it has reported one."""
    return "light" if name == "light" else "dark"

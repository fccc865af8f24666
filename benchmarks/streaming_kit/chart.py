"""Draws small charts side by side as SVG: one series each, over a logarithmic x axis, with every point labelled."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import log10
from pathlib import Path

_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM = 300, 230, 16, 46, 34
_HEADING = 'font-size="14" font-weight="600" fill="#1f2933"'
_LABEL = 'font-size="11" fill="#1f2933"'
_MUTED = 'font-size="11" fill="#667380"'
_LINE = "#1c7ed6"


@dataclass(frozen=True)
class Panel:
    """One chart.

    Attributes:
        title: What it shows, with its unit.
        values: One for each x, not below zero; the y axis begins at zero.
    """

    title: str
    values: Sequence[float]


def draw(path: Path, title: str, x_name: str, xs: Sequence[float], panels: Sequence[Panel]) -> None:
    """Writes the picture."""
    width = _WIDTH * len(panels)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{_HEIGHT + 30}" '
        f'viewBox="0 0 {width} {_HEIGHT + 30}" font-family="system-ui, sans-serif" role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{width}" height="{_HEIGHT + 30}" fill="#ffffff"/>',
        _text(_LEFT, 20, title, _HEADING, "start"),
    ]
    for number, panel in enumerate(panels):
        parts.append(f'<g transform="translate({number * _WIDTH},24)">')
        parts += _panel(panel, x_name, xs)
        parts.append("</g>")
    path.write_text("\n".join([*parts, "</svg>", ""]))


def _panel(panel: Panel, x_name: str, xs: Sequence[float]) -> list[str]:
    highest = max(panel.values) or 1.0
    low, span = log10(xs[0]), (log10(xs[-1]) - log10(xs[0])) or 1.0
    wide, high = _WIDTH - 4 * _LEFT, _HEIGHT - _TOP - _BOTTOM
    places = [
        (2 * _LEFT + (log10(x) - low) / span * wide, _TOP + high * (1 - value / highest))
        for x, value in zip(xs, panel.values, strict=True)
    ]
    base = _TOP + high
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    parts = [
        _text(_LEFT, 24, panel.title, _MUTED, "start"),
        f'<line x1="{_LEFT}" y1="{base}" x2="{_WIDTH - _LEFT}" y2="{base}" stroke="#cbd2d9"/>',
        f'<polyline points="{line}" fill="none" stroke="{_LINE}" stroke-width="2"/>',
        _text(_WIDTH / 2, base + 30, x_name, _MUTED),
    ]
    for (x, y), value, at in zip(places, panel.values, xs, strict=True):
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{_LINE}"/>')
        parts.append(_text(x, y - 8, f"{value:,.0f}" if value >= 10 else f"{value:.1f}", _LABEL))
        parts.append(_text(x, base + 15, f"{at:,.0f}", _MUTED))
    return parts


def _text(x: float, y: float, text: str, look: str, anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {look}>{escape(text)}</text>'

"""Colours: readable, and told apart by the colour-blind.

Formulas: WCAG 2.2; CIE 1976 L*a*b*; Viénot, Brettel and Mollon 1999 (simulated dichromacy in linear RGB).
"""

import re
from pathlib import Path

import pytest

from marketstream.serving.dashboard import theme
from marketstream.serving.dashboard.theme import PALETTES, Scheme

SCHEMES: tuple[Scheme, ...] = ("dark", "light")
# Linear RGB to what is left of it without long- or middle-wavelength cones.
PROTANOPIA = ((0.11238, 0.88762, 0.0), (0.11238, 0.88762, 0.0), (0.00401, -0.00401, 1.0))
DEUTERANOPIA = ((0.29275, 0.70725, 0.0), (0.29275, 0.70725, 0.0), (-0.02234, 0.02234, 1.0))


def linear(colour: str) -> list[float]:
    channels = [int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    return [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]


def contrast(one: str, other: str) -> float:
    light, dark = sorted(
        (sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear(x), strict=True)) for x in (one, other)),
        reverse=True,
    )
    return (light + 0.05) / (dark + 0.05)


def lab(rgb: list[float]) -> tuple[float, float, float]:
    rows = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))
    xyz = [sum(w * c for w, c in zip(row, rgb, strict=True)) for row in rows]
    x, y, z = (
        (v ** (1 / 3) if v > 0.008856 else 7.787 * v + 16 / 116)
        for v in (n / white for n, white in zip(xyz, (0.9505, 1.0, 1.089), strict=True))
    )
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def difference(one: str, other: str, loss: tuple[tuple[float, ...], ...]) -> float:
    seen = [
        lab([max(0.0, sum(w * c for w, c in zip(row, linear(x), strict=True))) for row in loss]) for x in (one, other)
    ]
    return sum((a - b) ** 2 for a, b in zip(*seen, strict=True)) ** 0.5


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", ["text", "muted", "up", "down"])
def test_text_is_readable_on_the_surface(scheme: Scheme, name: str) -> None:
    palette = PALETTES[scheme]
    assert contrast(getattr(palette, name), palette.surface) >= 4.5


@pytest.mark.parametrize("scheme", SCHEMES)
def test_labels_on_the_directions_are_readable(scheme: Scheme) -> None:
    palette = PALETTES[scheme]
    assert min(contrast(palette.on_direction, palette.up), contrast(palette.on_direction, palette.down)) >= 4.5


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("loss", [PROTANOPIA, DEUTERANOPIA])
def test_up_and_down_are_told_apart_without_red_or_green(scheme: Scheme, loss: tuple[tuple[float, ...], ...]) -> None:
    palette = PALETTES[scheme]
    assert difference(palette.up, palette.down, loss) > 20  # 2.3 is just noticeable; red and green give far less
    assert difference("#2e9e3f", "#c0602a", loss) < 20


def test_the_style_sheet_has_the_same_colours() -> None:
    css = (Path(theme.__file__).parent / "assets" / "base.css").read_text()
    blocks = dict(zip(("dark", "light"), re.findall(r":root[^{]*\{([^}]*)\}", css)[:2], strict=True))
    for scheme in SCHEMES:
        variables = dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6})", blocks[scheme]))
        palette = PALETTES[scheme]
        shared = {"card": palette.surface, "line": palette.grid, "raised": palette.raised}
        shared |= {name: getattr(palette, name) for name in ("text", "muted", "up", "down", "vwap")}
        for name, colour in shared.items():
            if (scheme, name) != ("light", "line"):  # borders of light cards are a little stronger than the grid
                assert variables[name] == colour, (scheme, name)


def test_the_scheme_is_dark_until_the_browser_says_light() -> None:
    assert [theme.scheme_of(name) for name in (None, "dark", "light")] == ["dark", "dark", "light"]

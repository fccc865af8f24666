"""Decimal text of numbers, as providers send prices and sizes in strings."""

from decimal import Decimal


def decimal_text(value: float, places: int = 8) -> str:
    """The number with `places` decimals, or with as many as it takes to read the same float back; no exponent."""
    text = f"{value:.{places}f}"
    return text if float(text) == value else format(Decimal(repr(value)), "f")


def shortest_text(value: float) -> str:
    """The shortest decimal text that reads the same float back, without an exponent."""
    return format(Decimal(repr(value)), "f")

"""Symbols of the generated market have believable prices that depend on nothing but their names."""

import subprocess
import sys

import pytest

from marketstream.testing.instruments import instrument


@pytest.mark.parametrize(
    ("symbol", "asset_class", "price", "price_decimals", "size_decimals"),
    [
        ("BTCUSDT", "crypto", 65_000.0, 2, 5),
        ("XRPUSDT", "crypto", 0.55, 4, 0),
        ("IBM", "equity", 220.0, 2, 0),
    ],
)
def test_known_symbols(symbol: str, asset_class: str, price: float, price_decimals: int, size_decimals: int) -> None:
    found = instrument(symbol)
    assert (found.asset_class, found.start_price) == (asset_class, price)
    assert (found.price_decimals, found.size_decimals) == (price_decimals, size_decimals)


def test_an_unknown_symbol_is_the_same_in_every_process() -> None:
    program = "from marketstream.testing.instruments import instrument; print(instrument('ZZTOP'))"
    elsewhere = subprocess.run(  # another process has another hash seed
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert elsewhere.stdout.strip() == str(instrument("ZZTOP"))


def test_unknown_symbols_differ_and_lie_in_a_believable_range() -> None:
    prices = [instrument(f"S{number}").start_price for number in range(200)]
    assert len(set(prices)) > 180
    assert 8 <= min(prices) < max(prices) <= 500

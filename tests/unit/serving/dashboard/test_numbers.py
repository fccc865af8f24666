"""Numbers and times as a person reads them."""

import pytest

from marketstream.serving.dashboard import numbers
from stores import make_bar, make_provider_bar


@pytest.mark.parametrize(
    ("prices", "decimals"), [([], 2), ([100.0], 2), ([1.5, 0.5231], 4), ([1e-7], 7), ([1 / 3], 8), ([43210.55], 2)]
)
def test_decimals_show_every_price_in_full(prices: list[float], decimals: int) -> None:
    assert numbers.price_decimals(prices) == decimals


def test_prices() -> None:
    assert numbers.price(43210.5, 2) == "43,210.50"
    assert numbers.price(None, 2) == "\N{EN DASH}"


def test_trades_are_counted_as_far_as_anybody_tells() -> None:
    ours, silent = make_bar(60_000_000, 1_234), make_provider_bar(0, 5)
    assert numbers.count([ours, ours]) == "2,468"
    assert numbers.count([ours, silent]) == "1,234+"
    assert numbers.count([silent]) == "\N{EN DASH}"


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.234, "+1.23 %"), (-1234.5, "\N{MINUS SIGN}1,234.50 %"), (0.0, "0.00 %"), (-0.001, "0.00 %"), (0.001, "0.00 %")],
)
def test_changes_have_their_sign_and_nothing_has_none(value: float, text: str) -> None:
    assert numbers.signed(value, 2, " %") == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.0123, "0.0123"),
        (0.5, "0.5"),
        (12.8734, "12.87"),
        (100.0, "100"),
        (999.96, "1000"),
        (1234.4, "1,234"),
        (45_678.0, "45.68K"),
        (1_234_000.0, "1.234M"),
        (2.5e9, "2.5B"),
        (7e12, "7T"),
    ],
)
def test_amounts(value: float, text: str) -> None:
    assert numbers.amount(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "\N{EN DASH}"),
        (0.04, "0.0 s"),
        (9.9, "9.9 s"),
        (10.2, "10 s"),
        (119.0, "119 s"),
        (120.0, "2 min"),
        (7_199.0, "119 min"),
        (7_200.0, "2 h"),
        (172_800.0, "2 d"),
        (86_400.0 * 4_000, "4,000 d"),
    ],
)
def test_ages(seconds: float | None, text: str) -> None:
    assert numbers.age(seconds) == text


def test_times_are_utc() -> None:
    instant_us = 1_381_152_605_999_999  # 2013-10-07 13:30:05.999999, by `date -u`
    assert numbers.clock(instant_us) == "13:30:05"
    assert numbers.day_and_clock(instant_us) == "7 Oct 2013, 13:30"
    assert numbers.axis_time(instant_us) == "2013-10-07T13:30:05"

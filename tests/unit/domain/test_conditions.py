"""Which trades update what, by their sale conditions."""

import pytest

from marketstream.domain.conditions import CONSOLIDATED, EVERYTHING, RULES, Updates


@pytest.mark.parametrize(
    ("conditions", "updates"),
    [
        ((), EVERYTHING),
        (("0",), EVERYTHING),
        (("14", "41"), EVERYTHING),
        (("12",), EVERYTHING),  # extended hours make bars
        (("12", "37"), Updates(last=False, high_low=False, volume=True)),
        (("37",), Updates(last=False, high_low=False, volume=True)),
        (("32",), Updates(last=False, high_low=True, volume=True)),
        (("32", "37"), Updates(last=False, high_low=False, volume=True)),
        (("15",), Updates(last=False, high_low=False, volume=False)),
        (("38",), Updates(last=True, high_low=True, volume=False)),
        (("38", "37"), Updates(last=False, high_low=False, volume=False)),
        (("no such code",), EVERYTHING),
    ],
)
@pytest.mark.parametrize("provider", ["polygon", "finage"])
def test_a_trade_updates_what_all_its_conditions_let_it(
    provider: str, conditions: tuple[str, ...], updates: Updates
) -> None:
    assert CONSOLIDATED.updates(provider, conditions) == updates


def test_where_a_provider_tells_no_conditions_every_trade_updates_everything() -> None:
    assert CONSOLIDATED.updates("binance", ("37",)) == EVERYTHING
    assert RULES["all"].updates("polygon", ("15",)) == EVERYTHING
    assert RULES["all"].held_back("last") == {}


def test_what_updates_the_last_price_updates_high_and_low() -> None:
    """Else a bar's open or close could lie beyond its high and low."""
    for codes in CONSOLIDATED.codes.values():
        assert all(updates.high_low for updates in codes.values() if updates.last)
        assert EVERYTHING not in codes.values()


def test_codes_that_hold_back_are_told_once_for_all_providers_that_share_them() -> None:
    held = {what: CONSOLIDATED.held_back(what) for what in ("last", "high_low", "volume")}
    assert held["volume"] == {("15", "16", "38"): ["polygon", "finage"]}
    assert [set(codes) for codes in held["last"]] == [set(CONSOLIDATED.codes["polygon"]) - {"38"}]
    assert {"32", "10"} & {code for codes in held["high_low"] for code in codes} == set()

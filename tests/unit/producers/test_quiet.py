"""Symbols that fall silent alone."""

from marketstream.producers.quiet import QuietSymbols


def test_a_symbol_is_asked_about_when_it_was_quiet_for_long_enough() -> None:
    quiet = QuietSymbols(60.0)
    assert quiet.next({"A": 1, "B": 1, "C": None}, 0.0) is None
    assert quiet.next({"A": 1, "B": 2, "C": None}, 59.0) is None
    assert quiet.next({"A": 1, "B": 3, "C": None}, 61.0) == "A"


def test_a_symbol_that_went_on_twice_without_us_is_dead() -> None:
    quiet = QuietSymbols(60.0)
    newest = {"A": 1, "B": 1}
    quiet.next(newest, 0.0)
    assert quiet.next(newest, 60.0) == "A"
    assert not quiet.answered("A", is_missing=True, now=60.0)
    assert quiet.next({"A": 1, "B": 5}, 119.0) is None
    assert quiet.next({"A": 1, "B": 6}, 120.0) == "A"
    assert quiet.answered("A", is_missing=True, now=120.0)


def test_what_comes_in_between_clears_the_doubt() -> None:
    quiet = QuietSymbols(60.0)
    quiet.next({"A": 1}, 0.0)
    assert not quiet.answered("A", is_missing=True, now=60.0)
    quiet.next({"A": 2}, 70.0)
    assert not quiet.answered("A", is_missing=True, now=130.0)


def test_a_quiet_market_is_asked_about_in_turn() -> None:
    quiet = QuietSymbols(60.0)
    newest = {"A": 1, "B": 1}
    quiet.next(newest, 0.0)
    assert quiet.next(newest, 60.0) == "A"
    assert not quiet.answered("A", is_missing=False, now=60.0)
    assert quiet.next(newest, 65.0) == "B"
    assert not quiet.answered("B", is_missing=False, now=65.0)
    assert quiet.next(newest, 70.0) is None

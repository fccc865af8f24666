"""Waits grow to their bound, spread over their whole range, and begin anew."""

import pytest

from marketstream.producers.backoff import Backoff


def test_waits_double_up_to_the_maximum() -> None:
    backoff = Backoff(1.0, 60.0, random=lambda: 0.0)
    assert [backoff.failed() for _ in range(8)] == [1, 2, 4, 8, 16, 30, 30, 30]
    assert backoff.attempt == 9


@pytest.mark.parametrize(("chance", "wait"), [(0.0, 2.0), (0.25, 2.5), (0.5, 3.0)])
def test_the_jitter_adds_up_to_as_much_again(chance: float, wait: float) -> None:
    backoff = Backoff(1.0, 60.0, random=lambda: chance)
    backoff.failed()
    assert backoff.failed() == wait


def test_a_healthy_connection_begins_anew() -> None:
    backoff = Backoff(1.0, 60.0, random=lambda: 0.0)
    backoff.failed()
    backoff.failed()
    backoff.succeeded()
    assert (backoff.attempt, backoff.failed()) == (1, 1.0)


def test_very_many_failures_do_not_overflow() -> None:
    backoff = Backoff(1.0, 60.0, random=lambda: 1.0)
    assert [backoff.failed() for _ in range(5_000)][-1] == 60.0

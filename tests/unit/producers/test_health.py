"""The breaker opens when it should, stays open for long enough, and forgives."""

import pytest

from marketstream.domain.errors import Fault
from marketstream.producers.backoff import Backoff
from marketstream.producers.health import Breaker, FeedHealth, Patience


def health(*, failures: int = 3, open_seconds: float = 30.0) -> FeedHealth:
    patience = Patience(failures=failures, open_seconds=open_seconds, slow_retry_seconds=60.0, retries_max=7)
    return FeedHealth(patience, Backoff(1.0, 60.0, random=lambda: 0.0))


def test_failures_in_a_row_open_the_breaker() -> None:
    feed = health()
    assert [feed.failed(Fault.NETWORK, now) for now in (0.0, 1.0, 2.0)] == [False, False, True]
    assert (feed.breaker, feed.failures, feed.fault) == (Breaker.OPEN, 3, Fault.NETWORK)


def test_each_wait_is_twice_the_last() -> None:
    feed = health(failures=100)
    waits = []
    for _ in range(9):
        feed.failed(Fault.NETWORK, 0.0)
        waits.append(feed.retry_at)
    assert waits == [1, 2, 4, 8, 16, 30, 60, 60, 60]  # from the seventh failure on it is tried slowly


@pytest.mark.parametrize("fault", [Fault.SILENT, Fault.STALE, Fault.DAILY_QUOTA, Fault.BAD_KEY, Fault.BANNED])
def test_what_another_try_will_not_mend_opens_it_at_once(fault: Fault) -> None:
    feed = health()
    assert feed.failed(fault, 0.0)


def test_a_provider_that_asks_for_time_gets_it() -> None:
    feed = health()
    feed.failed(Fault.BANNED, 100.0, retry_after_seconds=500.0)
    assert feed.retry_at == 600.0
    assert not feed.may_probe(599.0)
    assert feed.may_probe(600.0)


def test_it_stays_open_twice_as_long_after_each_failed_trial() -> None:
    feed = health()
    feed.failed(Fault.SILENT, 0.0)
    opened_at, lengths = 0.0, []
    for _ in range(6):
        length = next(second for second in range(10_000) if feed.may_probe(opened_at + second))
        lengths.append(length)
        feed.half_open()
        opened_at += length
        feed.failed(Fault.NETWORK, opened_at)
    assert lengths == [30, 60, 120, 240, 480, 600]


def test_a_trial_given_up_costs_nothing() -> None:
    feed = health()
    feed.failed(Fault.SILENT, 0.0)
    feed.half_open()
    assert not feed.may_probe(40.0)
    feed.abandoned()
    assert feed.may_probe(40.0)


def test_a_healthy_feed_begins_anew() -> None:
    feed = health()
    for now in (0.0, 1.0, 2.0):
        feed.failed(Fault.NETWORK, now)
    feed.healthy()
    assert (feed.breaker, feed.failures, feed.fault, feed.attempt, feed.retry_at) == (Breaker.CLOSED, 0, None, 1, 0.0)
    assert not feed.failed(Fault.NETWORK, 10.0)
    assert feed.retry_at == 11.0

"""Token buckets: what fits, what is told, and that memory is bounded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketstream.serving.access.limits import Limiter, Policy, address_name

POLICY = Policy("requests", burst=10, seconds=5.0)


def test_a_burst_fits_then_the_rate() -> None:
    now = [0.0]
    limiter = Limiter(POLICY, monotonic=lambda: now[0])
    taken = [limiter.take("a") for _ in range(11)]
    assert [each.allowed for each in taken] == [True] * 10 + [False]
    assert [each.left for each in taken] == [9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 0]
    assert taken[-1].wait_seconds == pytest.approx(0.5)
    assert taken[0].headers == {"RateLimit-Policy": '"requests";q=10;w=5', "RateLimit": '"requests";r=9;t=1'}
    now[0] = 0.5
    assert limiter.take("a").allowed
    assert not limiter.take("a").allowed
    assert limiter.take("b").left == 9
    now[0] = 100.0
    assert limiter.look("a").left == 10
    assert limiter.look("a").wait_seconds == 0


@given(st.lists(st.floats(0, 3), max_size=60))
def test_no_more_than_burst_and_rate_ever_fit(pauses: list[float]) -> None:
    now = [0.0]
    limiter = Limiter(POLICY, monotonic=lambda: now[0])
    allowed = 0
    for pause in pauses:
        now[0] += pause
        allowed += limiter.take("a").allowed
        assert allowed <= 10 + now[0] * 2 + 1e-6


def test_memory_is_bounded_and_the_longest_unused_goes() -> None:
    limiter = Limiter(POLICY, most=3, monotonic=lambda: 0.0)
    for name in "abcabda":
        limiter.take(name)
    assert len(limiter) == 3
    assert limiter.look("a").left == 7
    assert limiter.look("c").left == 10


def test_an_ipv6_network_is_one_customer() -> None:
    assert address_name("2001:db8:1:2:3::4") == address_name("2001:db8:1:2:ffff::1") != address_name("2001:db8:1:3::1")
    assert address_name("::ffff:192.0.2.7") == address_name("192.0.2.7") == "192.0.2.7"
    assert len(address_name("x" * 1_000)) == 64

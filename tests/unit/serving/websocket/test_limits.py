"""How much each client may ask, and how many may come."""

import pytest

from marketstream.serving.websocket.limits import Admission, Allowance
from marketstream.serving.websocket.protocol import Fault, RequestError
from marketstream.settings import WebSocketSettings


def test_a_burst_then_a_rate() -> None:
    allowance = Allowance(per_second=2, burst=5, now=0)
    for _ in range(5):
        allowance.spend(0)
    with pytest.raises(RequestError, match=r"wait 0\.5 s") as caught:
        allowance.spend(0)
    assert (caught.value.fault, caught.value.details) == (Fault.RATE_LIMITED, {"retry_after_seconds": 0.5})
    allowance.spend(0.5)
    with pytest.raises(RequestError):
        allowance.spend(0.5)


def test_who_does_not_stop_is_a_flood() -> None:
    allowance = Allowance(per_second=1, burst=1, now=0)
    allowance.spend(0)
    for _ in range(100):
        assert not allowance.flooded
        with pytest.raises(RequestError):
            allowance.spend(0)
    assert allowance.flooded


def test_addresses_and_principals_have_their_share() -> None:
    admission = Admission(WebSocketSettings(max_clients=3, max_clients_per_address=2, max_clients_per_principal=1))
    admission.come("10.0.0.1")
    admission.come("10.0.0.1")
    with pytest.raises(RequestError, match="your address has 2 connections"):
        admission.come("10.0.0.1")
    admission.come("10.0.0.2")
    with pytest.raises(RequestError, match="the server has 3 clients"):
        admission.come("10.0.0.3")
    admission.go("10.0.0.1")
    admission.come("10.0.0.3")
    admission.enter("key:a", limited=True)
    with pytest.raises(RequestError, match="your key has 1 connections"):
        admission.enter("key:a", limited=True)
    admission.enter("key:a", limited=False)

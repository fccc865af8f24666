"""How much each client may ask, and how many may come."""

import pytest

from marketstream.serving.websocket.limits import Admission, MessageLimit
from marketstream.serving.websocket.protocol import Fault, RequestError
from marketstream.settings import WebSocketSettings


def test_a_burst_then_a_rate() -> None:
    now = 0.0
    limit = MessageLimit(WebSocketSettings(requests_per_second=2, requests_burst=5), lambda: now)
    for _ in range(5):
        limit.spend()
    with pytest.raises(RequestError, match=r"wait 0\.5 s") as caught:
        limit.spend()
    assert (caught.value.fault, caught.value.details) == (Fault.RATE_LIMITED, {"retry_after_seconds": 0.5})
    now = 0.5
    limit.spend()
    with pytest.raises(RequestError):
        limit.spend()


def test_who_does_not_stop_is_a_flood() -> None:
    limit = MessageLimit(WebSocketSettings(requests_per_second=1, requests_burst=1), lambda: 0.0)
    limit.spend()
    for _ in range(100):
        assert not limit.flooded
        with pytest.raises(RequestError):
            limit.spend()
    assert limit.flooded


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

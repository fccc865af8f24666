"""What FMP says when it isn't data, and what it means."""

import pytest

from marketstream.domain.errors import Fault
from marketstream.providers.fmp.refusals import Answer, fault_of, find_refusal, read_answer

LIMIT = "Limit Reach . Please upgrade your plan or visit our documentation for more details"


@pytest.mark.parametrize(
    ("raw", "answer", "refused"),
    [
        (b'{"event":"login","status":200,"message":"Authenticated"}', Answer("login", 200, "Authenticated"), False),
        (b'{"event":"login","status":401,"message":"Unauthorized"}', Answer("login", 401, "Unauthorized"), True),
        (b'{"message":"Unauthorized"}', Answer("", 0, "Unauthorized"), True),
        (b'{"event":"subscribe","message":"Not authorized"}', Answer("subscribe", 0, "Not authorized"), True),
        (b'{"event":"subscribe","message":"Subscription: aapl"}', Answer("subscribe", 0, "Subscription: aapl"), False),
        (b'{"event":"heartbeat","timestamp":1}', Answer("heartbeat", 0, ""), False),
    ],
)
def test_reads_answers(raw: bytes, answer: Answer, refused: bool) -> None:
    assert read_answer(raw) == answer
    assert answer.refused is refused


@pytest.mark.parametrize(
    "raw", [b"", b"{}", b"[]", b'{"event":1}', b"Unauthorized", b'{"message":"%b"}' % (b"x" * 3_000)]
)
def test_reads_nothing_else(raw: bytes) -> None:
    assert read_answer(raw) is None


@pytest.mark.parametrize(
    ("status", "message", "fault"),
    [
        (401, "Unauthorized", Fault.BAD_KEY),
        (0, "Unauthorized", Fault.BAD_KEY),
        (200, "Invalid API KEY. Feel free to create a Free API Key or visit …", Fault.BAD_KEY),
        (401, "Connected from another location", Fault.SHUTDOWN),
        (429, LIMIT, Fault.BURST_LIMIT),
        (429, f"Bandwidth {LIMIT}", Fault.BANDWIDTH),
        (402, "Premium Query Parameter: 'Special Endpoint' … your current subscription …", Fault.PLAN),
        (403, "Exclusive Endpoint : This endpoint is not available under your current subscription", Fault.PLAN),
        (401, "You are not authorized to subscribe to: aapl", Fault.PLAN),
        (403, "Your address is blocked.", Fault.BANNED),
        (402, "?", Fault.PLAN),
        (502, "Bad Gateway", Fault.NETWORK),
        (400, "?", Fault.PROTOCOL),
    ],
)
def test_tells_what_a_refusal_means(status: int, message: str, fault: Fault) -> None:
    assert fault_of(status, message) is fault


@pytest.mark.parametrize(
    ("status", "body", "fault"),
    [
        (200, b'{"Error Message":"Invalid API KEY. Please retry."}', Fault.BAD_KEY),
        (429, b'{"Error Message":"Limit Reach . Please upgrade your plan."}', Fault.BURST_LIMIT),
        (429, b'{"Error Message":"Bandwidth Limit Reach . Please upgrade your plan."}', Fault.BANDWIDTH),
        (402, b"Premium Endpoint: not available under your current subscription", Fault.PLAN),
        (200, b'{"error":"Unauthorized"}', Fault.BAD_KEY),
        (500, b'{"message":"Internal Server Error"}', Fault.NETWORK),
    ],
)
def test_finds_refusals_in_rest_answers_of_any_status(status: int, body: bytes, fault: Fault) -> None:
    refusal = find_refusal(status, {"retry-after": "7"}, body)
    assert refusal is not None
    assert (refusal.fault, refusal.retry_after_seconds) == (fault, 7.0)
    assert refusal.message.encode() in body


QUOTE = (
    b'[{"symbol":"AAPL","price":268.47,"change":-1.3,"volume":48227365,"dayLow":266.78,"dayHigh":272.29,"open":269.795,'
    b'"previousClose":269.77,"exchange":"NASDAQ","timestamp":1762549202}]'
)


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, QUOTE), (200, b"[]"), (200, b'[{"symbol":"AAPL"}]'), (502, b"<html>"), (200, b"ok"), (500, b"")],
)
def test_finds_none_elsewhere(status: int, body: bytes) -> None:
    assert find_refusal(status, {}, body) is None

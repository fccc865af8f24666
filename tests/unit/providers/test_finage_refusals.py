"""What Finage says when it isn't data, and what it means."""

import pytest

from marketstream.domain.errors import Fault
from marketstream.providers.finage.refusals import Notice, fault_of, find_refusal, read_notice


@pytest.mark.parametrize(
    ("raw", "notice"),
    [
        (b'{"status_code":200,"message":"authorizing","id":"x"}', Notice(200, "authorizing")),
        (b'{"status_code":401,"message":"invalid socket key"}', Notice(401, "invalid socket key")),
        (b"401 - invalid socket key\n", Notice(401, "invalid socket key")),
        (b"please upgrade your package", Notice(0, "please upgrade your package")),
        (b"503 - away", Notice(503, "away")),
        (b"something else", None),
        (b'{"s":"AAPL","p":1}', None),
        (b"", None),
        (b"401 - " + b"x" * 2_000, None),
    ],
)
def test_reads_notices(raw: bytes, notice: Notice | None) -> None:
    assert read_notice(raw) == notice


@pytest.mark.parametrize(
    ("code", "message", "fault"),
    [
        (401, "invalid socket key", Fault.BAD_KEY),
        (401, "use your socket key to connect", Fault.BAD_KEY),
        (401, "please upgrade your package to access this market", Fault.PLAN),
        (406, "Please use your APIKey to make a request.", Fault.BAD_KEY),
        (406, "You do not have permission to make a request to this endpoint.", Fault.BAD_KEY),
        (400, "Please check the symbol and try again.", Fault.UNKNOWN_SYMBOL),
        (429, "slow down", Fault.BURST_LIMIT),
        (0, "You have exceeded your monthly limit", Fault.DAILY_QUOTA),
        (403, "your address is blocked", Fault.BANNED),
        (503, "away", Fault.NETWORK),
        (400, "?", Fault.PROTOCOL),
    ],
)
def test_tells_what_a_refusal_means(code: int, message: str, fault: Fault) -> None:
    assert fault_of(code, message) is fault


def test_finds_refusals_in_rest_answers_of_any_status() -> None:
    refusal = find_refusal(200, {}, b'{"error":"Please check the symbol and try again."}')
    assert refusal is not None
    assert (refusal.fault, refusal.message) == (Fault.UNKNOWN_SYMBOL, "Please check the symbol and try again.")
    limited = find_refusal(429, {"retry-after": "7"}, b'{"error":"too many requests"}')
    assert limited is not None
    assert (limited.fault, limited.retry_after_seconds) == (Fault.BURST_LIMIT, 7.0)
    text = find_refusal(200, {}, b"401 - invalid socket key")
    assert text is not None
    assert text.fault is Fault.BAD_KEY


LAST_QUOTE = b'{"symbol":"AAPL","ask":163.59,"bid":163.57,"asize":3,"bsize":1,"timestamp":1646154954}'


@pytest.mark.parametrize(
    "body", [LAST_QUOTE, b'{"symbol":"AAPL","price":1}', b'{"results":[]}', b"<html>", b"x" * 5_000]
)
def test_finds_none_in_data(body: bytes) -> None:
    assert find_refusal(200, {}, body) is None

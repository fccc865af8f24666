"""Reads Alpha Vantage's refusals: a sentence in `Note`, `Information` or `Error Message`, with HTTP 200.

The key of the object doesn't tell the kind, and the burst limit's sentence mentions the daily quota: the words decide,
in this order. The sentence of the daily quota repeats the API key, which is cut out however it is written.
"""

import re
from collections.abc import Callable, Mapping

from pydantic_core import from_json

from marketstream.domain.errors import Fault
from marketstream.providers.rest import Refusal

_SENTENCES = ("Error Message", "Information", "Note", "message")
_LARGEST_BYTES = 8_192  # a refusal is a few hundred bytes, a month of bars is millions
_WORDS = (
    (("apikey is invalid or missing", "claim your free api key", "demo purposes only"), Fault.BAD_KEY),
    (("spreading out", "burst pattern", "per minute", "per second"), Fault.BURST_LIMIT),
    (("per day", "daily"), Fault.DAILY_QUOTA),
    (("premium",), Fault.PLAN),
    (("invalid api call",), Fault.UNKNOWN_SYMBOL),
)
_ECHOED_KEY = re.compile(r"(api key as )\S+", re.IGNORECASE)
_SECOND_SECONDS, _MINUTE_SECONDS = 1.5, 60.0


def refusal_of(status: int, body: bytes, until_renewal_seconds: Callable[[], float]) -> Refusal | None:
    """What an answer means when it isn't data; None also for what only its HTTP status refuses.

    Args:
        status: The HTTP status.
        body: The answer's body.
        until_renewal_seconds: Tells when the daily quota is renewed.
    """
    sentence = _sentence(body)
    if sentence is None:
        return None
    words = sentence.lower()
    fault = next((fault for told, fault in _WORDS if any(word in words for word in told)), Fault.PROTOCOL)
    wait: float | None = None
    if fault is Fault.DAILY_QUOTA:
        wait = until_renewal_seconds()
    elif fault is Fault.BURST_LIMIT:
        wait = _MINUTE_SECONDS if "per minute" in words else _SECOND_SECONDS
    return Refusal(fault, _ECHOED_KEY.sub(r"\1[redacted]", sentence), wait)


def _sentence(body: bytes) -> str | None:
    if len(body) > _LARGEST_BYTES:
        return None
    try:
        answer: object = from_json(body)
    except ValueError:
        return None
    if not isinstance(answer, Mapping):
        return None
    return next((str(answer[key]) for key in _SENTENCES if key in answer), None)

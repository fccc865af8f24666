"""What Polygon / Massive means by its refusals, over REST and over WebSocket."""

import re
from collections.abc import Mapping
from typing import NotRequired

from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

from marketstream.domain.errors import Fault
from marketstream.providers.rest import Refusal, default_refusal, retry_after_seconds

# The statuses that the provider's own clients try again.
_BURST = {413, 429, 499}
_PASSING = {500, 502, 503, 504}
_PLAN = re.compile(r"not authorized|not entitled|upgrade|your plan|don't have access", re.IGNORECASE)
_KEY = re.compile(r"api key|apikey", re.IGNORECASE)
_WORDS = 300


class _Body(TypedDict):
    status: NotRequired[str]
    error: NotRequired[str]
    message: NotRequired[str]


_BODY = TypeAdapter(_Body)


def find_refusal(status: int, headers: Mapping[str, str], body: bytes) -> Refusal | None:
    """A REST answer's refusal; None for data. Bodies are read of failures only, and of what is too short for data."""
    said = _read(body) if status != 200 or len(body) < 1_000 else {}
    verdict = said.get("status", "").upper()
    if status == 200 and verdict not in ("ERROR", "NOT_AUTHORIZED"):
        return None
    words = said.get("error") or said.get("message") or ""
    message = f"HTTP {status}: {words[:_WORDS]}" if words else f"HTTP {status}"
    fault = _fault(status, verdict, words)
    if fault is None:
        return default_refusal(status, headers)
    waits = fault in (Fault.BURST_LIMIT, Fault.NETWORK)
    return Refusal(fault, message, retry_after_seconds(headers) if waits else None)


def plan_refuses(message: str) -> bool:
    """Whether these words say that the plan doesn't cover what was asked for."""
    return _PLAN.search(message) is not None


def _fault(status: int, verdict: str, words: str) -> Fault | None:
    if status in _BURST or "maximum requests per minute" in words:
        return Fault.BURST_LIMIT
    if status in _PASSING:
        return Fault.NETWORK
    if status == 404 or verdict == "NOT_FOUND":
        return Fault.UNKNOWN_SYMBOL
    if verdict == "NOT_AUTHORIZED":
        return Fault.PLAN
    if status == 401 or _KEY.search(words):
        return Fault.BAD_KEY
    if status == 403 or plan_refuses(words):
        return Fault.PLAN
    return Fault.PROTOCOL if status == 200 or status >= 400 else None


def _read(body: bytes) -> _Body:
    try:
        return _BODY.validate_json(body)
    except ValidationError:
        return {}

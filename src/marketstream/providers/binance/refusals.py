"""What Binance's refusals mean, over REST and to a WebSocket handshake."""

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from pydantic_core import from_json

from marketstream.domain.errors import Fault
from marketstream.providers.rest import Refusal, retry_after_seconds

_STATUS_FAULTS = {
    401: Fault.BAD_KEY,
    403: Fault.BANNED,  # the firewall
    418: Fault.BANNED,  # for having gone on after 429, from 2 minutes to 3 days
    429: Fault.BURST_LIMIT,
    451: Fault.PLAN,  # not offered where this address is
}
_CODE_FAULTS = {
    -1000: Fault.NETWORK,
    -1001: Fault.NETWORK,
    -1002: Fault.BAD_KEY,
    -1003: Fault.BURST_LIMIT,
    -1006: Fault.NETWORK,
    -1007: Fault.NETWORK,
    -1008: Fault.NETWORK,  # overloaded
    -1120: Fault.UNSUPPORTED,  # interval
    -1121: Fault.UNKNOWN_SYMBOL,
    -2014: Fault.BAD_KEY,
    -2015: Fault.BAD_KEY,
}
_ILLEGAL_CHARACTERS = -1100
_BANNED_UNTIL = re.compile(r"banned until ([0-9]{13})")
_MAX_MESSAGE = 300


def find_refusal(status: int, headers: Mapping[str, str], body: bytes) -> Refusal | None:
    """What an answer refuses, if it does."""
    if status < 400:
        return None
    error = _error(body)
    code, message = error.get("code"), str(error.get("msg") or "")[:_MAX_MESSAGE]
    ban = _BANNED_UNTIL.search(message)
    wait = retry_after_seconds(headers)
    if wait is None and ban is not None:
        wait = _until(int(ban[1]), headers.get("date", ""))
    told = f"HTTP {status}" if code is None else f"HTTP {status}, code {code}: {message}"
    return Refusal(Fault.BANNED if ban else _fault(status, code, message), told, wait)


def subscription_fault(error: str) -> Fault:
    """What an error in reply to a WebSocket request means."""
    lower = error.lower()
    return Fault.UNKNOWN_SYMBOL if "symbol" in lower or "stream" in lower else Fault.UNSUPPORTED


def _fault(status: int, code: Any, message: str) -> Fault:
    if status in _STATUS_FAULTS:
        return _STATUS_FAULTS[status]
    if code == _ILLEGAL_CHARACTERS and "symbol" in message:
        return Fault.UNKNOWN_SYMBOL
    known = _CODE_FAULTS.get(code) if isinstance(code, int) else None
    return known or (Fault.NETWORK if status >= 500 else Fault.PROTOCOL)


def _error(body: bytes) -> dict[str, Any]:
    """The error's JSON object; empty where the body is none, as the firewall's pages."""
    try:
        error = from_json(body)
    except ValueError:
        return {}
    return error if isinstance(error, dict) else {}


def _until(moment_ms: int, now: str) -> float | None:
    """Seconds from the answer's own date to a moment; None where it has none."""
    try:
        return max(0.0, moment_ms / 1_000 - parsedate_to_datetime(now).timestamp())
    except ValueError:
        return None

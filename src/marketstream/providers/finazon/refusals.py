"""Reads Finazon's refusals over REST: `{"status":"error","code":…,"message":…}` under an HTTP status, or under 200."""

from collections.abc import Mapping

from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

from marketstream.domain.errors import Fault
from marketstream.providers.finazon.parse import fault_of
from marketstream.providers.rest import Refusal, default_refusal, retry_after_seconds

_BURST_SECONDS = 15.0  # its limits are by the minute, and it need not say when the minute is over


class _Error(TypedDict, total=False):
    status: object
    code: object
    message: object


_ERROR = TypeAdapter(_Error)


def find_refusal(status: int, headers: Mapping[str, str], body: bytes) -> Refusal | None:
    """What the answer means when it isn't data."""
    try:
        error = _ERROR.validate_json(body) if len(body) < 10_000 or status >= 400 else _Error()
    except ValidationError:
        error = _Error()
    if status < 400 and error.get("status") != "error":
        return None
    message = str(error.get("message", f"HTTP {status}"))
    plain = default_refusal(status, headers)
    fault = fault_of(error.get("code"), message)
    if fault is Fault.PROTOCOL and plain is not None and "code" not in error:
        fault = plain.fault
    retry_after = retry_after_seconds(headers)
    if fault is Fault.BURST_LIMIT and retry_after is None:
        retry_after = _BURST_SECONDS
    return Refusal(fault, message, retry_after)

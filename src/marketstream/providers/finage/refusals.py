"""What Finage says when it isn't data: notices on the stream, and refusals of REST requests."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from marketstream.domain.errors import Fault
from marketstream.providers.rest import Refusal, retry_after_seconds

_MAX_NOTICE_BYTES = 1_000
_TEXT = re.compile(r"\s*(?:([1-5][0-9]{2})\s*-\s*)?([A-Za-z][\x20-\x7e]{0,500})\s*")
# The first of these that a refusal holds tells what it means. What a spent quota is called is not documented.
_FAULT_WORDS = (
    (("upgrade your package",), Fault.PLAN),
    (("check the symbol", "symbol not found", "invalid symbol"), Fault.UNKNOWN_SYMBOL),
    (("socket key", "apikey", "api key", "permission"), Fault.BAD_KEY),
    (("bandwidth",), Fault.BANDWIDTH),
    (("monthly", "daily", "quota"), Fault.DAILY_QUOTA),
    (("too many", "limit"), Fault.BURST_LIMIT),
    (("blocked", "banned"), Fault.BANNED),
)
_FAULT_CODES = {401: Fault.BAD_KEY, 402: Fault.PLAN, 403: Fault.PLAN, 429: Fault.BURST_LIMIT}


class _Status(TypedDict):
    status_code: Annotated[int, Field(strict=True)]
    message: Annotated[str, Field(strict=True)]


class _Error(TypedDict):
    error: Annotated[str, Field(strict=True)]


_STATUS = TypeAdapter(_Status)
_ERROR = TypeAdapter(_Error)


@dataclass(frozen=True, slots=True)
class Notice:
    """What the server says about the connection.

    Attributes:
        code: Like an HTTP status; 200 where all is well, 0 where it gives none.
        message: Its words.
    """

    code: int
    message: str


def read_notice(raw: bytes) -> Notice | None:
    """The frame's notice, if it is one: an object with `status_code` and `message`, or text.

    Text counts as a notice where it begins with a code, as in `401 - invalid socket key`, or says something known.
    """
    if len(raw) > _MAX_NOTICE_BYTES:
        return None
    try:
        status = _STATUS.validate_json(raw)
    except ValidationError:
        return _text_notice(raw)
    return Notice(status["status_code"], status["message"])


def fault_of(code: int, message: str) -> Fault:
    """What a refusal means, by its words, else by its code.

    Finage answers a wrong REST key and a market outside the plan alike, with "You do not have permission"; it counts as
    a bad key.
    """
    words = message.lower()
    for some, fault in _FAULT_WORDS:
        if any(word in words for word in some):
            return fault
    return _FAULT_CODES.get(code, Fault.NETWORK if code >= 500 else Fault.PROTOCOL)


def find_refusal(status: int, headers: Mapping[str, str], body: bytes) -> Refusal | None:
    """The refusal in a REST answer, whatever its status: an object with `error`, or a notice as on the stream."""
    if len(body) > _MAX_NOTICE_BYTES:
        return None
    try:
        message = _ERROR.validate_json(body)["error"]
    except ValidationError:
        notice = read_notice(body)
        if notice is None or notice.code == 200:
            return None
        status, message = notice.code or status, notice.message
    return Refusal(fault_of(status, message), message, retry_after_seconds(headers))


def _text_notice(raw: bytes) -> Notice | None:
    match = _TEXT.fullmatch(raw.decode(errors="replace"))
    if match is None or (match[1] is None and fault_of(0, match[2]) is Fault.PROTOCOL):
        return None
    return Notice(int(match[1] or 0), match[2].rstrip())

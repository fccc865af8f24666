"""What FMP says when it isn't data: answers on the stream, and refusals of REST requests."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, NotRequired

from pydantic import Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from marketstream.domain.errors import Fault
from marketstream.providers.rest import Refusal, retry_after_seconds

_MAX_ANSWER_BYTES = 2_000
# The first of these that a refusal holds tells what it means. A spent daily quota is a "Limit Reach" as well.
_FAULT_WORDS = (
    (("connected from another location",), Fault.SHUTDOWN),
    (("bandwidth limit",), Fault.BANDWIDTH),
    (("limit reach", "too many requests"), Fault.BURST_LIMIT),
    (("invalid api key", "api key is missing"), Fault.BAD_KEY),
    (("not authorized to", "upgrade", "subscription", "premium", "legacy endpoint", "exclusive endpoint"), Fault.PLAN),
    (("unauthorized", "not authorized", "not authenticated"), Fault.BAD_KEY),
    (("blocked", "banned"), Fault.BANNED),
)
_FAULT_CODES = {401: Fault.BAD_KEY, 402: Fault.PLAN, 403: Fault.PLAN, 429: Fault.BURST_LIMIT}


_NO = re.compile(
    r"unauthori|not auth|invalid api|limit reach|too many|another location|upgrade|blocked|banned", re.IGNORECASE
)


class _Answer(TypedDict):
    event: NotRequired[Annotated[str, Field(strict=True)] | None]
    status: NotRequired[Annotated[int, Field(strict=True)] | None]
    message: NotRequired[Annotated[str, Field(strict=True)] | None]


_Error = TypedDict(
    "_Error",
    {
        "Error Message": NotRequired[Annotated[str, Field(strict=True)]],
        "error": NotRequired[Annotated[str, Field(strict=True)]],
        "message": NotRequired[Annotated[str, Field(strict=True)]],
    },
)
_ANSWER = TypeAdapter(_Answer)
_ERROR = TypeAdapter(_Error)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server says about the connection.

    Attributes:
        event: What it answers: `login`, `subscribe`, `unsubscribe`; `heartbeat` answers nothing; may be empty.
        status: Like an HTTP status; 0 where it gives none.
        message: Its words.
    """

    event: str
    status: int
    message: str

    @property
    def refused(self) -> bool:
        """Whether it says no; without a status, as `{"message":"Unauthorized"}`, its words tell."""
        return self.status >= 400 if self.status else _NO.search(self.message) is not None


def read_answer(raw: bytes) -> Answer | None:
    """The frame's answer, if it is one. Ask only of frames without a trade, quote or break."""
    if len(raw) > _MAX_ANSWER_BYTES:
        return None
    try:
        answer = _ANSWER.validate_json(raw)
    except ValidationError:
        return None
    event, message = answer.get("event") or "", answer.get("message") or ""
    return Answer(event, answer.get("status") or 0, message) if event or message else None


def fault_of(status: int, message: str) -> Fault:
    """What a refusal means, by its words, else by its status."""
    words = message.lower()
    for some, fault in _FAULT_WORDS:
        if any(word in words for word in some):
            return fault
    return _FAULT_CODES.get(status, Fault.NETWORK if status >= 500 else Fault.PROTOCOL)


def find_refusal(status: int, headers: Mapping[str, str], body: bytes) -> Refusal | None:
    """The refusal in a REST answer, whatever its status: an object with `Error Message`, or the text of an error."""
    if len(body) > _MAX_ANSWER_BYTES:
        return None
    message = _message(status, body)
    if message is None:
        return None
    return Refusal(fault_of(status, message), message, retry_after_seconds(headers))


def _message(status: int, body: bytes) -> str | None:
    try:
        error = _ERROR.validate_json(body)
    except ValidationError:
        text = body.decode(errors="replace").strip()
        return text if status >= 400 and text and text[0] not in "[{<" and text.isprintable() else None
    return error.get("Error Message") or error.get("error") or error.get("message")

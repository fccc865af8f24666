"""The protocol: what clients may say, how it is parsed, and the messages they get. JSON, one object a text frame."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator

from marketstream.domain.errors import MarketstreamError
from marketstream.domain.interval import Interval
from marketstream.serving.websocket.book import KEPT
from marketstream.serving.websocket.updates import Channel, Update

WILDCARD = "*"
_LONGEST_CONFLATION_MS = 60_000
_LONGEST_NAME = 64


class Fault(StrEnum):
    """Codes of `error` messages."""

    BAD_MESSAGE = "bad_message"
    UNKNOWN_TYPE = "unknown_type"
    UNKNOWN_SYMBOL = "unknown_symbol"
    TOO_MANY_SYMBOLS = "too_many_symbols"
    WILDCARD_OFF = "wildcard_off"
    NOT_SUBSCRIBED = "not_subscribed"
    RATE_LIMITED = "rate_limited"
    AUTH_REQUIRED = "auth_required"
    DENIED = "denied"
    UNCHECKED = "unchecked"
    RESUME_LATE = "resume_late"
    TOO_MANY_CLIENTS = "too_many_clients"


class Close(StrEnum):
    """Why this side ends a connection: the close frame's reason. `CLOSE_CODES` has the numbers."""

    SHUTDOWN = "shutdown"
    FLOOD = "flood"
    TOO_MANY_CLIENTS = "too_many_clients"
    SLOW_CONSUMER = "slow_consumer"
    UNAUTHENTICATED = "unauthenticated"
    DENIED = "denied"
    AUTH_TIMEOUT = "auth_timeout"
    RESUMED_ELSEWHERE = "resumed_elsewhere"
    CREDENTIAL_EXPIRED = "credential_expired"
    CREDENTIAL_REVOKED = "credential_revoked"
    TRY_AGAIN = "try_again"


CLOSE_CODES: dict[Close, int] = {
    Close.SHUTDOWN: 1001,
    Close.FLOOD: 1008,
    Close.TOO_MANY_CLIENTS: 1013,
    Close.TRY_AGAIN: 1013,
    Close.SLOW_CONSUMER: 4008,
    Close.UNAUTHENTICATED: 4401,
    Close.CREDENTIAL_EXPIRED: 4401,
    Close.CREDENTIAL_REVOKED: 4401,
    Close.DENIED: 4403,
    Close.AUTH_TIMEOUT: 4408,
    Close.RESUMED_ELSEWHERE: 4409,
}


class RequestError(MarketstreamError):
    """A client's message can't be done.

    Args:
        fault: The code it is told.
        message: What is wrong and what would be right.
        request: The id of its message, where it gave one.
        details: Further fields of the error message.
    """

    def __init__(self, fault: Fault, message: str, request: str | int | None = None, **details: Any) -> None:
        super().__init__(message)
        self.fault = fault
        self.request = request
        self.details = details


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str | int | None = Field(default=None, description="comes back in the answer")

    @field_validator("id")
    @classmethod
    def _short(cls, given: str | int | None) -> str | int | None:
        if len(str(given)) > _LONGEST_NAME:
            raise ValueError(f"an id has at most {_LONGEST_NAME} characters")
        return given


class _Named(_Request):
    symbols: Annotated[list[str], Field(min_length=1, max_length=10_000)]
    channels: Annotated[list[Channel], Field(min_length=1)] = [Channel.TICKS]

    @field_validator("symbols")
    @classmethod
    def _canonical(cls, given: list[str]) -> list[str]:
        if any(not 0 < len(symbol) <= _LONGEST_NAME for symbol in given):
            raise ValueError(f"a symbol has 1 to {_LONGEST_NAME} characters")
        return list(dict.fromkeys(symbol.upper() for symbol in given))

    @field_validator("channels")
    @classmethod
    def _once(cls, given: list[Channel]) -> list[Channel]:
        return list(dict.fromkeys(given))


class Subscribe(_Named):
    """Asks for channels of symbols, or of `*`: a snapshot, then every update."""

    type: Literal["subscribe"]
    intervals: list[Annotated[str, Field(max_length=_LONGEST_NAME)]] | None = Field(default=None, max_length=50)
    conflate_ms: int = Field(default=0, ge=0, le=_LONGEST_CONFLATION_MS)
    snapshot: bool = True
    history: int = Field(default=1, ge=1, le=KEPT)

    @field_validator("intervals")
    @classmethod
    def _intervals(cls, given: list[str] | None) -> list[str] | None:
        return None if given is None else [Interval.parse(name).name for name in given]


class Unsubscribe(_Named):
    """Takes channels of symbols back; without channels, all of them."""

    type: Literal["unsubscribe"]
    channels: Annotated[list[Channel], Field(min_length=1)] = list(Channel)


class Ping(_Request):
    """Asks for a `pong`."""

    type: Literal["ping"]


class Auth(_Request):
    """Says who the client is, where no header could."""

    type: Literal["auth"]
    token: str = Field(min_length=1, max_length=16_384, repr=False)


class Resume(_Request):
    """Goes on with a connection that was lost, after the last number that came."""

    type: Literal["resume"]
    session: str = Field(max_length=_LONGEST_NAME)
    seq: int = Field(ge=0)


Request = Subscribe | Unsubscribe | Ping | Auth | Resume
_REQUESTS: dict[str, TypeAdapter[Any]] = {
    kind: TypeAdapter(model)
    for kind, model in (
        ("subscribe", Subscribe),
        ("unsubscribe", Unsubscribe),
        ("ping", Ping),
        ("auth", Auth),
        ("resume", Resume),
    )
}


def parse(text: str | bytes) -> Request:
    """Reads a client's message.

    Raises:
        RequestError: It is none; the text says what is wrong.
    """
    try:
        given = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise RequestError(Fault.BAD_MESSAGE, f"this is not JSON: {error}") from None
    if not isinstance(given, dict):
        raise RequestError(Fault.BAD_MESSAGE, 'a message is a JSON object such as {"type":"ping"}')
    named, kind = given.get("id"), given.get("type")
    request_id = named if isinstance(named, str | int) and len(str(named)) <= _LONGEST_NAME else None
    adapter = _REQUESTS.get(kind) if isinstance(kind, str) else None
    if adapter is None:
        known = ", ".join(_REQUESTS)
        raise RequestError(Fault.UNKNOWN_TYPE, f"`type` is {_shown(kind)}, but can be {known}", request_id)
    try:
        request: Request = adapter.validate_python(given)
    except ValidationError as error:
        faults = "; ".join(_explained(fault["loc"], fault["msg"]) for fault in error.errors(include_url=False)[:5])
        raise RequestError(Fault.BAD_MESSAGE, faults, request_id) from None
    return request


def _explained(places: Sequence[int | str], what: str) -> str:
    return f"`{'.'.join(map(str, places))[:100]}`: {what}"


def _shown(value: object) -> str:
    return "missing" if value is None else repr(value)[:40]


def message(kind: str, request: str | int | None = None, /, **fields: Any) -> bytes:
    """A message other than updates and snapshots; `request` is the id of the client's that it answers."""
    return orjson.dumps({"type": kind, **({} if request is None else {"id": request}), **fields})


def error_message(error: RequestError) -> bytes:
    """The `error` that tells a client why its message was not done."""
    return message("error", error.request, code=error.fault, message=str(error), **error.details)


def updates_message(seq: int, updates: Sequence[Update]) -> bytes:
    """Updates that have the numbers up to `seq`."""
    if len(updates) == 1:
        return b'{"type":"updates","seq":%d,"updates":[%b]}' % (seq, updates[0].fragment)
    fragments = b",".join([update.fragment for update in updates])
    return b'{"type":"updates","seq":%d,"updates":[%b]}' % (seq, fragments)


def snapshot_message(seq: int, updates: Sequence[Update], **fields: Any) -> bytes:
    """A snapshot, or a part of one, that has the number `seq`; `fields` are plain values."""
    head = orjson.dumps({"type": "snapshot", "seq": seq, **fields})
    return b'%b,"updates":[%b]}' % (head[:-1], b",".join([update.fragment for update in updates]))

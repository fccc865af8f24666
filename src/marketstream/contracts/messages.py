"""JSON on the wire: encoders and validating decoders of every Kafka message, and their JSON Schemas.

A message is the JSON object of its value type's fields, so the type in `domain` is the schema's one source.
"""

import base64
from dataclasses import dataclass
from typing import Any, Literal

import orjson
from pydantic import TypeAdapter

from marketstream.domain.market import Bar, Tick
from marketstream.domain.outcomes import Reason, Rejected

# JSON may need six bytes for one control character, and Kafka's limit for a message is 1 MiB.
MAX_RAW_BYTES = 128 * 1024
MAX_DETAIL_CHARACTERS = 1_000
MAX_SYMBOL_CHARACTERS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A refused piece of data on `dead_letter_queue`.

    Attributes:
        reason: The class of fault.
        detail: What exactly was wrong.
        provider: Whose data it was.
        symbol: The symbol, where it could be read.
        received_time_us: When its frame left our socket.
        raw: The bytes as received, as text.
        raw_encoding: How `raw` holds the bytes: `utf-8` as they are, else `base64`.
        raw_size_bytes: Size before any truncation.
        truncated: Whether `raw` holds only the first `MAX_RAW_BYTES`.
    """

    reason: Reason
    detail: str
    provider: str
    symbol: str | None
    received_time_us: int
    raw: str
    raw_encoding: Literal["utf-8", "base64"]
    raw_size_bytes: int
    truncated: bool

    @classmethod
    def of(cls, rejected: Rejected) -> "DeadLetter":
        """Makes the dead letter of a refusal, bounding its size."""
        kept = rejected.raw[:MAX_RAW_BYTES]
        encoding: Literal["utf-8", "base64"] = "utf-8"
        try:
            raw = kept.decode()
        except UnicodeDecodeError:
            raw, encoding = base64.b64encode(kept).decode(), "base64"
        return cls(
            reason=rejected.reason,
            detail=rejected.detail[:MAX_DETAIL_CHARACTERS],
            provider=rejected.provider,
            symbol=rejected.symbol and rejected.symbol[:MAX_SYMBOL_CHARACTERS],
            received_time_us=rejected.received_time_us,
            raw=raw,
            raw_encoding=encoding,
            raw_size_bytes=len(rejected.raw),
            truncated=len(kept) < len(rejected.raw),
        )


FeedEventKind = Literal["connected", "disconnected", "subscribed", "fatal"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedEvent:
    """Something that happened to a provider's connection, on `feed_events`.

    Attributes:
        kind: What happened.
        provider: On which feed.
        detail: For a person; never holds a secret.
        time_us: When.
        attempt: Which connection attempt in a row this was, from 1.
    """

    kind: FeedEventKind
    provider: str
    detail: str
    time_us: int
    attempt: int = 1


_TICK = TypeAdapter(Tick)
_BAR = TypeAdapter(Bar)
_DEAD_LETTER = TypeAdapter(DeadLetter)
_FEED_EVENT = TypeAdapter(FeedEvent)

MESSAGES: dict[str, type] = {"tick": Tick, "bar": Bar, "dead_letter": DeadLetter, "feed_event": FeedEvent}
SCHEMAS: dict[str, TypeAdapter[Any]] = {
    "tick": _TICK,
    "bar": _BAR,
    "dead_letter": _DEAD_LETTER,
    "feed_event": _FEED_EVENT,
}


def encode(message: Tick | Bar | DeadLetter | FeedEvent) -> bytes:
    """JSON of any message type."""
    return orjson.dumps(message)


def decode_tick(value: bytes) -> Tick:
    """Reads a `tick_data` message.

    Raises:
        ValueError: The bytes are no valid tick (pydantic's `ValidationError` is one).
    """
    return _TICK.validate_json(value)


def decode_bar(value: bytes) -> Bar:
    """Reads an `aggregated_data_*` message.

    Raises:
        ValueError: The bytes are no valid bar.
    """
    return _BAR.validate_json(value)


def decode_dead_letter(value: bytes) -> DeadLetter:
    """Reads a `dead_letter_queue` message.

    Raises:
        ValueError: The bytes are no valid dead letter.
    """
    return _DEAD_LETTER.validate_json(value)


def decode_feed_event(value: bytes) -> FeedEvent:
    """Reads a `feed_events` message.

    Raises:
        ValueError: The bytes are no valid feed event.
    """
    return _FEED_EVENT.validate_json(value)

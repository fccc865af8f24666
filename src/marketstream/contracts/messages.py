"""JSON on the wire: encoders and validating decoders of every Kafka message, and their JSON Schemas.

A message is the JSON object of its value type's fields, so the type in `domain` is the schema's one source.
"""

import base64
from dataclasses import dataclass
from typing import Any, Literal

import orjson
from pydantic import TypeAdapter

from marketstream.domain.errors import Fault
from marketstream.domain.indicators import Indicators
from marketstream.domain.market import Bar, Cancel, Quote, Tick
from marketstream.domain.outcomes import Reason, Rejected

# JSON may need six bytes for one control character, and Kafka's limit for a message is 1 MiB.
MAX_RAW_BYTES = 128 * 1024
MAX_DETAIL_CHARACTERS = 1_000
MAX_SYMBOL_CHARACTERS = 64
# Marks a tick that was fetched later than the stream should have brought it: it stands out of order on its topic.
FETCHED_HEADER = "fetched"
FETCHED_HEADERS = {FETCHED_HEADER: b"1"}


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


GapState = Literal["open", "closed", "unfillable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedGap:
    """A stretch of one symbol's trades that did not come by the stream, and what became of it.

    The same `gap_id` comes again whenever something changes; the one with the latest `updated_us` holds.

    Attributes:
        gap_id: Unique; the same gap found again after a crash has the same one.
        provider: On which feed.
        symbol: Canonical symbol.
        start_us: Event time of the last trade before the gap.
        end_us: Event time of the first trade after it.
        first_id: First missing trade's number, where the provider numbers trades without holes.
        last_id: Last missing trade's number.
        missing: How many trades are still missing; None where nothing proves a number.
        filled: How many were fetched and published.
        state: `open` while it is being filled, then `closed`, or `unfillable` with the reason in `detail`.
        detail: For a person.
        opened_us: When it was noticed.
        updated_us: When this was said.
    """

    gap_id: str
    provider: str
    symbol: str
    start_us: int
    end_us: int
    first_id: int | None
    last_id: int | None
    missing: int | None
    filled: int
    state: GapState
    detail: str
    opened_us: int
    updated_us: int


FeedEventKind = Literal[
    "connected",
    "subscribed",
    "disconnected",
    "fatal",
    "rotated",
    "refused_symbol",
    "retries_exhausted",
    "breaker_open",
    "breaker_half_open",
    "breaker_closed",
    "failover",
    "failback",
    "status",
    "gap",
]
FeedRole = Literal["active", "standby", "probing", "open"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedEvent:
    """Something that happened to a provider's connection, on `feed_events`.

    Attributes:
        kind: What happened; `status` repeats how a feed is while nothing happens.
        provider: On which feed.
        detail: For a person; never holds a secret.
        time_us: When.
        attempt: Which connection attempt in a row this was, from 1.
        role: What the feed is now: the `active` one, on `standby`, `probing` whether it is well again, or shut out by
            its breaker (`open`). None where the event says nothing of it.
        fault: What went wrong, where something did.
        lag_ms: How much later than at its best the feed's newest trades came, in ms, where it is known.
        gap: The gap of a `gap` event.
    """

    kind: FeedEventKind
    provider: str
    detail: str
    time_us: int
    attempt: int = 1
    role: FeedRole | None = None
    fault: Fault | None = None
    lag_ms: float | None = None
    gap: FeedGap | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """Something a person should know, on `alerts`.

    Attributes:
        alert_id: Unique; the same alert said again has the same one.
        rule: Which rule raised it, such as `feed_retries_exhausted`.
        severity: How grave it is.
        subject: What it is about: a provider, a symbol, a service.
        message: For a person; never holds a secret.
        time_us: When.
    """

    alert_id: str
    rule: str
    severity: Literal["info", "warning", "critical"]
    subject: str
    message: str
    time_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterMark:
    """A dead letter's re-injection, on `dead_letter_marks`. The latest one of a letter holds.

    Attributes:
        letter_id: The letter's place on `dead_letter_queue`, as `partition:offset`.
        published: How many messages were read from it and published.
        already_there: How many were read from it and had been published before.
        time_us: When.
    """

    letter_id: str
    published: int
    already_there: int
    time_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryWake:
    """Makes a query that has nothing to read run a batch, in which its timers expire; on `query_wakes`.

    Attributes:
        query: The query's name.
        time_us: When.
    """

    query: str
    time_us: int


MESSAGES: dict[str, type] = {
    "tick": Tick,
    "quote": Quote,
    "cancel": Cancel,
    "bar": Bar,
    "indicators": Indicators,
    "dead_letter": DeadLetter,
    "dead_letter_mark": DeadLetterMark,
    "feed_event": FeedEvent,
    "alert": Alert,
    "query_wake": QueryWake,
}
SCHEMAS: dict[str, TypeAdapter[Any]] = {name: TypeAdapter(message) for name, message in MESSAGES.items()}
_TICK: TypeAdapter[Tick] = SCHEMAS["tick"]
_QUOTE: TypeAdapter[Quote] = SCHEMAS["quote"]
_CANCEL: TypeAdapter[Cancel] = SCHEMAS["cancel"]
_BAR: TypeAdapter[Bar] = SCHEMAS["bar"]
_INDICATORS: TypeAdapter[Indicators] = SCHEMAS["indicators"]
_DEAD_LETTER: TypeAdapter[DeadLetter] = SCHEMAS["dead_letter"]
_DEAD_LETTER_MARK: TypeAdapter[DeadLetterMark] = SCHEMAS["dead_letter_mark"]
_FEED_EVENT: TypeAdapter[FeedEvent] = SCHEMAS["feed_event"]
_ALERT: TypeAdapter[Alert] = SCHEMAS["alert"]


def encode(
    message: Tick | Quote | Cancel | Bar | Indicators | DeadLetter | DeadLetterMark | FeedEvent | Alert | QueryWake,
) -> bytes:
    """JSON of any message type."""
    return orjson.dumps(message)


def decode_tick(value: bytes) -> Tick:
    """Reads a `tick_data` message.

    Raises:
        ValueError: The bytes are no valid tick (pydantic's `ValidationError` is one).
    """
    return _TICK.validate_json(value)


def decode_quote(value: bytes) -> Quote:
    """Reads a `quote_data` message.

    Raises:
        ValueError: The bytes are no valid quote.
    """
    return _QUOTE.validate_json(value)


def decode_cancel(value: bytes) -> Cancel:
    """Reads a `trade_cancels` message.

    Raises:
        ValueError: The bytes are no valid cancel.
    """
    return _CANCEL.validate_json(value)


def decode_bar(value: bytes) -> Bar:
    """Reads an `aggregated_data_*` or `provider_bars` message.

    Raises:
        ValueError: The bytes are no valid bar.
    """
    return _BAR.validate_json(value)


def decode_indicators(value: bytes) -> Indicators:
    """Reads a `technical_indicators` message.

    Raises:
        ValueError: The bytes are no valid indicators.
    """
    return _INDICATORS.validate_json(value)


def decode_dead_letter(value: bytes) -> DeadLetter:
    """Reads a `dead_letter_queue` message.

    Raises:
        ValueError: The bytes are no valid dead letter.
    """
    return _DEAD_LETTER.validate_json(value)


def decode_dead_letter_mark(value: bytes) -> DeadLetterMark:
    """Reads a `dead_letter_marks` message.

    Raises:
        ValueError: The bytes are no valid mark.
    """
    return _DEAD_LETTER_MARK.validate_json(value)


def decode_feed_event(value: bytes) -> FeedEvent:
    """Reads a `feed_events` message.

    Raises:
        ValueError: The bytes are no valid feed event.
    """
    return _FEED_EVENT.validate_json(value)


def decode_alert(value: bytes) -> Alert:
    """Reads an `alerts` message.

    Raises:
        ValueError: The bytes are no valid alert.
    """
    return _ALERT.validate_json(value)

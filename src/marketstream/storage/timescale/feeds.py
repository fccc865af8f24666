"""Feed events as rows: how each feed is, what happened, and every gap's newest version.

Writes: `feeds`, `feed_events`, `feed_gaps` (tables).
"""

from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

import orjson
from psycopg2.extensions import cursor as Cursor  # noqa: N812  # a class under a lower-case name

from marketstream.contracts.messages import FeedEvent
from marketstream.ports import Message
from marketstream.storage.timescale.queries import QUERIES


def store_feed_events(cursor: Cursor, events: Iterable[tuple[Message, FeedEvent]]) -> None:
    """Takes the events one by one, in their order; none takes a feed or a gap backwards, and none counts twice."""
    for message, event in events:
        parameters = _parameters(message, event)
        if event.kind != "status":
            cursor.execute(QUERIES["insert_feed_event"], parameters)
        if event.kind != "gap":  # which is about trades, and says nothing of the connection
            cursor.execute(QUERIES["upsert_feed"], parameters)
        if event.gap is not None:
            gap = {name: getattr(event.gap, name) for name in event.gap.__slots__}
            cursor.execute(QUERIES["upsert_gap"], {**gap, "log_offset": message.offset})


def _parameters(message: Message, event: FeedEvent) -> dict[str, Any]:
    return {
        "provider": event.provider,
        "time_us": event.time_us,
        "event_id": blake2b(message.value, digest_size=12).hexdigest(),
        "log_offset": message.offset,
        "kind": event.kind,
        "detail": event.detail,
        "attempt": event.attempt,
        "role": event.role,
        "fault": event.fault and event.fault.value,
        "lag_ms": event.lag_ms,
        "gap": event.gap and orjson.dumps(event.gap).decode(),
    }

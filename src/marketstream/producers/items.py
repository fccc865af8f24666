"""What waits between the feeds and Kafka, in the order in which it happened."""

import asyncio
from dataclasses import dataclass, field

from marketstream.contracts.messages import Alert, FeedEvent
from marketstream.ports import Frame
from marketstream.producers.continuity import Hole


@dataclass(frozen=True, slots=True)
class SessionStarted:
    """A provider's frames that follow come from a new connection."""

    provider: str


@dataclass(frozen=True, slots=True)
class Fetched:
    """A page of trades that were fetched to fill a hole."""

    hole: Hole
    frame: Frame


@dataclass(frozen=True, slots=True)
class Mark:
    """Set once everything put in before it has been handed to the publisher."""

    reached: asyncio.Event = field(default_factory=asyncio.Event)


Item = Frame | FeedEvent | Alert | SessionStarted | Fetched | Mark


def size_of(item: Item) -> int:
    """The bytes an item holds, as far as they matter."""
    match item:
        case Frame(raw=raw) | Fetched(frame=Frame(raw=raw)):
            return len(raw)
        case _:
            return 0

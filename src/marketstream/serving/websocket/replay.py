"""What was sent on a connection lately, so that a client that lost it can go on where it was."""

from collections import deque
from dataclasses import dataclass

from marketstream.serving.websocket.updates import Update

_BYTES_OF_ONE_UPDATE = 512  # by which a snapshot counts as several


@dataclass(slots=True, frozen=True)
class SentSnapshot:
    """A snapshot message as it went out, which took one number."""

    message: bytes

    @property
    def weight(self) -> int:
        """How many updates it counts as."""
        return 1 + len(self.message) // _BYTES_OF_ONE_UPDATE


@dataclass(slots=True, frozen=True)
class Hole:
    """Numbers of updates that were dropped."""

    count: int


Entry = Update | SentSnapshot | Hole


class Replay:
    """The newest numbered messages of a connection; updates are shared with other connections, so it costs little.

    Args:
        limit: How many updates are kept.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._entries: deque[Entry] = deque()
        self._weight = 0
        self.evicted_through = 0  # the highest number that is not kept any more

    def add(self, updates: list[Update]) -> None:
        """Keeps updates that took the next numbers."""
        self._entries.extend(updates)
        self._weight += len(updates)
        self._trim()

    def add_snapshot(self, message: bytes) -> None:
        """Keeps a snapshot that took the next number."""
        snapshot = SentSnapshot(message)
        self._entries.append(snapshot)
        self._weight += snapshot.weight
        self._trim()

    def add_hole(self, count: int) -> None:
        """Remembers that the next `count` numbers stand for what was dropped."""
        self._entries.append(Hole(count))
        self._weight += 1
        self._trim()

    def after(self, number: int) -> list[tuple[int, Entry]] | None:
        """What has higher numbers, each with its (last) number; None where some of it is not kept any more."""
        if number < self.evicted_through:
            return None
        found: list[tuple[int, Entry]] = []
        current = self.evicted_through
        for entry in self._entries:
            current += entry.count if isinstance(entry, Hole) else 1
            if current > number:
                found.append((current, entry))
        return found

    def _trim(self) -> None:
        while self._weight > self._limit and self._entries:
            entry = self._entries.popleft()
            self._weight -= entry.weight if isinstance(entry, SentSnapshot) else 1
            self.evicted_through += entry.count if isinstance(entry, Hole) else 1

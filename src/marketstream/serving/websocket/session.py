"""A client's subscriptions, its numbered updates and its bounded queue; it outlives the connection for a while."""

import asyncio
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Protocol

from marketstream.serving.websocket.conflation import Conflation
from marketstream.serving.websocket.protocol import WILDCARD, Close, message, snapshot_message, updates_message
from marketstream.serving.websocket.replay import Hole, Replay, SentSnapshot
from marketstream.serving.websocket.updates import Channel, Update
from marketstream.settings import WebSocketSettings

_FRAME_UPDATES = 100  # most in one message
_KEPT_SHARE = 0.75  # of a queue that was full, so that it is not cut again with the next update

Key = tuple[Channel, str]


@dataclass(frozen=True, slots=True)
class Wish:
    """How a client wants what it subscribed to.

    Attributes:
        conflate_ms: At most the newest each so many ms; 0 for every update.
        intervals: Of bars and indicators; None for all.
    """

    conflate_ms: int = 0
    intervals: frozenset[str] | None = None


class Link(Protocol):
    """A session's connection."""

    @property
    def blocked(self) -> bool:
        """Whether the client does not read what was written."""

    def tell(self, payload: bytes) -> None:
        """Writes a text message; it never waits."""

    def finish(self, why: Close, text: str, **details: object) -> None:
        """Tells why, and ends the connection with a close frame, soon."""


@dataclass(slots=True)
class Tally:
    """What all sessions sent and left out, by channel."""

    sent: Counter[Channel] = field(default_factory=Counter)
    dropped: Counter[Channel] = field(default_factory=Counter)
    conflated: Counter[Channel] = field(default_factory=Counter)


class Session:
    """One client's stream.

    Args:
        session_id: Secret of the client's, to resume by.
        principal: Whose it is.
        settings: Bounds.
        tally: Counts what is sent.
        loop: The one loop that calls all of this.
    """

    def __init__(
        self,
        session_id: str,
        principal: str,
        settings: WebSocketSettings,
        tally: Tally,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.id = session_id
        self.principal = principal
        self.subscriptions: dict[Key, Wish] = {}
        self.seq = 0
        self.detached_at: float | None = None
        self.behind_since: float | None = None
        self._settings = settings
        self._tally = tally
        self._loop = loop
        self._link: Link | None = None
        self._pending: list[Update] = []
        self._replay = Replay(settings.replay_updates)
        self._conflations: dict[int, Conflation] = {}
        self._dropped: Counter[Channel] = Counter()
        self._conflated: Counter[Channel] = Counter()

    @property
    def queued(self) -> int:
        """Updates that wait for the client."""
        return len(self._pending)

    @property
    def link(self) -> Link | None:
        """The connection; None while it is lost."""
        return self._link

    def offer(self, update: Update, wish: Wish) -> None:
        """Takes an update for the client; `flush` sends it."""
        if wish.intervals is not None and update.interval is not None and update.interval not in wish.intervals:
            return
        if wish.conflate_ms and update.slot is not None:
            conflation = self._conflations.get(wish.conflate_ms)
            if conflation is None:
                conflation = Conflation(wish.conflate_ms, self._release, self._loop)
                self._conflations[wish.conflate_ms] = conflation
            if not conflation.offer(update):
                self._tally.conflated[update.channel] += 1
        else:
            self._pending.append(update)

    def flush(self) -> None:
        """Sends what waits, as far as the client reads."""
        link = self._link
        while self._pending and (link is None or not link.blocked):
            batch, self._pending = self._pending[:_FRAME_UPDATES], self._pending[_FRAME_UPDATES:]
            if link is not None and (self._dropped or self._conflated):
                self._tell_left_out(link)
            self.seq += len(batch)
            self._replay.add(batch)
            if link is not None:
                link.tell(updates_message(self.seq, batch))
                for update in batch:
                    self._tally.sent[update.channel] += 1
        if not self._pending:
            self.behind_since = None
            return
        if self.behind_since is None:
            self.behind_since = self._loop.time()
        if len(self._pending) > self._settings.queue_updates:
            self._shorten()

    def send_snapshot(self, updates: list[Update], **fields: object) -> None:
        """Sends a snapshot, after what waits; it takes one number."""
        self.flush()
        self.seq += 1
        payload = snapshot_message(self.seq, updates, **fields)
        self._replay.add_snapshot(payload)
        if self._link is not None:
            self._link.tell(payload)

    def forget(self, keys: Collection[Key]) -> None:
        """Leaves out what still waits of these: it is not wanted any more, or a snapshot will have it."""
        gone = {channel for channel, symbol in keys if symbol == WILDCARD}

        def unwanted(update: Update) -> bool:
            return update.channel in gone or (update.channel, update.symbol) in keys

        self._pending = [update for update in self._pending if not unwanted(update)]
        for conflation in self._conflations.values():
            conflation.forget(unwanted)

    def attach(self, link: Link) -> None:
        """Joins a connection; an older one is ended."""
        if self._link is not None:
            self._link.finish(Close.RESUMED_ELSEWHERE, "the session goes on with another connection")
        self._link = link
        self.detached_at = None

    def detach(self, link: Link) -> None:
        """Notes that this connection is lost, where it is the session's own; updates are kept for a later one."""
        if self._link is link:
            self._link = None
            self.detached_at = self._loop.time()
            self.flush()

    def knows(self, seq: int) -> bool:
        """Whether everything after this number can be sent again."""
        return self._replay.evicted_through <= seq <= self.seq

    def replay(self, seq: int) -> int:
        """Sends everything after this number again, under its old numbers; returns how many updates that were."""
        link, updates, count, last = self._link, list[Update](), 0, seq
        for number, entry in self._replay.after(seq) or ():
            if isinstance(entry, Update) and len(updates) < _FRAME_UPDATES:
                updates.append(entry)
                last = number
                continue
            if updates and link is not None:
                link.tell(updates_message(last, updates))
            count, updates, last = count + len(updates), [], number
            if isinstance(entry, Update):
                updates.append(entry)
            elif link is not None:
                link.tell(_again(number, entry))
        if updates and link is not None:
            link.tell(updates_message(last, updates))
        return count + len(updates)

    def close(self) -> None:
        """Forgets everything."""
        for conflation in self._conflations.values():
            conflation.close()
        self._pending.clear()

    def left_out(self) -> dict[str, dict[str, int]]:
        """What was dropped and overtaken since the client was last told."""
        return {
            what: {channel.value: number for channel, number in counts.items()}
            for what, counts in (("dropped", self._dropped), ("conflated", self._conflated))
        }

    def _release(self, updates: list[Update]) -> None:
        self._pending += updates
        self.flush()

    def _tell_left_out(self, link: Link) -> None:
        link.tell(message("lagging", seq=self.seq, **self.left_out()))
        self._dropped.clear()
        self._conflated.clear()

    def _shorten(self) -> None:
        """First drops what a newer update has overtaken, ticks aside; then the oldest ticks, then the oldest."""
        newest = {update.slot: update for update in self._pending}
        kept = [
            update
            for update in self._pending
            if update.slot is None or update.channel is Channel.TICKS or newest[update.slot] is update
        ]
        self._count(self._conflated, self._tally.conflated, self._pending, kept)
        too_many = len(kept) - int(self._settings.queue_updates * _KEPT_SHARE)
        ticks = [update for update in kept if update.channel is Channel.TICKS]
        doomed = {id(update) for update in ticks[: max(0, too_many)]}
        rest = [update for update in kept if id(update) not in doomed]
        self._pending = rest[max(0, too_many - len(doomed)) :]
        dropped = len(kept) - len(self._pending)
        if dropped:
            self._count(self._dropped, self._tally.dropped, kept, self._pending)
            self.seq += dropped
            self._replay.add_hole(dropped)

    @staticmethod
    def _count(own: Counter[Channel], total: Counter[Channel], before: list[Update], after: list[Update]) -> None:
        gone = Counter(update.channel for update in before)
        gone.subtract(update.channel for update in after)
        gone = +gone
        own.update(gone)
        total.update(gone)


def _again(number: int, entry: SentSnapshot | Hole) -> bytes:
    if isinstance(entry, SentSnapshot):
        return entry.message
    return message("lagging", seq=number, dropped={"updates": entry.count}, conflated={})

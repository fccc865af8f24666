"""What a symbol's newest state is on one channel: from the stream what came since it began, from stores the rest.

A store may be behind the stream or ahead of it by some moments. So each tells of its own time only: of what was
received at or after `since_us` the stream does, of what was received before the stores do; nothing is told by both
or by neither.
"""

from collections import deque
from collections.abc import Sequence

from marketstream.serving.websocket.updates import VERSIONED, Channel, Update

KEPT = 20  # the longest history a snapshot may have


class TickBook:
    """One symbol's newest ticks, in the order in which they came.

    Args:
        since_us: From when on the stream tells.
        late_us: A trade that much older than the newest was fetched long after it happened, and is history.
    """

    def __init__(self, since_us: int, late_us: int) -> None:
        self._since_us = since_us
        self._late_us = late_us
        self._newest_us = 0
        self._streamed: deque[Update] = deque(maxlen=KEPT)
        self._stored: Sequence[Update] = ()
        self._latest: Update | None = None  # of those that make the latest price
        self.loaded = 0

    def take(self, update: Update) -> bool:
        """Keeps what the stream brought; False for history, which is not sent."""
        event_us: int = update.order[0]
        if event_us < self._newest_us - self._late_us:
            return False
        self._newest_us = max(self._newest_us, event_us)
        self._streamed.append(update)
        if update.leads and (self._latest is None or update.order >= self._latest.order):
            self._latest = update
        return True

    def load(self, stored: Sequence[Update], depth: int) -> None:
        """Keeps what the stores hold; `depth` is how much they were asked for."""
        self._stored = [update for update in stored if (update.received_us or 0) < self._since_us]
        ahead = len(self._stored) < len(stored) and not self._streamed
        self.loaded = 0 if ahead else depth  # what is ahead hides what was before: they are asked again

    def lacks(self, history: int) -> bool:
        """Whether the stores are to be asked before the newest `history` are known."""
        enough = history > 1 and len(self._streamed) >= history
        return not enough and self.loaded < history

    def newest(self, history: int) -> list[Update]:
        """The newest `history` ticks by event time, oldest first; of 1, the one that makes the latest price."""
        if history == 1:
            return self._newest_price()
        streamed = {update.identity for update in self._streamed}
        known = [update for update in self._stored if update.identity not in streamed] + list(self._streamed)
        known.sort(key=lambda update: update.order)
        return known[-history:]

    def _newest_price(self) -> list[Update]:
        known = [*self._stored, *self._streamed, *([self._latest] if self._latest else [])]
        leading = [update for update in known if update.leads] or known
        return [max(leading, key=lambda update: update.order)] if leading else []


class BarBook:
    """One symbol's newest bars, or indicators, of every interval, each in its newest version."""

    def __init__(self, since_us: int) -> None:
        self._since_us = since_us
        self._streamed: dict[str, dict[int, Update]] = {}
        self._stored: dict[str, dict[int, Update]] = {}
        self.loaded = 0

    def take(self, update: Update) -> bool:
        """Keeps what the stream brought; False for what is older than, or the same as, what is known."""
        interval, start_us = update.interval or "", update.order[0]
        known = self._streamed.setdefault(interval, {})
        former = known.get(start_us)
        if former is not None and (update.order < former.order or update.fragment == former.fragment):
            return False
        stored = self._stored.get(interval, {}).get(start_us)
        if stored is not None and update.order < stored.order:
            return False
        known[start_us] = update
        if len(known) > KEPT:
            del known[min(known)]
        return True

    def load(self, stored: Sequence[Update], depth: int) -> None:
        """Keeps what the stores hold; `depth` is how much of each interval they were asked for."""
        self._stored = {}
        self.loaded = depth
        for update in stored:
            interval, start_us = update.interval or "", update.order[0]
            if (update.received_us or 0) < self._since_us:
                self._stored.setdefault(interval, {})[start_us] = update
            elif start_us not in self._streamed.get(interval, {}):
                self.loaded = 0  # what is ahead hides what was before: they are asked again

    def lacks(self, history: int) -> bool:
        """Whether the stores are to be asked: only they know which intervals there are."""
        return self.loaded < history

    def newest(self, history: int) -> list[Update]:
        """The newest `history` bars of each interval, oldest first, by interval."""
        found: list[Update] = []
        for interval in sorted(self._stored.keys() | self._streamed.keys()):
            merged = dict(self._stored.get(interval, {}))
            for start_us, update in self._streamed.get(interval, {}).items():
                if start_us not in merged or update.order >= merged[start_us].order:
                    merged[start_us] = update
            bars = [merged[start_us] for start_us in sorted(merged) if not merged[start_us].void]
            found += bars[-history:]
        return found


class EventBook:
    """One symbol's newest events; no store tells of them here."""

    loaded = KEPT

    def __init__(self) -> None:
        self._streamed: deque[Update] = deque(maxlen=KEPT)

    def take(self, update: Update) -> bool:
        """Keeps what the stream brought."""
        self._streamed.append(update)
        return True

    def load(self, stored: Sequence[Update], depth: int) -> None:
        """Does nothing: there is nothing."""

    def lacks(self, history: int) -> bool:
        """Never."""
        del history
        return False

    def newest(self, history: int) -> list[Update]:
        """The newest `history` events, oldest first."""
        return list(self._streamed)[-history:]


Book = TickBook | BarBook | EventBook


def make_book(channel: Channel, since_us: int, late_us: int) -> Book:
    """An empty book of a channel."""
    if channel is Channel.TICKS:
        return TickBook(since_us, late_us)
    return BarBook(since_us) if channel in VERSIONED else EventBook()

"""Holds back updates of a client that wants at most the newest of each symbol and channel every so often."""

from collections.abc import Callable
from typing import Any, Protocol

from marketstream.serving.websocket.updates import Channel, Update


class Timer(Protocol):
    """Something that will be called."""

    def cancel(self) -> object:
        """Not any more."""


class Timers(Protocol):
    """The part of an event loop that is needed here."""

    def time(self) -> float:
        """Seconds that never go back."""

    def call_at(self, when: float, callback: Callable[[], object], /) -> Timer:
        """Calls back at that time."""


class Conflation:
    """The newest update of each slot, released together once in `milliseconds`.

    Args:
        milliseconds: How long at least between two releases.
        release: Takes what was held back, in the order in which it came.
        loop: Whose clock and timers count.
    """

    def __init__(self, milliseconds: int, release: Callable[[list[Update]], None], loop: Timers) -> None:
        self._seconds = milliseconds / 1_000
        self._release = release
        self._loop = loop
        self._held: dict[tuple[Any, ...], Update] = {}
        self._orders: dict[tuple[Any, ...], tuple[Any, ...]] = {}
        self._released_at = -self._seconds
        self._timer: Timer | None = None

    def offer(self, update: Update) -> bool:
        """Holds an update back for its time; False where it, or one before it, will never be sent for it."""
        slot = update.slot
        if slot is None:
            raise ValueError("an event has no newer version")
        if update.channel is Channel.TICKS:
            # Trades may come out of order; the latest price must not go back for it.
            if not update.leads or update.order < self._orders.get(slot, ()):
                return False
            self._orders[slot] = update.order
        alone = self._held.pop(slot, None) is None  # so that it takes its place among the newest
        self._held[slot] = update
        if self._timer is None:
            due = max(self._loop.time(), self._released_at + self._seconds)
            self._timer = self._loop.call_at(due, self._beat)
        return alone

    def forget(self, unwanted: Callable[[Update], bool]) -> None:
        """Lets go of what is held and unwanted."""
        self._held = {slot: update for slot, update in self._held.items() if not unwanted(update)}

    def close(self) -> None:
        """Forgets what is held."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._held.clear()

    def _beat(self) -> None:
        self._timer = None
        self._released_at = self._loop.time()
        held, self._held = self._held, {}
        self._release(list(held.values()))

"""Keeps a query's timers going while it has nothing to read: they expire in a batch only, so it is given one.

Spark's own batches without data would do while the query runs, but not after a restart, which finds nothing new.

Writes: topic `query_wakes`.
"""

import time
from collections.abc import Callable
from contextlib import suppress

from marketstream.contracts.messages import QueryWake, encode
from marketstream.contracts.topics import QUERY_WAKES
from marketstream.domain.errors import BusBackpressureError
from marketstream.ports import Publisher

_EVERY_SECONDS = 5.0


class Waker:
    """Sends a query a message now and then.

    Args:
        query: Its name.
        publisher: Where to.
        clock: Seconds, monotonic.
    """

    def __init__(self, query: str, publisher: Publisher, clock: Callable[[], float] = time.monotonic) -> None:
        self._query, self._publisher, self._clock = query, publisher, clock
        self._due = clock()

    def look(self) -> None:
        """Sends one if it is time to. Call it at least as often as the query should be woken.

        Raises:
            BusError: The broker refused one.
        """
        now = self._clock()
        if now < self._due:
            return
        self._due = now + _EVERY_SECONDS
        wake = QueryWake(query=self._query, time_us=time.time_ns() // 1_000)
        with suppress(BusBackpressureError):  # those that wait for the broker will do
            self._publisher.publish(QUERY_WAKES, self._query, encode(wake))

"""Publishes trades of the past, each exactly once, whoever published some of them before.

Reads: `tick_data` (table), through a port. Writes: `tick_data` (topic, key: symbol), with the header of fetched trades.

Bars count every message on `tick_data`, so a trade must not come twice. Only the database knows all that was ever
published; so, one process at a time: wait until it has everything that is on the topic now, ask which of the trades it
has, publish the others, and give the turn on only when the broker has them. The next one's wait covers them then, also
after a crash in the middle.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from marketstream.contracts.messages import FETCHED_HEADERS, encode
from marketstream.contracts.topics import TICKS
from marketstream.domain.errors import StoreUnavailableError
from marketstream.domain.market import Tick
from marketstream.ports import KnownTrades, Publisher
from marketstream.producers import patient

_DAY_US = 86_400_000_000
_SLICE_SECONDS = 2.0
Identity = tuple[str, int, str, str]  # (symbol, event time in µs, provider, trade id): the table's key


class Turn(Protocol):
    """The right to publish past trades, held by one process at a time."""

    def take(self) -> AbstractContextManager[Callable[[], None]]:
        """Holds the turn for the block, which gets a function that raises unless the turn is still held."""


class StoppedError(StoreUnavailableError):
    """Told to stop while waiting; nothing was published."""


class PastTrades:
    """Puts past trades onto `tick_data`. For one thread at a time.

    Args:
        publisher: Takes the trades; this object's alone.
        known: Tells which trades are stored.
        stored: Waits at most so many seconds until everything now on `tick_data` is stored, and tells whether it is.
        turn: Keeps other processes from doing the same meanwhile.
        patience_seconds: How long the database's writer may be behind.
    """

    def __init__(
        self,
        publisher: Publisher,
        known: KnownTrades,
        stored: Callable[[float], bool],
        turn: Turn,
        *,
        patience_seconds: float = 120.0,
    ) -> None:
        self._publisher = publisher
        self._known = known
        self._stored = stored
        self._turn = turn
        self._patience_seconds = patience_seconds

    def publish(self, ticks: Sequence[Tick], *, stopped: Callable[[], bool] = lambda: False) -> list[bool]:
        """Publishes what is missing and returns, for each trade, whether it was; the broker has all of them then.

        Args:
            ticks: Trades that are valid; some may be the same.
            stopped: Asked while waiting; True gives up.

        Raises:
            StoreUnavailableError: The database is away, its writer is behind, or somebody else is publishing.
            StoppedError: Told to stop while waiting.
            BusError: Kafka is away, or doesn't take the trades.
        """
        if not ticks:
            return []
        with self._turn.take() as confirm:
            patient.flush(self._publisher)  # what an earlier call may have left behind
            self._wait(stopped)
            missing = self._missing(ticks)
            confirm()
            published = []
            for tick in ticks:
                published.append(_identity(tick) in missing)
                if published[-1]:
                    missing.discard(_identity(tick))
                    patient.put(self._publisher, TICKS, tick.symbol, encode(tick), FETCHED_HEADERS)
            patient.flush(self._publisher)
        return published

    def missing(self, ticks: Sequence[Tick]) -> list[bool]:
        """What `publish` would return, as far as can be told without waiting.

        Raises:
            StoreUnavailableError: The database is away.
        """
        missing = self._missing(ticks)
        first = []
        for tick in ticks:
            first.append(_identity(tick) in missing)
            missing.discard(_identity(tick))
        return first

    def wait_stored(self, timeout_seconds: float) -> bool:
        """Waits until the database has everything now on `tick_data`; False where it took too long.

        Raises:
            BusError: Kafka is away.
        """
        return self._stored(timeout_seconds)

    def _wait(self, stopped: Callable[[], bool]) -> None:
        deadline = time.monotonic() + self._patience_seconds
        while not self._stored(min(_SLICE_SECONDS, self._patience_seconds)):
            if stopped():
                raise StoppedError
            if time.monotonic() >= deadline:
                raise StoreUnavailableError(
                    f"the database has not stored all of {TICKS} within {self._patience_seconds:g} s, so what is "
                    "missing can't be told: is timescale-writer running? `marketstream status` shows its lag"
                )

    def _missing(self, ticks: Sequence[Tick]) -> set[Identity]:
        # By day, since providers use ids again from one day to the next.
        groups: dict[tuple[str, str, int], list[Tick]] = defaultdict(list)
        for tick in ticks:
            groups[tick.symbol, tick.provider, tick.event_time_us // _DAY_US].append(tick)
        missing: set[Identity] = set()
        for (symbol, provider, _), group in groups.items():
            times = [tick.event_time_us for tick in group]
            ids = {tick.trade_id for tick in group}
            known = self._known.known(symbol, provider, ids, min(times), max(times) + 1)
            missing.update(_identity(tick) for tick in group if tick.trade_id not in known)
        return missing


def _identity(tick: Tick) -> Identity:
    return (tick.symbol, tick.event_time_us, tick.provider, tick.trade_id)

"""How well a feed is: a circuit breaker, and when it may be tried again. Pure; the time is passed in.

Closed, a feed may be used. A fault that another try won't mend at once, or too many failed connections in a row, open
the breaker; after a while it is half open, and one careful session decides (Nygard, "Release It!", 2007).
"""

from dataclasses import dataclass
from enum import StrEnum

from marketstream.domain.errors import FATAL_FAULTS, Fault
from marketstream.producers.backoff import Backoff

_LONGEST_OPEN_SECONDS = 600.0
# The connection may be good again a moment later; everything else shuts a feed out at once.
_PASSING_FAULTS = frozenset({Fault.NETWORK, Fault.PROTOCOL, Fault.SHUTDOWN})


class Breaker(StrEnum):
    """A circuit breaker's states."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How much a feed is forgiven.

    Attributes:
        failures: Failed connections in a row that open the breaker.
        open_seconds: How long it is open the first time; each further time twice as long, up to 10 minutes.
        slow_retry_seconds: Wait before a feed that trying does not seem to mend is tried all the same.
        retries_max: Failed connections in a row after which it is tried slowly.
    """

    failures: int
    open_seconds: float
    slow_retry_seconds: float
    retries_max: int


class FeedHealth:
    """One feed's breaker and retry times.

    Args:
        patience: How much it is forgiven.
        backoff: Waiting times between tries.

    Attributes:
        breaker: The breaker's state.
        retry_at: When it may be tried next, if nothing better is there.
        fault: What went wrong last; None while all is well.
        failures: Failed connections in a row.
    """

    def __init__(self, patience: Patience, backoff: Backoff) -> None:
        self._patience = patience
        self._backoff = backoff
        self._open_until = 0.0
        self._open_seconds = patience.open_seconds
        self.breaker = Breaker.CLOSED
        self.retry_at = 0.0
        self.fault: Fault | None = None
        self.failures = 0

    @property
    def attempt(self) -> int:
        """Which attempt in a row the next one is, from 1."""
        return self._backoff.attempt

    def failed(self, fault: Fault, now: float, retry_after_seconds: float | None = None) -> bool:
        """Counts a connection that ended with a fault; whether that opened the breaker.

        Args:
            fault: Why.
            now: Seconds of any steady clock.
            retry_after_seconds: How long the provider wants to be left alone, where it says so.
        """
        self.fault = fault
        self.failures += 1
        wait = self._backoff.failed()
        if fault in FATAL_FAULTS or self.failures >= self._patience.retries_max:
            wait = max(wait, self._patience.slow_retry_seconds)
        self.retry_at = now + max(wait, retry_after_seconds or 0.0)
        was_open = self.breaker is Breaker.OPEN
        probing = self.breaker is Breaker.HALF_OPEN
        if probing or fault not in _PASSING_FAULTS or self.failures >= self._patience.failures:
            self.breaker = Breaker.OPEN
            self._open_until = max(now + self._open_seconds, now + (retry_after_seconds or 0.0))
            self._open_seconds = min(2 * self._open_seconds, _LONGEST_OPEN_SECONDS)
        return self.breaker is Breaker.OPEN and not was_open

    def half_open(self) -> None:
        """A careful session begins."""
        self.breaker = Breaker.HALF_OPEN

    def abandoned(self) -> None:
        """The careful session was given up without a result."""
        self.breaker = Breaker.OPEN

    def healthy(self) -> None:
        """A session has proven itself: everything is forgiven."""
        self._backoff.succeeded()
        self._open_seconds = self._patience.open_seconds
        self.breaker = Breaker.CLOSED
        self.retry_at = 0.0
        self.fault = None
        self.failures = 0

    def may_probe(self, now: float) -> bool:
        """Whether it has been shut out for long enough to be looked at again."""
        return self.breaker is Breaker.OPEN and now >= self._open_until

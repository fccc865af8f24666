"""Keeps a client within a provider's request limits."""

import asyncio
import time
from collections.abc import Callable


class RateLimit:
    """A token bucket: `per_minute` units a minute, of which `burst` may be spent at once. For one event loop.

    Args:
        per_minute: Units a minute.
        burst: Units that may be spent at once; a tenth of a minute's unless given, at least one.
        monotonic: Seconds that never go back.
    """

    def __init__(
        self, per_minute: float, burst: float | None = None, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._per_second = per_minute / 60
        self._capacity = max(1.0, per_minute / 10 if burst is None else burst)
        self._monotonic = monotonic
        self._tokens = self._capacity
        self._filled_at = monotonic()

    def reserve(self, units: float = 1.0) -> float:
        """Takes the units, on credit if need be, and returns how long to wait before using them, in seconds."""
        now = self._monotonic()
        self._tokens = min(self._capacity, self._tokens + (now - self._filled_at) * self._per_second)
        self._filled_at = now
        self._tokens -= units
        return max(0.0, -self._tokens / self._per_second)

    def penalise(self, seconds: float) -> None:
        """Lets nothing through for this long, as a provider asked."""
        self.reserve(0)
        self._tokens = min(self._tokens, -seconds * self._per_second)

    async def take(self, units: float = 1.0) -> None:
        """Waits until the units may be spent."""
        wait = self.reserve(units)
        if wait > 0:
            await asyncio.sleep(wait)

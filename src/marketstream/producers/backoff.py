"""Waiting times between connection attempts."""

from collections.abc import Callable


class Backoff:
    """Exponential backoff with full jitter: the n-th wait is uniform over [0, min(maximum, initial · 2^n)].

    Full jitter spreads reconnecting clients best (Brooker, "Exponential Backoff And Jitter", 2015).

    Args:
        initial_seconds: The first wait's upper bound.
        maximum_seconds: Every wait's upper bound.
        random: Gives numbers uniform over [0, 1).
    """

    def __init__(self, initial_seconds: float, maximum_seconds: float, random: Callable[[], float]) -> None:
        self._initial = initial_seconds
        self._maximum = maximum_seconds
        self._random = random
        self.attempt = 1

    def failed(self) -> float:
        """Counts a failed attempt and returns how long to wait, in seconds."""
        bound = min(self._maximum, self._initial * 2.0 ** min(self.attempt - 1, 62))
        self.attempt += 1
        return bound * self._random()

    def succeeded(self) -> None:
        """Begins anew after a healthy connection."""
        self.attempt = 1

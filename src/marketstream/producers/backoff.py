"""Waiting times between connection attempts."""

from collections.abc import Callable


class Backoff:
    """Exponential backoff with jitter: the n-th wait is uniform over [b, 2b), b = min(maximum / 2, initial · 2^(n-1)).

    Jitter spreads clients that lost the same server; the lower bound gives that server time (Brooker, "Exponential
    Backoff And Jitter", 2015, compares the ways).

    Args:
        initial_seconds: The first wait's lower bound.
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
        least = min(self._maximum / 2, self._initial * 2.0 ** min(self.attempt - 1, 62))
        self.attempt += 1
        return least * (1 + self._random())

    def succeeded(self) -> None:
        """Begins anew after a healthy connection."""
        self.attempt = 1

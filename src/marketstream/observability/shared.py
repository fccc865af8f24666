"""One answer for all probes that read the same thing: a store is asked once, however many of its figures are shown."""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from marketstream.domain.errors import MarketstreamError

T = TypeVar("T")


class Shared(Generic[T]):
    """Keeps an answer for a while, and a refusal too: else each figure of a store that is away would wait for it anew.

    Args:
        ask: Asks; may raise any `MarketstreamError`.
        seconds: How long an answer is good.
        monotonic: The clock.
    """

    def __init__(self, ask: Callable[[], T], seconds: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._ask = ask
        self._seconds = seconds
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._until = float("-inf")
        self._answer: T | MarketstreamError | None = None

    def get(self) -> T:
        """What is known, or is asked now.

        Raises:
            MarketstreamError: What the question came to, now or a moment ago.
        """
        with self._lock:
            if self._monotonic() >= self._until:
                self._answer = self._asked()
                self._until = self._monotonic() + self._seconds
            answer = self._answer
        if isinstance(answer, MarketstreamError):
            raise answer
        return answer  # type: ignore[return-value]  # None only where T is

    def _asked(self) -> T | MarketstreamError:
        try:
            return self._ask()
        except MarketstreamError as error:
            return error

"""Names that the stores have seen, remembered so that not every request asks for them."""

import threading
import time
from collections.abc import Callable, Iterable

SEEN_KEPT_SECONDS = 5.0


class Seen:
    """Configured names and those the stores have seen, remembered for a moment; then one caller looks again."""

    def __init__(self, configured: Iterable[str]) -> None:
        self._configured = frozenset(configured)
        self._remembered: frozenset[str] | None = None
        self._until = 0.0
        self._looking = threading.Lock()

    def all(self, look: Callable[[], set[str]]) -> frozenset[str]:
        """Every name; `look` finds those the stores have seen."""
        names = self._remembered
        if names is not None and (time.monotonic() < self._until or not self._looking.acquire(blocking=False)):
            return names  # while somebody looks, the others take what is known
        if names is None:
            self._looking.acquire()
        try:
            self._remembered = self._configured | look()
            self._until = time.monotonic() + SEEN_KEPT_SECONDS
            return self._remembered
        finally:
            self._looking.release()

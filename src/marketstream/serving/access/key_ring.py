"""API keys as a serving process knows them: all of them, read again every few seconds by a thread of its own.

So no request waits for the database, a flood of wrong keys never reaches it, and known keys go on while it is away.
Reads: `api_keys`. Writes: when keys were used, to `api_keys` (table).
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from marketstream.contracts.access import ApiKey, KeyReader
from marketstream.domain.errors import MarketstreamError
from marketstream.observability.logs import get_logger
from marketstream.ports import Clock

_ASK_AGAIN_SECONDS = 0.2  # between readings that keys nobody knows ask for
_NOTE_SECONDS = 60.0

_log = get_logger("access")


@dataclass(frozen=True, slots=True)
class RingLimits:
    """How old what is known may be.

    Args:
        cache_seconds: Between readings.
        outage_seconds: How long the last reading holds while the database is away.
        patience_seconds: Longest that whoever brings an unknown key waits for a reading.
    """

    cache_seconds: float = 5.0
    outage_seconds: float = 3_600.0
    patience_seconds: float = 6.0


class KeyRing:
    """All keys, at most some seconds old. The first question starts the thread that reads them.

    Args:
        reader: Where keys are.
        clock: For when keys were used.
        limits: How old what is known may be.
        monotonic: Seconds that never go back.
    """

    def __init__(
        self,
        reader: KeyReader,
        clock: Clock,
        limits: RingLimits | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reader = reader
        self._clock = clock
        self._limits = limits or RingLimits()
        self._monotonic = monotonic
        self._keys: dict[str, ApiKey] = {}
        self._read_at: float | None = None
        self._used_us: dict[str, int] = {}
        self._noted_at = monotonic()
        self._state = threading.Condition()
        self._begun = self._done = 0  # readings
        self._asked = False
        self._thread: threading.Thread | None = None
        self._closed = False

    @property
    def known(self) -> bool:
        """Whether what was read holds: it was read, and the database has not been away for too long since."""
        return self._read_at is not None and self._monotonic() - self._read_at <= self._limits.outage_seconds

    def find(self, key_id: str) -> ApiKey | None:
        """The key as it was read last; never waits."""
        self._start()
        return self._keys.get(key_id)

    def find_anew(self, key_id: str) -> ApiKey | None:
        """The key, after a reading that began after the question; waits for it some seconds at most."""
        self._start()
        with self._state:
            wanted = self._begun + 1
            self._asked = True
            self._state.notify_all()
            self._state.wait_for(lambda: self._done >= wanted or self._closed, self._limits.patience_seconds)
        return self._keys.get(key_id)

    def note_use(self, key_id: str) -> None:
        """Remembers that a key has just opened something; stored within a minute."""
        self._used_us[key_id] = self._clock.now_us()

    def close(self) -> None:
        """Stores what is remembered and ends the thread."""
        with self._state:
            self._closed = True
            self._state.notify_all()
        if self._thread is not None:
            self._thread.join(self._limits.patience_seconds)

    def read(self) -> None:
        """Reads the keys; keeps what it has where the database is away."""
        try:
            keys = {key.key_id: key for key in self._reader.live_keys()}
        except MarketstreamError as error:
            _log.warning("API keys can't be read; those known go on", error=str(error), known=len(self._keys))
        else:
            self._keys, self._read_at = keys, self._monotonic()
        if self._closed or self._monotonic() - self._noted_at >= _NOTE_SECONDS:
            self._note()

    def _note(self) -> None:
        self._noted_at = self._monotonic()
        used, self._used_us = self._used_us, {}
        try:
            self._reader.note_uses(used)
        except MarketstreamError:
            self._used_us = used | self._used_us

    def _start(self) -> None:
        if self._thread is not None:
            return
        with self._state:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="key-ring", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            began = self._monotonic()
            with self._state:
                self._begun += 1
                self._asked = False
            self.read()
            with self._state:
                self._done = self._begun
                self._state.notify_all()
                if self._closed:
                    return
                self._state.wait_for(lambda: self._closed, timeout=_ASK_AGAIN_SECONDS)
                rest = self._limits.cache_seconds - (self._monotonic() - began)
                self._state.wait_for(lambda: self._closed or self._asked, timeout=max(rest, 0.0))

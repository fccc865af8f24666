"""Who changed what: every change is told to the log at once, and to the audit log before its answer is sent.

A change does not fail because its record can't be stored: the record stays in the process's log and in memory, and is
stored as soon as the database takes it. Writes: `audit_log` (table).
"""

import threading
import uuid
from collections import deque
from dataclasses import dataclass

from marketstream.contracts.access import MAX_AUDIT_TEXT, AuditEntry, AuditTrail, Outcome
from marketstream.domain.errors import MarketstreamError
from marketstream.observability.logs import get_logger
from marketstream.observability.metrics import AUDIT_WAITING
from marketstream.ports import Clock

_MOST_WAITING = 1_000

_log = get_logger("audit")


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a change came from."""

    address: str = ""
    request_id: str = ""


class AuditDesk:
    """Records changes. Threads may share it.

    Args:
        trail: Where entries are kept.
        clock: For their time.
    """

    def __init__(self, trail: AuditTrail, clock: Clock) -> None:
        self._trail = trail
        self._clock = clock
        self._waiting: deque[AuditEntry] = deque(maxlen=_MOST_WAITING)
        self._turn = threading.Lock()

    def record(
        self, who: str, action: str, target: str, outcome: Outcome, origin: Origin | None = None, **detail: str | int
    ) -> None:
        """Records one change, and whatever could not be stored before; blocks while the database writes.

        Args:
            who: The principal's name.
            action: What was done.
            target: To what.
            outcome: Whether it was.
            origin: From where.
            detail: What else is known; no secret.
        """
        origin = origin or Origin()
        entry = AuditEntry(
            entry_id=str(uuid.uuid4()),
            time_us=self._clock.now_us(),
            who=_plain(who),
            action=_plain(action),
            target=_plain(target),
            outcome=outcome,
            address=_plain(origin.address),
            request_id=_plain(origin.request_id),
            detail={name: _plain(value) if isinstance(value, str) else value for name, value in detail.items()},
        )
        _log.info(
            entry.action, who=entry.who, target=entry.target, outcome=outcome, address=entry.address, **entry.detail
        )
        with self._turn:
            self._waiting.append(entry)
            self._store()
        AUDIT_WAITING.set(len(self._waiting))

    def _store(self) -> None:
        try:
            self._trail.append(tuple(self._waiting))
        except MarketstreamError as error:
            _log.error("the audit log can't be written; entries wait", waiting=len(self._waiting), error=str(error))
        else:
            self._waiting.clear()


def _plain(text: str) -> str:
    """Text as one line that every store and terminal can hold."""
    shown = "".join(character if character.isprintable() else "?" for character in text)
    return shown.encode("utf-8", "replace").decode()[:MAX_AUDIT_TEXT]

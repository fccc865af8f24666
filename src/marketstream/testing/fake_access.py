"""API keys and an audit log in memory, with the promises of the real ones."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from marketstream.contracts.access import ApiKey, AuditEntry, AuditTrail, KeyKeeper, KeyReader
from marketstream.domain.errors import StoreError, StoreUnavailableError

_KEPT_US = 30 * 86_400 * 1_000_000


class InMemoryAccess(KeyReader, KeyKeeper, AuditTrail):
    """Both tables.

    Attributes:
        available: Set it to False and every call fails, as with the database away.
        reads: How often the live keys were read.
        log: The audit log, the oldest first.
    """

    def __init__(self) -> None:
        self.available = True
        self.reads = 0
        self.log: dict[str, AuditEntry] = {}
        self._keys: dict[str, ApiKey] = {}

    def live_keys(self) -> list[ApiKey]:
        """Every key that is alive, or ended within 30 days of the newest that happened here."""
        self._check()
        self.reads += 1
        newest_us = max((key.created_us for key in self._keys.values()), default=0)
        return [
            key for key in self._keys.values() if _end_us(key) is None or (_end_us(key) or 0) > newest_us - _KEPT_US
        ]

    def note_uses(self, used_us: Mapping[str, int]) -> None:
        """Remembers when keys were last used."""
        self._check()
        for key_id, time_us in used_us.items():
            if key_id in self._keys and (self._keys[key_id].last_used_us or 0) < time_us:
                self._keys[key_id] = replace(self._keys[key_id], last_used_us=time_us)

    def all_keys(self) -> list[ApiKey]:
        """Every key, the oldest first."""
        self._check()
        return sorted(self._keys.values(), key=lambda key: (key.created_us, key.key_id))

    def add(self, key: ApiKey, entry: AuditEntry) -> None:
        """Stores a new key."""
        self._check()
        if key.key_id in self._keys:
            raise StoreError(f"there is a key {key.key_id}")
        self._keys[key.key_id] = key
        self.append([entry])

    def replace(self, old_id: str, key: ApiKey, entry: AuditEntry, *, ends_us: int) -> bool:
        """Stores a new key in place of another."""
        self._check()
        old = self._keys.get(old_id)
        if old is None or old.revoked_us is not None or (old.expires_us or entry.time_us + 1) <= entry.time_us:
            return False
        self._keys[old_id] = replace(old, expires_us=min(old.expires_us or ends_us, ends_us))
        self.add(key, entry)
        return True

    def revoke(self, key_id: str, entry: AuditEntry) -> bool:
        """Takes a key back."""
        self._check()
        key = self._keys.get(key_id)
        if key is None or key.revoked_us is not None:
            return False
        self._keys[key_id] = replace(key, revoked_us=entry.time_us)
        self.append([entry])
        return True

    def append(self, entries: Collection[AuditEntry]) -> None:
        """Stores entries."""
        self._check()
        for entry in entries:
            self.log.setdefault(entry.entry_id, entry)

    def entries(
        self, *, since_us: int | None = None, who: str | None = None, action: str | None = None, limit: int = 100
    ) -> Sequence[AuditEntry]:
        """The newest entries, the newest first."""
        self._check()
        found = [
            entry
            for entry in self.log.values()
            if entry.time_us >= (since_us or 0)
            and (who is None or entry.who == who)
            and entry.action.startswith(action or "")
        ]
        return sorted(found, key=lambda entry: -entry.time_us)[: max(limit, 0)]

    def _check(self) -> None:
        if not self.available:
            raise StoreUnavailableError("the keys are away")


def _end_us(key: ApiKey) -> int | None:
    ends = [end for end in (key.revoked_us, key.expires_us) if end is not None]
    return min(ends) if ends else None

"""The shapes behind who may: API keys as they are stored, and the audit log's entries."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

Outcome = Literal["done", "refused", "failed"]
MAX_AUDIT_TEXT = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """An API key without its secret.

    Attributes:
        key_id: What stands before the secret; shown, and not secret.
        name: Whose it is; a key that replaces another has the same.
        digest: Keyed SHA-256 of the whole key, 32 bytes.
        role: `viewer`, `trader` or `admin`.
        scopes: The parts it opens, such as `rest`; empty for all.
        created_us: When it was made, µs UTC, as every time here.
        created_by: By whom.
        expires_us: When it ends; None for never.
        revoked_us: When it was taken back; None while it was not.
        last_used_us: When it last opened something, to about a minute.
    """

    key_id: str
    name: str
    digest: bytes = field(repr=False)
    role: str
    scopes: frozenset[str] = frozenset()
    created_us: int
    created_by: str
    expires_us: int | None = None
    revoked_us: int | None = None
    last_used_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One change, or an attempt at one.

    Attributes:
        entry_id: A UUID; the same entry twice is one.
        time_us: When, µs UTC.
        who: The principal's name, such as `key:desk`; `cli:<user>` for the command.
        action: What was done, such as `POST /api/v1/dead-letters/reinject` or `keys.create`.
        target: To what: a path, a key's id.
        outcome: `done`, `refused` (not allowed) or `failed` (allowed, and it went wrong).
        address: From where; empty for the command.
        request_id: The request's id; empty for the command.
        detail: What else is known, such as the status; no secret.
    """

    entry_id: str
    time_us: int
    who: str
    action: str
    target: str
    outcome: Outcome
    address: str = ""
    request_id: str = ""
    detail: Mapping[str, str | int] = field(default_factory=dict)


class KeyReader(Protocol):
    """What a serving process asks about API keys."""

    def live_keys(self) -> list[ApiKey]:
        """Every key that is alive, or ended within the last 30 days, so that it can be told why it is refused.

        Raises:
            StoreUnavailableError: The store is away.
        """

    def note_uses(self, used_us: Mapping[str, int]) -> None:
        """Remembers when keys were last used, by id; never goes back in time.

        Raises:
            StoreUnavailableError: The store is away.
        """


class KeyKeeper(Protocol):
    """Changes API keys; each change and its audit entries are stored together or not at all."""

    def all_keys(self) -> list[ApiKey]:
        """Every key there ever was, the oldest first."""

    def add(self, key: ApiKey, entry: AuditEntry) -> None:
        """Stores a new key.

        Raises:
            StoreError: There is one with its id.
        """

    def replace(self, old_id: str, key: ApiKey, entry: AuditEntry, *, ends_us: int) -> bool:
        """Stores a new key in place of one that ends at `ends_us`, if not before; False where that one is not alive."""

    def revoke(self, key_id: str, entry: AuditEntry) -> bool:
        """Takes a key back at the entry's time; False where there is none, or it was taken back before."""


class AuditTrail(Protocol):
    """Who changed what."""

    def append(self, entries: Collection[AuditEntry]) -> None:
        """Stores entries; one that is there already changes nothing.

        Raises:
            StoreUnavailableError: The store is away.
        """

    def entries(
        self, *, since_us: int | None = None, who: str | None = None, action: str | None = None, limit: int = 100
    ) -> Sequence[AuditEntry]:
        """The newest `limit` entries, the newest first.

        Args:
            since_us: None for all.
            who: Only this principal's.
            action: Only actions that begin with this.
            limit: Most of them.

        Raises:
            StoreUnavailableError: The store is away.
        """


class AccessStore(KeyReader, AuditTrail, Protocol):
    """What a serving process has of both."""

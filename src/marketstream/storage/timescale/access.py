"""API keys and the audit log in PostgreSQL. Reads: `api_keys`, `audit_log`. Writes: both (tables)."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from importlib.resources import files
from typing import Any

import orjson
from psycopg2.extensions import connection as Connection  # noqa: N812  # a class under a lower-case name

from marketstream.contracts.access import ApiKey, AuditEntry
from marketstream.settings import PostgresSettings
from marketstream.storage.timescale.connection import connect, postgres_errors
from marketstream.storage.timescale.queries import parse_queries
from marketstream.storage.timescale.session import ReaderSession

QUERIES = parse_queries(files(__package__).joinpath("access.sql").read_text())


class TimescaleAccess:
    """A `KeyReader` and an `AuditTrail`, with the rights of the access role. The first call connects.

    Args:
        settings: Where PostgreSQL is.
        statement_seconds: Longest a statement, or the wait for a connection, may take.
    """

    def __init__(self, settings: PostgresSettings, *, statement_seconds: float = 5.0) -> None:
        self._session = ReaderSession(
            settings, pool_size=2, statement_seconds=statement_seconds, role="access", queries=QUERIES
        )

    def live_keys(self) -> list[ApiKey]:
        """Every key that is alive, or ended within the last 30 days."""
        return [_key_of(row) for row in self._session.rows("live_keys", {})]

    def note_uses(self, used_us: Mapping[str, int]) -> None:
        """Remembers when keys were last used, by id."""
        if used_us:
            self._session.rows("note_key_uses", {"key_ids": list(used_us), "used_us": list(used_us.values())})

    def append(self, entries: Collection[AuditEntry]) -> None:
        """Stores entries; one that is there already changes nothing."""
        if entries:
            self._session.rows("append_audit", {"entries": _json(entries)})

    def entries(
        self, *, since_us: int | None = None, who: str | None = None, action: str | None = None, limit: int = 100
    ) -> Sequence[AuditEntry]:
        """The newest `limit` entries, the newest first."""
        parameters = {"since_us": since_us or 0, "who": who, "action": action, "limit": max(limit, 0)}
        return [_entry_of(row) for row in self._session.rows("audit_entries", parameters)]

    def close(self) -> None:
        """Disconnects."""
        self._session.close()


class TimescaleKeyKeeper:
    """A `KeyKeeper`, with the rights of the tables' owner: for the command, never for a process that serves.

    Args:
        settings: Where PostgreSQL is.
    """

    def __init__(self, settings: PostgresSettings) -> None:
        self._settings = settings

    def all_keys(self) -> list[ApiKey]:
        """Every key there ever was, the oldest first."""
        with postgres_errors(self._settings), closing(self._connect()) as connection:
            return [_key_of(row) for row in _run(connection, "all_keys", {})]

    def add(self, key: ApiKey, entry: AuditEntry) -> None:
        """Stores a new key."""
        with postgres_errors(self._settings), closing(self._connect()) as connection, connection:
            _run(connection, "add_key", _parameters(key))
            _run(connection, "append_audit", {"entries": _json([entry])})

    def replace(self, old_id: str, key: ApiKey, entry: AuditEntry, *, ends_us: int) -> bool:
        """Stores a new key in place of one that ends at `ends_us`, if not before; False where that one is not alive."""
        with postgres_errors(self._settings), closing(self._connect()) as connection, connection:
            if not _run(connection, "end_key", {"key_id": old_id, "ends_us": ends_us, "now_us": entry.time_us}):
                return False
            _run(connection, "add_key", _parameters(key))
            _run(connection, "append_audit", {"entries": _json([entry])})
            return True

    def revoke(self, key_id: str, entry: AuditEntry) -> bool:
        """Takes a key back at the entry's time; False where there is none, or it was taken back before."""
        with postgres_errors(self._settings), closing(self._connect()) as connection, connection:
            if not _run(connection, "revoke_key", {"key_id": key_id, "now_us": entry.time_us}):
                return False
            _run(connection, "append_audit", {"entries": _json([entry])})
            return True

    def _connect(self) -> Connection:
        return connect(self._settings, "owner", statement_seconds=10.0)


def _run(connection: Connection, query: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(QUERIES[query], parameters)
        return cursor.fetchall()


def _parameters(key: ApiKey) -> dict[str, Any]:
    return {**asdict(key), "scopes": sorted(key.scopes)}


def _json(entries: Collection[AuditEntry]) -> str:
    return orjson.dumps([asdict(entry) for entry in entries]).decode()


def _key_of(row: tuple[Any, ...]) -> ApiKey:
    return ApiKey(
        key_id=row[0],
        name=row[1],
        digest=bytes(row[2]),
        role=row[3],
        scopes=frozenset(row[4]),
        created_us=row[5],
        created_by=row[6],
        expires_us=row[7],
        revoked_us=row[8],
        last_used_us=row[9],
    )


def _entry_of(row: tuple[Any, ...]) -> AuditEntry:
    return AuditEntry(
        entry_id=row[0],
        time_us=row[1],
        who=row[2],
        action=row[3],
        target=row[4],
        outcome=row[5],
        address=row[6],
        request_id=row[7],
        detail=row[8],
    )

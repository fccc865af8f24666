"""What PostgreSQL's readers share: a pool of read-only connections, named statements, and times as they cross."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg2
from psycopg2 import errors
from psycopg2.extensions import connection as Connection  # noqa: N812  # a class under a lower-case name

from marketstream.settings import PostgresSettings
from marketstream.storage.timescale.connection import Role, connect, postgres_errors
from marketstream.storage.timescale.pool import ConnectionPool
from marketstream.storage.timescale.queries import QUERIES

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class ReaderSession:
    """Runs named statements, each a transaction of its own. The first call connects; threads may share it.

    Args:
        settings: Where PostgreSQL is.
        pool_size: Connections at most.
        statement_seconds: Longest a query, or the wait for a connection, may take.
        role: Whose rights it has; the reader's connections are read-only besides.
        queries: The statements by name.
    """

    def __init__(
        self,
        settings: PostgresSettings,
        *,
        pool_size: int = 8,
        statement_seconds: float = 10.0,
        role: Role = "reader",
        queries: Mapping[str, str] = QUERIES,
    ) -> None:
        self._settings = settings
        self._role: Role = role
        self._queries = queries
        self._statement_seconds = statement_seconds
        self._pool = ConnectionPool(self._connect, size=pool_size, wait_seconds=statement_seconds)

    def rows(self, query: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
        """Every row of a statement; none where a parameter holds a text that no row can hold.

        Raises:
            StoreUnavailableError: PostgreSQL is away, too slow, or without its tables.
        """
        with postgres_errors(self._settings):
            try:
                return self._fetch(query, parameters)
            except errors.QueryCanceled:
                raise
            except (psycopg2.OperationalError, psycopg2.InterfaceError):
                self._pool.close_idle()  # they may only have outlived a restart of the server
                return self._fetch(query, parameters)
            except ValueError:  # the driver's word for a text that PostgreSQL can't hold: it is in no row
                return []

    def ping(self) -> None:
        """Returns when PostgreSQL answers and its tables are there."""
        self.rows("ping", {})

    def close(self) -> None:
        """Disconnects."""
        self._pool.close_idle()

    def _connect(self) -> Connection:
        connection = connect(self._settings, self._role, statement_seconds=self._statement_seconds)
        connection.set_session(readonly=self._role == "reader", autocommit=True)
        return connection

    def _fetch(self, query: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
        with self._pool.connection() as connection, connection.cursor() as cursor:
            cursor.execute(self._queries[query], parameters)
            return cursor.fetchall()


def time_range(start_us: int | None, end_us: int | None) -> dict[str, datetime | str]:
    """The parameters `start` and `end` of `[start_us, end_us)`, each without bound where it is None."""
    return {"start": _moment(start_us, "-infinity"), "end": _moment(end_us, "infinity")}


def moment(time_us: int | None) -> datetime | str:
    """A point in time as a parameter; later than any where it is None."""
    return _moment(time_us, "infinity")


def _moment(time_us: int | None, unbounded: str) -> datetime | str:
    if time_us is None:
        return unbounded
    try:
        return _EPOCH + timedelta(microseconds=time_us)
    except OverflowError:  # beyond what a calendar holds is beyond what is stored
        return "infinity" if time_us > 0 else "-infinity"

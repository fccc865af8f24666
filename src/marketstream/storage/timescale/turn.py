"""Lets one process at a time publish trades of the past: an advisory lock of PostgreSQL. Writes: nothing.

Whoever publishes past trades has to ask the database what is there already, so the lock lives where they all look,
on whatever host they run. It goes with its connection: a process that dies leaves none behind.
"""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from psycopg2 import errors
from psycopg2.extensions import connection as Connection  # noqa: N812  # a class under a lower-case name

from marketstream.domain.errors import StoreUnavailableError
from marketstream.settings import PostgresSettings
from marketstream.storage.timescale.connection import connect, postgres_errors

_TAKE = "select pg_advisory_lock(hashtextextended('marketstream past trades in ' || %s, 0))"


class PublishingTurn:
    """The right to publish past trades, held by one at a time.

    Args:
        settings: Where PostgreSQL is; every schema has a turn of its own.
        wait_seconds: How long to wait for whoever has it.
    """

    def __init__(self, settings: PostgresSettings, *, wait_seconds: float = 120.0) -> None:
        self._settings = settings
        self._wait_seconds = wait_seconds

    @contextmanager
    def take(self) -> Iterator[Callable[[], None]]:
        """Holds the turn for the block, which gets a function that raises unless the turn is still held.

        Raises:
            StoreUnavailableError: PostgreSQL is away, or somebody else kept the turn for too long.
        """
        with postgres_errors(self._settings):
            connection = connect(self._settings, "reader", statement_seconds=0)
        with closing(connection):
            connection.autocommit = True
            self._lock(connection)

            def confirm() -> None:
                with postgres_errors(self._settings), connection.cursor() as cursor:
                    cursor.execute("select 1")

            yield confirm

    def _lock(self, connection: Connection) -> None:
        with postgres_errors(self._settings), connection.cursor() as cursor:
            cursor.execute("select set_config('lock_timeout', %s, false)", (str(round(self._wait_seconds * 1_000)),))
            try:
                cursor.execute(_TAKE, (self._settings.schema_name,))
            except errors.LockNotAvailable:
                raise StoreUnavailableError(
                    f"another backfill or re-injection has been publishing for {self._wait_seconds:g} s; "
                    "try again when it is done"
                ) from None

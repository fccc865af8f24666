"""A bounded pool of read-only connections, opened as they are needed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from queue import Empty, LifoQueue
from threading import BoundedSemaphore

import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812  # a class under a lower-case name

from marketstream.domain.errors import StoreUnavailableError


class ConnectionPool:
    """Lends connections to threads; a broken one is closed instead of kept.

    Args:
        opener: Opens a connection.
        size: How many may be open at once.
        wait_seconds: How long a caller waits for one.
    """

    def __init__(self, opener: Callable[[], Connection], *, size: int, wait_seconds: float) -> None:
        self._open = opener
        self._free = BoundedSemaphore(size)
        self._wait_seconds = wait_seconds
        self._idle: LifoQueue[Connection] = LifoQueue()

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """Lends a connection for the block.

        Raises:
            StoreUnavailableError: All are lent and none came back in time.
            psycopg2.Error: The server is away.
        """
        if not self._free.acquire(timeout=self._wait_seconds):
            raise StoreUnavailableError("every connection to PostgreSQL is busy")
        try:
            connection = self._take()
            try:
                yield connection
            except psycopg2.InterfaceError:
                connection.close()
                raise
            finally:
                if not connection.closed:
                    self._idle.put(connection)
        finally:
            self._free.release()

    def close_idle(self) -> None:
        """Closes what nobody uses; after a server's restart these are all dead."""
        with suppress(Empty):
            while True:
                self._idle.get_nowait().close()

    def _take(self) -> Connection:
        try:
            return self._idle.get_nowait()
        except Empty:
            return self._open()

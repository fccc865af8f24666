"""Reads ticks and bars back from PostgreSQL. Reads: `tick_data`, `aggregated_data` (tables)."""

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg2
from psycopg2 import errors
from psycopg2.extensions import connection as Connection  # noqa: N812  # a class under a lower-case name

from marketstream.domain.interval import Interval
from marketstream.domain.market import Bar, Tick
from marketstream.settings import PostgresSettings
from marketstream.storage.timescale.connection import connect, postgres_errors
from marketstream.storage.timescale.pool import ConnectionPool
from marketstream.storage.timescale.queries import QUERIES
from marketstream.storage.timescale.rows import bar_of, tick_of

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class TimescaleReader:
    """A `MarketReader` on PostgreSQL, with or without TimescaleDB. The first call connects; threads may share it.

    Args:
        settings: Where PostgreSQL is.
        pool_size: Connections at most.
        statement_seconds: Longest a query, or the wait for a connection, may take.
    """

    def __init__(self, settings: PostgresSettings, *, pool_size: int = 8, statement_seconds: float = 10.0) -> None:
        self._settings = settings
        self._statement_seconds = statement_seconds
        self._pool = ConnectionPool(self._connect, size=pool_size, wait_seconds=statement_seconds)

    def latest(self, symbol: str) -> Tick | None:
        """The symbol's newest tick."""
        ticks = self.ticks(symbol, start_us=None, end_us=None, limit=1)
        return ticks[0] if ticks else None

    def ticks(self, symbol: str, *, start_us: int | None, end_us: int | None, limit: int) -> list[Tick]:
        """The newest `limit` ticks in the range, oldest first."""
        parameters = {"symbol": symbol, **_range(start_us, end_us), "limit": max(limit, 0)}
        return [tick_of(row) for row in reversed(self._rows("ticks", parameters))]

    def bars(
        self, symbol: str, interval: Interval, *, start_us: int | None, end_us: int | None, limit: int
    ) -> list[Bar]:
        """The newest `limit` bars that start in the range, oldest first."""
        parameters = {"symbol": symbol, "interval": interval.name, **_range(start_us, end_us), "limit": max(limit, 0)}
        return [bar_of(row) for row in reversed(self._rows("bars", parameters))]

    def symbols(self) -> list[str]:
        """Every symbol with a tick or a bar, sorted."""
        return [symbol for (symbol,) in self._rows("symbols", {})]

    def ping(self) -> None:
        """Returns when PostgreSQL answers and its tables are there."""
        self._rows("ping", {})

    def close(self) -> None:
        """Disconnects."""
        self._pool.close_idle()

    def _connect(self) -> Connection:
        connection = connect(self._settings, "reader", statement_seconds=self._statement_seconds)
        connection.set_session(readonly=True, autocommit=True)
        return connection

    def _rows(self, query: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
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

    def _fetch(self, query: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
        with self._pool.connection() as connection, connection.cursor() as cursor:
            cursor.execute(QUERIES[query], parameters)
            return cursor.fetchall()


def _range(start_us: int | None, end_us: int | None) -> dict[str, datetime | str]:
    return {"start": _moment(start_us, "-infinity"), "end": _moment(end_us, "infinity")}


def _moment(time_us: int | None, unbounded: str) -> datetime | str:
    if time_us is None:
        return unbounded
    try:
        return _EPOCH + timedelta(microseconds=time_us)
    except OverflowError:  # beyond what a calendar holds is beyond what is stored
        return "infinity" if time_us > 0 else "-infinity"

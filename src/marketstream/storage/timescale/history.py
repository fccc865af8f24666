"""Reads long stretches of ticks back, and their cancels.

Reads: `tick_data` (table), through a cursor on the server; `trade_cancels` (table).
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

from marketstream.domain.market import Cancel, Tick
from marketstream.settings import PostgresSettings
from marketstream.storage.timescale.connection import connect, postgres_errors
from marketstream.storage.timescale.queries import QUERIES
from marketstream.storage.timescale.rows import cancel_of, tick_of
from marketstream.storage.timescale.session import time_range

_ROWS_AT_ONCE = 10_000


class TimescaleTickHistory:
    """A `TickHistory` on PostgreSQL. Every call opens a connection of its own, and holds it until it is read out.

    Args:
        settings: Where PostgreSQL is.
    """

    def __init__(self, settings: PostgresSettings) -> None:
        self._settings = settings

    def between(self, symbols: Sequence[str], start_us: int, end_us: int) -> Iterator[list[Tick]]:
        """Ticks of the range in parts of 10,000."""
        parameters = {"symbols": list(symbols), **time_range(start_us, end_us)}
        with (
            postgres_errors(self._settings),
            closing(connect(self._settings, "reader", statement_seconds=0)) as connection,
            connection,
            connection.cursor("ticks_between") as cursor,
        ):
            cursor.itersize = _ROWS_AT_ONCE
            cursor.execute(QUERIES["ticks_between"], parameters)
            while rows := _fetch(cursor):
                yield [tick_of(row) for row in rows]

    def cancels(self, symbols: Sequence[str], start_us: int, end_us: int) -> list[tuple[Cancel, str | None]]:
        """Cancels of the range, each with the id of its trade where that was found."""
        parameters = {"symbols": list(symbols), **time_range(start_us, end_us)}
        with (
            postgres_errors(self._settings),
            closing(connect(self._settings, "reader", statement_seconds=0)) as connection,
            connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(QUERIES["cancels_between"], parameters)
            return [(cancel_of(row), row[8]) for row in cursor.fetchall()]


def _fetch(cursor: Any) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = cursor.fetchmany(_ROWS_AT_ONCE)
    return rows

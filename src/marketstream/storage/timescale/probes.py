"""PostgreSQL as the exporter shows it: freshness of each symbol, sizes of tables, connections, the database's counters.

Reads: `tick_data`, PostgreSQL's own statistics.
"""

from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from typing import Any

from marketstream.observability.exporter import Probe
from marketstream.observability.shared import Shared
from marketstream.settings import PostgresSettings
from marketstream.storage.timescale.queries import parse_queries
from marketstream.storage.timescale.session import ReaderSession

QUERIES = parse_queries(files(__package__).joinpath("monitoring.sql").read_text())
SYMBOLS_MAX = 500  # series; of more symbols the first ones are shown
_STATEMENT_SECONDS = 3.0
_KEPT_SECONDS = 14.0  # less than between two scrapes of Grafana's coarsest step
_SIZES_KEPT_SECONDS = 59.0  # to ask takes a look at every file
_FIGURES = ("bytes", "connections_max", "committed", "rolled_back", "hit", "read", "deadlocks", "temporary_bytes")


class PostgresProbes:
    """Asks PostgreSQL with the rights of the reader. Connects with the first scrape.

    Args:
        settings: Where PostgreSQL is.
        symbols: Whose freshness is told.
    """

    def __init__(self, settings: PostgresSettings, symbols: Sequence[str]) -> None:
        self._session = ReaderSession(settings, pool_size=1, statement_seconds=_STATEMENT_SECONDS, queries=QUERIES)
        wanted = list(symbols)[:SYMBOLS_MAX]
        self._symbols = self._kept("symbols", _KEPT_SECONDS, {"symbols": wanted})
        self._tables = self._kept("tables", _SIZES_KEPT_SECONDS)
        self._connections = self._kept("connections", _KEPT_SECONDS)
        self._figures = self._kept("figures", _KEPT_SECONDS)

    def ping(self) -> None:
        """Returns when PostgreSQL answers, or has a moment ago.

        Raises:
            StoreUnavailableError: It is away.
        """
        self._figures.get()

    def probes(self) -> tuple[Probe, ...]:
        """What is measured at each scrape, by at most four statements."""
        return (*self._freshness(), *self._sizes(), *self._sessions(), *self._counters())

    def _kept(
        self, query: str, seconds: float, parameters: dict[str, Any] | None = None
    ) -> Shared[list[tuple[Any, ...]]]:
        return Shared(lambda: self._session.rows(query, parameters or {}), seconds)

    def _freshness(self) -> tuple[Probe, ...]:
        return (
            Probe(
                name="marketstream_symbol_newest_trade_timestamp_seconds",
                documentation="When a symbol's newest stored trade was made",
                label="symbol",
                read=lambda: dict(self._symbols.get()),
            ),
        )

    def _sizes(self) -> tuple[Probe, ...]:
        def column(number: int) -> Callable[[], Mapping[str, float]]:
            return lambda: {row[0]: float(row[number] or 0) for row in self._tables.get()}

        return tuple(
            Probe(name=f"marketstream_table_{what}", documentation=documentation, label="table", read=column(number))
            for number, (what, documentation) in enumerate(
                (
                    ("bytes", "Size of a table with its indexes and partitions"),
                    ("rows", "Rows of a table, as PostgreSQL's planner estimates"),
                    ("partitions", "Partitions or chunks of a table"),
                ),
                start=1,
            )
        )

    def _sessions(self) -> tuple[Probe, ...]:
        return (
            Probe(
                name="marketstream_database_connections",
                documentation="Sessions of PostgreSQL's clients",
                label="state",
                read=lambda: {state: float(number) for state, number, _ in self._connections.get()},
            ),
            Probe(
                name="marketstream_database_longest_transaction_seconds",
                documentation="Age of the oldest open transaction",
                label=None,
                read=lambda: {"": max((row[2] or 0.0 for row in self._connections.get()), default=0.0)},
            ),
        )

    def _counters(self) -> tuple[Probe, ...]:
        def gauge(name: str, documentation: str, field: str) -> Probe:
            return Probe(name=name, documentation=documentation, label=None, read=self._figure({"": field}))

        def counter(name: str, documentation: str, label: str | None, fields: Mapping[str, str]) -> Probe:
            read = self._figure(fields)
            return Probe(name=name, documentation=documentation, label=label, read=read, kind="counter")

        prefix = "marketstream_database_"
        outcomes = {"committed": "committed", "rolled_back": "rolled_back"}
        return (
            gauge(f"{prefix}bytes", "Size of the database", "bytes"),
            gauge(f"{prefix}connections_max", "Sessions that PostgreSQL allows", "connections_max"),
            counter(f"{prefix}transactions_total", "Transactions ended", "outcome", outcomes),
            counter(
                f"{prefix}blocks_total",
                "Blocks asked for: found in PostgreSQL's memory (hit) or not (read)",
                "source",
                {"hit": "hit", "read": "read"},
            ),
            counter(f"{prefix}deadlocks_total", "Deadlocks", None, {"": "deadlocks"}),
            counter(f"{prefix}temporary_bytes_total", "Bytes of temporary files", None, {"": "temporary_bytes"}),
        )

    def _figure(self, fields: Mapping[str, str]) -> Callable[[], Mapping[str, float]]:
        def read() -> Mapping[str, float]:
            (row,) = self._figures.get()
            return {label: float(row[_FIGURES.index(field)]) for label, field in fields.items()}

        return read

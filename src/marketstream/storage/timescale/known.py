"""Tells which trades are already stored. Reads: `tick_data` (table)."""

from collections.abc import Collection

from marketstream.settings import PostgresSettings
from marketstream.storage.timescale.session import ReaderSession, time_range


class TimescaleKnownTrades:
    """A `KnownTrades` on PostgreSQL. The first call connects; threads may share it.

    Args:
        settings: Where PostgreSQL is.
        statement_seconds: Longest a query may take.
    """

    def __init__(self, settings: PostgresSettings, *, statement_seconds: float = 30.0) -> None:
        self._session = ReaderSession(settings, pool_size=2, statement_seconds=statement_seconds)

    def known(self, symbol: str, provider: str, trade_ids: Collection[str], start_us: int, end_us: int) -> set[str]:
        """Those of the ids that are stored with an event time in `[start_us, end_us)`."""
        wanted = [trade_id for trade_id in trade_ids if "\0" not in trade_id]  # no row can hold that
        if not wanted:
            return set()
        parameters = {
            "symbol": symbol,
            "provider": provider,
            "trade_ids": wanted,
            **time_range(start_us, end_us),
        }
        return {trade_id for (trade_id,) in self._session.rows("known_trades", parameters)}

    def close(self) -> None:
        """Disconnects."""
        self._session.close()

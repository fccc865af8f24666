"""What a corrector has to know. Reads: `trade_cancels`, `aggregated_data`, `tick_data` (tables)."""

from collections.abc import Sequence
from datetime import UTC, datetime

from marketstream.domain.interval import Interval
from marketstream.domain.market import Bar, Tick
from marketstream.settings import PostgresSettings
from marketstream.storage.timescale.rows import bar_of, tick_of
from marketstream.storage.timescale.session import ReaderSession, time_range

_STATEMENT_SECONDS = 30.0


class TimescaleCorrections:
    """Finds bars that hold cancelled trades. The first call connects.

    Args:
        settings: Where PostgreSQL is.
        intervals: Of which bars.
    """

    def __init__(self, settings: PostgresSettings, intervals: Sequence[Interval]) -> None:
        self._session = ReaderSession(settings, pool_size=1, statement_seconds=_STATEMENT_SECONDS)
        self._intervals = {
            "names": [interval.name for interval in intervals],
            "lengths_us": [interval.us for interval in intervals],
        }

    def pending(self, since_us: int) -> list[Bar]:
        """Final bars that still hold trades of which a cancel was stored at or after that moment, the oldest first.

        Raises:
            StoreUnavailableError: PostgreSQL is away.
        """
        since = datetime.fromtimestamp(since_us / 1_000_000, UTC)
        return [bar_of(row) for row in self._session.rows("bars_to_correct", {**self._intervals, "since": since})]

    def trades(self, bar: Bar) -> tuple[list[Tick], list[Tick]]:
        """The stored trades of a bar's window: those that count, and those that were taken back.

        Raises:
            StoreUnavailableError: PostgreSQL is away.
        """
        rows = self._session.rows("trades_of_bar", {"symbol": bar.symbol, **time_range(bar.start_us, bar.end_us)})
        kept = [tick_of(row) for row in rows if not row[12]]
        return kept, [tick_of(row) for row in rows if row[12]]

    def unmatched(self) -> int:
        """How many cancels have no trade.

        Raises:
            StoreUnavailableError: PostgreSQL is away.
        """
        ((count,),) = self._session.rows("unmatched_cancels", {})
        return int(count)

    def close(self) -> None:
        """Disconnects."""
        self._session.close()

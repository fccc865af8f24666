"""Reads back how the feeds are. Reads: `feeds`, `feed_events`, `feed_gaps`, `tick_data` (tables)."""

from collections.abc import Sequence
from typing import Any

from pydantic import TypeAdapter

from marketstream.contracts.feed_state import EventPlace, FeedState, GapCounts, GapPlace, MinuteRecord
from marketstream.contracts.messages import FeedEvent, FeedEventKind, FeedGap, GapState
from marketstream.domain.errors import Fault
from marketstream.settings import PostgresSettings
from marketstream.storage.timescale.session import ReaderSession, moment, time_range

_GAP = TypeAdapter(FeedGap)


class TimescaleFeedReader:
    """A `FeedReader` on PostgreSQL, with or without TimescaleDB. The first call connects; threads may share it.

    Args:
        settings: Where PostgreSQL is.
        pool_size: Connections at most.
        statement_seconds: Longest a query, or the wait for a connection, may take.
    """

    def __init__(self, settings: PostgresSettings, *, pool_size: int = 4, statement_seconds: float = 10.0) -> None:
        self._session = ReaderSession(settings, pool_size=pool_size, statement_seconds=statement_seconds)

    def feeds(self) -> list[FeedState]:
        """Every provider that was ever heard of, by name."""
        return [_state_of(row) for row in self._session.rows("feeds", {})]

    def events(
        self, *, provider: str | None, kind: FeedEventKind | None, before: EventPlace | None = None, limit: int
    ) -> list[tuple[EventPlace, FeedEvent]]:
        """The newest `limit` events that stand before a place, oldest first; repeated statuses are not kept."""
        time_us, place_provider, place_id = before or (None, "", "")
        place = {"place_time": moment(time_us), "place_provider": place_provider, "place_id": place_id}
        parameters = {"provider": provider, "kind": kind, **place, "limit": max(limit, 0)}
        rows = reversed(self._session.rows("feed_events", parameters))
        return [((row[3], row[1], row[9]), _event_of(row)) for row in rows]

    def gaps(
        self,
        *,
        symbol: str | None,
        provider: str | None,
        state: GapState | None,
        between_us: tuple[int | None, int | None],
        before: GapPlace | None = None,
        limit: int,
    ) -> list[FeedGap]:
        """The newest `limit` gaps that touch the range and stand before a place, by their start, oldest first."""
        place_us, place_id = before or (None, "")
        parameters = {
            "place_time": moment(place_us),
            "place_id": place_id,
            "symbol": symbol,
            "provider": provider,
            "state": state,
            **time_range(*between_us),
            "limit": max(limit, 0),
        }
        return [_gap_of(row) for row in reversed(self._session.rows("feed_gaps", parameters))]

    def completeness(self, symbols: Sequence[str], start_us: int, end_us: int) -> list[MinuteRecord]:
        """What is known of every minute in the range, by symbol and time."""
        parameters = {"symbols": sorted(set(symbols)), **time_range(start_us, end_us)}
        return [
            MinuteRecord(
                symbol=row[0],
                minute_us=row[1],
                ticks=row[2],
                missing=row[3],
                uncovered_seconds=row[4],
                gap_ids=tuple(row[5]),
            )
            for row in self._session.rows("completeness", parameters)
        ]

    def ping(self) -> None:
        """Returns when PostgreSQL answers and its tables are there."""
        self._session.ping()

    def close(self) -> None:
        """Disconnects."""
        self._session.close()


def _state_of(row: tuple[Any, ...]) -> FeedState:
    return FeedState(
        provider=row[0],
        role=row[1],
        kind=row[2],
        detail=row[3],
        fault=row[4] and Fault(row[4]),
        attempt=row[5],
        lag_ms=row[6],
        time_us=row[7],
        event_time_us=row[8],
        gaps=GapCounts(open=row[9], closed=row[10], unfillable=row[11]),
    )


def _event_of(row: tuple[Any, ...]) -> FeedEvent:
    return FeedEvent(
        kind=row[0],
        provider=row[1],
        detail=row[2],
        time_us=row[3],
        attempt=row[4],
        role=row[5],
        fault=row[6] and Fault(row[6]),
        lag_ms=row[7],
        gap=row[8] and _GAP.validate_python(row[8]),
    )


def _gap_of(row: tuple[Any, ...]) -> FeedGap:
    return FeedGap(
        gap_id=row[0],
        provider=row[1],
        symbol=row[2],
        start_us=row[3],
        end_us=row[4],
        first_id=row[5],
        last_id=row[6],
        missing=row[7],
        filled=row[8],
        state=row[9],
        detail=row[10],
        opened_us=row[11],
        updated_us=row[12],
    )

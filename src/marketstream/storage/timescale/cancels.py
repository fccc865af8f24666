"""Cancels as rows, and the mark on the trade that each takes back. Writes: `trade_cancels`, `tick_data` (tables)."""

from collections.abc import Iterable
from typing import Any

from psycopg2.extensions import cursor as Cursor  # noqa: N812  # a class under a lower-case name

from marketstream.domain.market import Cancel
from marketstream.storage.timescale.queries import QUERIES

_FIELDS = ("symbol", "event_time_us", "provider", "price", "size", "received_time_us", "asset_class")
_FOUND = ("symbol", "event_time", "provider", "trade_id", "price", "size", "received_time", "matched_id")


def store_cancels(cursor: Cursor, cancels: Iterable[Cancel]) -> None:
    """Stores cancels, each once."""
    for cancel in cancels:
        cursor.execute(QUERIES["insert_cancel"], _parameters(cancel))


def match_cancels(cursor: Cursor) -> None:
    """Marks the trades that cancels mean, whichever of the two came first; nothing where all have been found."""
    again = True
    while again:
        again = False
        for names in _found(cursor, "found_cancels"):
            cursor.execute(QUERIES["mark_cancelled"], names)
            if cursor.rowcount:
                cursor.execute(QUERIES["match_cancel"], names)
            else:  # another cancel has just taken that trade, and this one may mean the next
                again = True


def mark_restored(cursor: Cursor) -> None:
    """Marks those of the incoming trades that a cancel has found before, when they were there already."""
    for names in _found(cursor, "restored_cancels"):
        cursor.execute(QUERIES["mark_cancelled"], names)


def _found(cursor: Cursor, query: str) -> list[dict[str, Any]]:
    cursor.execute(QUERIES[query])
    return [dict(zip(_FOUND, row, strict=True)) for row in cursor.fetchall()]


def _parameters(cancel: Cancel) -> dict[str, Any]:
    return {**{name: getattr(cancel, name) for name in _FIELDS}, "trade_id": cancel.trade_id or ""}

"""Which of a day's trades were taken back, by the cancels of the lake and of the table.

Reads: the lake's `cancels`, the table `trade_cancels`; the day's trades, to see which one a cancel without an id means.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812  # Spark's own convention

from marketstream.domain.interval import Interval
from marketstream.domain.market import Cancel
from marketstream.lake.datasets import CANCEL_ROWS
from marketstream.lake.store import LakeStore
from marketstream.streaming.rebuild import BarKey
from marketstream.streaming.rebuild_ticks import day_files

TradeKey = tuple[str, int, str, str]  # (symbol, event_time_us, provider, trade_id)
CancelKey = tuple[str, int, str, str, float, float]  # that of the trade, its id empty if not told; price, size
_TRADE = ("symbol", "event_time_us", "provider", "trade_id")
_REPEATED = ("symbol", "event_time_us", "provider", "price", "size")
_TYPES = {"event_time_us": "bigint", "price": "double", "size": "double"}


def lake_cancels(lake: LakeStore, symbols: Sequence[str], day: date) -> Iterator[Cancel]:
    """The lake's cancels of a day; of every symbol where none is named.

    Raises:
        StoreError: The lake can't be read.
    """
    for file in day_files(lake, CANCEL_ROWS, symbols, day):
        for row in lake.read(CANCEL_ROWS, file).to_pylist():
            yield Cancel(**row)


def bring_together(table: Iterable[tuple[Cancel, str | None]], lake: Iterable[Cancel]) -> dict[CancelKey, str | None]:
    """Each cancel once, with the id of the trade that it means; None where nothing tells it yet."""
    meant = {_key(cancel): cancel.trade_id for cancel in lake}
    for cancel, matched_id in table:
        meant[_key(cancel)] = matched_id or cancel.trade_id
    return meant


def taken_back(ticks: DataFrame, cancels: Mapping[CancelKey, str | None]) -> list[TradeKey]:
    """The trades among `ticks` that were taken back.

    A cancel that doesn't tell its trade means the first one equal in what it repeats that is not taken back already.

    Args:
        ticks: In the lake's columns.
        cancels: See `bring_together`.
    """
    named = {(*key[:3], trade_id) for key, trade_id in cancels.items() if trade_id}
    unnamed = [(*key[:3], *key[4:]) for key, trade_id in cancels.items() if not trade_id]
    found = _matching(ticks, named) if named else []
    if unnamed:
        equal = _among(ticks, unnamed, _REPEATED).select(*_REPEATED, "sequence", "trade_id").collect()
        candidates: dict[tuple[object, ...], list[TradeKey]] = {}
        for row in sorted(equal, key=lambda row: (row.sequence, row.trade_id)):
            trade = (row.symbol, row.event_time_us, row.provider, row.trade_id)
            candidates.setdefault((*trade[:3], row.price, row.size), []).append(trade)
        known = {*found}
        found += [first for trades in candidates.values() if (first := _first(trades, known)) is not None]
    return found


def without(ticks: DataFrame, trades: Iterable[TradeKey]) -> DataFrame:
    """The ticks but for these."""
    rows = list(trades)
    return ticks.join(F.broadcast(_frame(ticks, rows, _TRADE)), [*_TRADE], "left_anti") if rows else ticks


def counts_by_bar(trades: Iterable[TradeKey], intervals: Sequence[Interval]) -> Counter[BarKey]:
    """How many of the trades each bar would hold."""
    return Counter(
        (symbol, interval.name, interval.start_of(time_us))
        for symbol, time_us, _, _ in trades
        for interval in intervals
    )


def _key(cancel: Cancel) -> CancelKey:
    trade_id = cancel.trade_id or ""
    return (cancel.symbol, cancel.event_time_us, cancel.provider, trade_id, cancel.price, cancel.size)


def _matching(ticks: DataFrame, trades: Iterable[TradeKey]) -> list[TradeKey]:
    rows = _among(ticks, trades, _TRADE).select(*_TRADE).collect()
    return [(row.symbol, row.event_time_us, row.provider, row.trade_id) for row in rows]


def _first(trades: Sequence[TradeKey], known: set[TradeKey]) -> TradeKey | None:
    return next((trade for trade in trades if trade not in known), None)


def _among(ticks: DataFrame, rows: Iterable[tuple[object, ...]], columns: Sequence[str]) -> DataFrame:
    return ticks.join(F.broadcast(_frame(ticks, rows, columns)), [*columns], "left_semi")


def _frame(ticks: DataFrame, rows: Iterable[tuple[object, ...]], columns: Sequence[str]) -> DataFrame:
    schema = ", ".join(f"{name} {_TYPES.get(name, 'string')}" for name in columns)
    return ticks.sparkSession.createDataFrame(list(rows), schema)

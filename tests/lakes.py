"""What the lake's tests share."""

from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any

import pyarrow as pa

from marketstream.domain.market import Cancel, Tick
from marketstream.lake.datasets import CANCEL_ROWS, TICK_ROWS
from marketstream.lake.places import Partition, date_of
from marketstream.lake.store import LakeStore
from marketstream.lake.writing import Written, write_rows

DAY_US = 1_700_006_400_000_000  # 2023-11-15T00:00:00Z
MINUTE_US = 60_000_000


def lake_tick(number: int, *, symbol: str = "A", at_us: int | None = None) -> Tick:
    return Tick(
        symbol=symbol,
        price=100.0 + number % 7 / 4,
        size=1.0 + number % 3,
        event_time_us=DAY_US + number * MINUTE_US if at_us is None else at_us,
        received_time_us=DAY_US + number,
        provider="polygon",
        trade_id=f"{number}",
        sequence=number,
        conditions=("@", "T") if number % 2 else (),
    )


def rows_of(values: Iterable[Any]) -> list[dict[str, Any]]:
    """As JSON and Parquet have them: lists for tuples."""
    rows = [{each.name: getattr(value, each.name) for each in fields(value)} for value in values]
    return [{name: list(v) if isinstance(v, tuple) else v for name, v in row.items()} for row in rows]


def archive_ticks(store: LakeStore, ticks: Sequence[Tick], *, width: int = 60) -> list[Written]:
    """Ticks into the lake, without Spark."""
    partitions: dict[Partition, list[Tick]] = {}
    for tick in ticks:
        partitions.setdefault(Partition("ticks", "", date_of(tick.event_time_us), tick.symbol), []).append(tick)
    return [
        write_rows(store, TICK_ROWS, partition, pa.Table.from_pylist(rows_of(inside), TICK_ROWS.schema), width)
        for partition, inside in partitions.items()
    ]


def archive_cancels(store: LakeStore, *cancels: Cancel) -> None:
    """Cancels into the lake, without Spark."""
    for cancel in cancels:
        partition = Partition("cancels", "", date_of(cancel.event_time_us), cancel.symbol)
        write_rows(store, CANCEL_ROWS, partition, pa.Table.from_pylist(rows_of([cancel]), CANCEL_ROWS.schema), 60)

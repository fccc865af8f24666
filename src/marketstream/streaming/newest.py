"""Leaves out versions of open bars that another message replaces, before anything costly is done with them.

An open bar has one version for each of its trades, and a query that comes by twice a second needs the newest. Sorting
and grouping a row for Python costs Spark ten times what finding out here that it isn't needed does.
"""

from collections.abc import Iterator, Sequence

import pyarrow as pa
from pyspark.sql import DataFrame

from marketstream.contracts.messages import decode_bar
from marketstream.domain.market import Bar


def without_replaced(messages: DataFrame) -> DataFrame:
    """Leaves out what is replaced.

    Args:
        messages: Columns `series` (symbol and interval) and `value` (a bar's message).

    Returns:
        The same columns: of each open bar at least the newest version, every final, and what is no bar, in order.
    """
    return messages.mapInArrow(_of_each, "series string, value binary")


def newest_rows(series: Sequence[str], values: Sequence[bytes]) -> list[int]:
    """Which rows no other one replaces, in order.

    Args:
        series: Each row's symbol and interval.
        values: Each row's message.
    """
    kept: list[int] = []
    newest: dict[tuple[str, str, str, int], tuple[Bar, int]] = {}
    for row, (name, value) in enumerate(zip(series, values, strict=True)):
        try:
            bar = decode_bar(value)
        except ValueError:
            kept.append(row)  # for others to count
            continue
        if bar.final:
            kept.append(row)
            continue
        which = (name, bar.symbol, bar.interval, bar.start_us)
        known = newest.get(which)
        if known is None or bar.version > known[0].version:
            newest[which] = (bar, row)
    return sorted([*kept, *(row for _, row in newest.values())])


def _of_each(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        rows = newest_rows(batch.column("series").to_pylist(), batch.column("value").to_pylist())
        yield batch.take(pa.array(rows, pa.int64()))

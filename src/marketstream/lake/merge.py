"""Puts new rows among those of a file, so that any of them again changes nothing.

A tick or a cancel that is there already stays as it is; of a bar the newest version stays, by `Bar.version`.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import polars as pl
import pyarrow as pa

from marketstream.domain.market import Bar
from marketstream.lake.datasets import BAR_ROWS, Dataset

_BARS_AT_ONCE = 10_000


class Merged(NamedTuple):
    """A file's rows after a merge, sorted, and how many of them are new or newer."""

    table: pa.Table
    changed: int


def merge(dataset: Dataset, existing: pa.Table | None, incoming: pa.Table) -> Merged:
    """Merges rows of one partition.

    Args:
        dataset: Whose rows they are.
        existing: The file's, in the dataset's columns; None for a new file.
        incoming: What is to be there afterwards, in the dataset's columns, in any order and more than once.
    """
    old = _frame(dataset.schema.empty_table() if existing is None else existing)
    if dataset.message is Bar:
        new = _frame(bars_table(newest_bars(old, incoming)))
        kept = old.join(new.select(dataset.key), on=dataset.key, how="anti")
    else:
        key = list(dataset.key)
        fresh = _frame(incoming).unique(subset=key, keep="first", maintain_order=True)
        new, kept = fresh.join(old.select(key), on=key, how="anti", nulls_equal=True), old
    rows = pl.concat([kept, new]).sort(dataset.order, nulls_last=False)
    return Merged(rows.to_arrow().cast(dataset.schema), len(new))


def newest_bars(old: pl.DataFrame, incoming: pa.Table) -> list[Bar]:
    """Bars that are new, or newer than the ones there, each in its newest version."""
    newest: dict[tuple[str, str, int], Bar] = {}
    for bar in bars_of(incoming):
        key = (bar.symbol, bar.interval, bar.start_us)
        known = newest.get(key)
        if known is None or bar.version > known.version:
            newest[key] = bar
    touched = old.filter(pl.col("start_us").is_in({start_us for _, _, start_us in newest}))
    for bar in bars_of(touched.to_arrow()):
        key = (bar.symbol, bar.interval, bar.start_us)
        if key in newest and newest[key].version <= bar.version:
            del newest[key]
    return list(newest.values())


def bars_of(table: pa.Table) -> Iterator[Bar]:
    """The bars of a table's rows; rows that are no bar are left out."""
    for batch in table.to_batches(_BARS_AT_ONCE):
        for row in batch.to_pylist():
            try:
                yield Bar(**row)
            except ValueError:  # the writers set its message aside, and say what is wrong with it
                continue


def bars_table(bars: Iterable[Bar]) -> pa.Table:
    """Bars as rows of the lake."""
    names = BAR_ROWS.schema.names
    rows: list[dict[str, Any]] = [{name: getattr(bar, name) for name in names} for bar in bars]
    return pa.Table.from_pylist(rows, BAR_ROWS.schema)


def _frame(table: pa.Table) -> pl.DataFrame:
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)  # noqa: S101  # of a table it is never a series
    return frame

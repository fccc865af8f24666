"""Puts rows into the lake, each once, whatever is repeated.

Writes: the files of a partition. Doing it again changes nothing, so neither a crash nor a replay can double a row.
"""

from typing import NamedTuple

import polars as pl
import pyarrow as pa

from marketstream.lake.datasets import DAY_MINUTES, Dataset, span_minutes
from marketstream.lake.merge import merge
from marketstream.lake.places import MINUTE_US, Partition, Span, span_for
from marketstream.lake.store import LakeFile, LakeStore, conform
from marketstream.lake.swap import recover


class Written(NamedTuple):
    """What became of some rows.

    Attributes:
        rows: How many were given; none of those whose symbol can name no folder, which are left out.
        changed: How many of them are new in the lake, or newer than what it had.
        files: How many files were written.
    """

    rows: int
    changed: int
    files: int


def write_rows(store: LakeStore, dataset: Dataset, partition: Partition, rows: pa.Table, width: int) -> Written:
    """Merges rows into their partition.

    Args:
        store: The lake.
        dataset: Whose rows they are.
        partition: Where all of them belong.
        rows: In any order; columns that it lacks get their defaults.
        width: Minutes of the day that a new file covers.

    Raises:
        StoreError: The lake can't be read or written.
    """
    if not partition.nameable:
        return Written(0, 0, 0)
    rows = conform(dataset, rows)
    changed = written = 0
    with store.locked(partition):
        recover(store, partition)
        files = {file.span: file for file in store.files(partition)}
        minutes = (pl.Series(rows.column(dataset.time)) // MINUTE_US % DAY_MINUTES).alias("minute")
        spans = _spans(minutes, list(files), span_minutes(partition.interval or None, width))
        for span in spans:
            inside = rows.filter(((minutes >= span.start) & (minutes < span.end)).to_arrow())
            count = _merge_into(store, dataset, LakeFile(partition, span, 0), inside, exists=span in files)
            changed += count
            written += bool(count)
    return Written(rows.num_rows, changed, written)


def _spans(minutes: pl.Series, existing: list[Span], width: int) -> list[Span]:
    """The spans of all the files where rows of these minutes belong."""
    found: list[Span] = []
    for minute in minutes.unique().sort():
        if not (found and found[-1].holds(minute)):
            found.append(span_for(minute, sorted(existing), width))
    return found


def _merge_into(store: LakeStore, dataset: Dataset, file: LakeFile, rows: pa.Table, *, exists: bool) -> int:
    merged = merge(dataset, store.read(dataset, file) if exists else None, rows)
    if merged.changed:
        store.write(file.path, dataset.schema, [merged.table])
    return merged.changed

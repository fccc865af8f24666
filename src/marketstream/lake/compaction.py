"""Merges the files of past dates: one for each date and symbol, or a few where there are very many rows.

A partition's files cover spans of the day that follow each other, and each is sorted. So the merged file is one after
the other, read and written a part at a time.
"""

from collections.abc import Iterator, Sequence
from datetime import date

import pyarrow as pa

from marketstream.lake.datasets import DATASETS, Dataset
from marketstream.lake.places import Partition, Span
from marketstream.lake.store import LakeFile, LakeStore
from marketstream.lake.swap import recover, staged, swap


def compact(store: LakeStore, first: date, last: date, rows_max: int) -> int:
    """Compacts every partition of these dates.

    Args:
        store: The lake.
        first: The first date.
        last: The last date, inclusive; it should be past.
        rows_max: Files are merged as long as the new one has no more rows.

    Returns:
        How many files there are fewer.

    Raises:
        StoreError: The lake can't be read or written.
    """
    fewer = 0
    for dataset in DATASETS.values():
        for partition in store.partitions(dataset, (first.isoformat(), last.isoformat())):
            fewer += compact_partition(store, dataset, partition, rows_max)
    return fewer


def compact_partition(store: LakeStore, dataset: Dataset, partition: Partition, rows_max: int) -> int:
    """Compacts one partition and returns how many files it has fewer."""
    with store.locked(partition):
        recover(store, partition)
        files = store.files(partition)
        groups = plan(files, [store.rows(file) for file in files] if len(files) > 1 else [], rows_max)
        if not groups:
            return 0
        made = [Span(group[0].span.start, group[-1].span.end).file_name for group in groups]
        for group, name in zip(groups, made, strict=True):
            store.write(staged(partition, name), dataset.schema, _rows_of(store, dataset, group))
        merged = [file.span.file_name for group in groups for file in group]
        kept = [file.span.file_name for file in files if file.span.file_name not in merged]
        swap(store, partition, merged, kept)
    return len(merged) - len(made)


def plan(files: Sequence[LakeFile], rows: Sequence[int], rows_max: int) -> list[list[LakeFile]]:
    """Which neighbours become one file; files that stay as they are appear in none."""
    groups: list[list[LakeFile]] = []
    total = 0
    for file, count in zip(files, rows, strict=False):
        if not groups or total + count > rows_max:
            groups.append([])
            total = 0
        groups[-1].append(file)
        total += count
    return [group for group in groups if len(group) > 1]


def _rows_of(store: LakeStore, dataset: Dataset, group: Sequence[LakeFile]) -> Iterator[pa.Table]:
    for file in group:
        yield from store.row_groups(dataset, file)

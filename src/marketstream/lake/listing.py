"""How much the lake holds, by dataset and date."""

from collections.abc import Iterator
from datetime import date
from itertools import groupby
from typing import NamedTuple

from marketstream.lake.datasets import DATASETS
from marketstream.lake.store import LakeStore


class Day(NamedTuple):
    """One date of a dataset.

    Attributes:
        dataset: The dataset; of bars, with their interval.
        day: The date.
        symbols: How many symbols have rows.
        rows: How many rows there are.
        files: In how many files.
        bytes: Their size.
    """

    dataset: str
    day: date
    symbols: int
    rows: int
    files: int
    bytes: int


def days(store: LakeStore, first: date, last: date) -> Iterator[Day]:
    """The lake's dates from the first to the last, dataset by dataset.

    Raises:
        StoreError: The lake can't be read.
    """
    for dataset in DATASETS.values():
        partitions = store.partitions(dataset, (first.isoformat(), last.isoformat()))
        for (interval, day), group in groupby(partitions, lambda each: (each.interval, each.day)):
            by_symbol = [store.files(partition) for partition in group]
            files = [file for own in by_symbol for file in own]
            if files:
                yield Day(
                    dataset=f"{dataset.name} {interval}".strip(),
                    day=day,
                    symbols=sum(map(bool, by_symbol)),
                    rows=sum(map(store.rows, files)),
                    files=len(files),
                    bytes=sum(file.bytes for file in files),
                )

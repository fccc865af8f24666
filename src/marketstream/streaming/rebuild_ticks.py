"""The trades of a day as Parquet files that Spark reads, and those of the lake that the table lacks.

Reads: the data lake, or the table `tick_data`.
Writes: a temporary folder; where told to, the tables `tick_data` and `trade_cancels`.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import fs

from marketstream.contracts.messages import encode
from marketstream.contracts.topics import CANCELS, TICKS
from marketstream.domain.market import Cancel, Tick
from marketstream.lake.datasets import TICK_ROWS, Dataset
from marketstream.lake.places import DAY_US, Partition, day_start_us
from marketstream.lake.store import LakeFile, LakeStore, failures
from marketstream.ports import KnownTrades, Message, RestoringWriter, TickHistory

_TICKS_AT_ONCE = 5_000


@contextmanager
def lake_day(lake: LakeStore, symbols: Sequence[str], day: date) -> Iterator[list[str]]:
    """Paths of files with a day's trades; the lake's own where it is local, else copies.

    Raises:
        StoreError: The lake can't be read.
    """
    files = list(day_files(lake, TICK_ROWS, symbols, day))
    if lake.local:
        yield [lake.path(file.path) for file in files]
        return
    with TemporaryDirectory(prefix="marketstream-rebuild-") as folder:
        copies = [f"{folder}/{number}.parquet" for number in range(len(files))]
        for file, copy in zip(files, copies, strict=True):
            with failures():
                fs.copy_files(lake.path(file.path), copy, lake.filesystem, fs.LocalFileSystem())
        yield copies


@contextmanager
def table_day(history: TickHistory, symbols: Sequence[str], day: date) -> Iterator[list[str]]:
    """The path of a file with a day's trades, copied from the table a part at a time; none where there is no trade.

    Raises:
        StoreUnavailableError: The store is away.
    """
    start_us = day_start_us(day)
    with TemporaryDirectory(prefix="marketstream-rebuild-") as folder:
        path, rows = Path(folder) / "ticks.parquet", 0
        with pq.ParquetWriter(path, TICK_ROWS.schema) as writer:
            for ticks in history.between(symbols, start_us, start_us + DAY_US):
                writer.write_table(pa.Table.from_pylist([_row(tick) for tick in ticks], TICK_ROWS.schema))
                rows += len(ticks)
        yield [str(path)] if rows else []


class LakeReach:
    """Tells how far the lake has each symbol's trades; looks when it is first asked.

    Args:
        lake: The lake.
        since: The first day that matters.
    """

    def __init__(self, lake: LakeStore, since: date) -> None:
        self._lake, self._since = lake, since
        self._newest_days: dict[str, Partition] | None = None
        self._newest_us: dict[str, int] = {}

    def newest_us(self, symbol: str) -> int:
        """Event time of the symbol's newest trade, in µs; 0 where there is none since the first day.

        Raises:
            StoreError: The lake can't be read.
        """
        if symbol not in self._newest_us:
            self._newest_us[symbol] = self._look(symbol)
        return self._newest_us[symbol]

    def _look(self, symbol: str) -> int:
        if self._newest_days is None:  # dates rise
            found = self._lake.partitions(TICK_ROWS, (self._since.isoformat(), "9"))
            self._newest_days = {each.symbol: each for each in found}
        partition = self._newest_days.get(symbol)
        files = self._lake.files(partition) if partition else []
        tables = self._lake.row_groups(TICK_ROWS, files[-1]) if files else iter(())
        return max((int(pc.max(table.column("event_time_us")).as_py()) for table in tables), default=0)


@dataclass(frozen=True, slots=True)
class TickRestorer:
    """Finds, and puts back, trades that the lake has and the table lacks.

    Attributes:
        lake: The one.
        known: Tells what the other has.
        writer: Stores ticks there, and their cancels. Not by way of the topic: bars would count them again.
    """

    lake: LakeStore
    known: KnownTrades
    writer: RestoringWriter

    def missing(self, symbols: Sequence[str], day: date) -> Iterator[list[Tick]]:
        """Trades of the day that the table lacks, a part at a time.

        Raises:
            StoreError: One of the stores can't be read.
        """
        for file in day_files(self.lake, TICK_ROWS, symbols, day):
            for table in self.lake.row_groups(TICK_ROWS, file):
                for batch in table.to_batches(_TICKS_AT_ONCE):
                    missing = self._missing([_tick(row) for row in batch.to_pylist()])
                    if missing:
                        yield missing

    def restore(self, ticks: Sequence[Tick], cancels: Iterable[Cancel]) -> None:
        """Stores ticks, marked where a cancel takes them back; those that are there already stay as they are.

        Args:
            ticks: To be put back.
            cancels: Those of them that may mean one of the ticks are stored too.

        Raises:
            StoreError: The store is away, or refuses one.
        """
        moments = {(tick.symbol, tick.event_time_us, tick.provider) for tick in ticks}
        meant = (each for each in cancels if (each.symbol, each.event_time_us, each.provider) in moments)
        self.writer.setup()
        self.writer.restore(
            [Message(TICKS, 0, 0, tick.symbol, encode(tick), 0) for tick in ticks]
            + [Message(CANCELS, 0, 0, cancel.symbol, encode(cancel), 0) for cancel in meant]
        )

    def _missing(self, ticks: Sequence[Tick]) -> list[Tick]:
        found: list[Tick] = []
        for provider, group in groupby(sorted(ticks, key=lambda tick: tick.provider), lambda tick: tick.provider):
            own = list(group)
            times = [tick.event_time_us for tick in own]
            ids = [tick.trade_id for tick in own]
            known = self.known.known(own[0].symbol, provider, ids, min(times), max(times) + 1)
            found += [tick for tick in own if tick.trade_id not in known]
        return found


def day_files(lake: LakeStore, dataset: Dataset, symbols: Sequence[str], day: date) -> Iterator[LakeFile]:
    """The files of a day of a dataset without intervals; of every symbol where none is named.

    Raises:
        StoreError: The lake can't be read.
    """
    if symbols:
        partitions = iter([Partition(dataset.name, "", day, symbol) for symbol in symbols])
    else:
        partitions = lake.partitions(dataset, (day.isoformat(), day.isoformat()))
    for partition in partitions:
        yield from lake.files(partition)


def _row(tick: Tick) -> dict[str, Any]:
    row = {name: getattr(tick, name) for name in TICK_ROWS.schema.names}
    return row | {"conditions": list(tick.conditions)}


def _tick(row: dict[str, Any]) -> Tick:
    return Tick(**(row | {"conditions": tuple(row["conditions"])}))

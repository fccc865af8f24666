"""Recomputes bars of any range in batch, by the stream's own transform, and compares and repairs the stores.

Reads: the data lake or the table `tick_data`; the tables `trade_cancels` and `aggregated_data`, the lake's bars.
Writes, where told to repair: topics `aggregated_data_*` (final bars that outrank the stored ones, which every store's
writer applies), the lake's bars, and the tables `tick_data` and `trade_cancels` (trades that the lake has and the table
lacks, and their cancels).

It goes a day at a time, and of a day a symbol at a time, so that memory stays bounded.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import groupby

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812  # Spark's own convention
from pyspark.sql.pandas.types import from_arrow_schema

from marketstream.contracts.messages import encode
from marketstream.contracts.topics import BARS_PREFIX
from marketstream.domain.conditions import RULES
from marketstream.domain.errors import BusBackpressureError, BusError
from marketstream.domain.interval import Interval
from marketstream.domain.market import Bar
from marketstream.lake.datasets import BAR_ROWS, TICK_ROWS
from marketstream.lake.merge import bars_of, bars_table
from marketstream.lake.places import DAY_US, Partition, date_of, day_start_us
from marketstream.lake.store import LakeStore
from marketstream.lake.writing import write_rows
from marketstream.ports import HistoryReader, KnownTrades, Publisher, RestoringWriter, TickHistory
from marketstream.settings import Settings
from marketstream.streaming.archive_job import archive_checkpoints
from marketstream.streaming.bars import make_bars
from marketstream.streaming.rebuild import (
    LAKE,
    TABLE,
    BarKey,
    Difference,
    RebuildRequest,
    Report,
    compare,
    lagging_in_lake,
    repairs,
)
from marketstream.streaming.rebuild_cancels import (
    CancelKey,
    bring_together,
    counts_by_bar,
    lake_cancels,
    taken_back,
    without,
)
from marketstream.streaming.rebuild_ticks import LakeReach, TickRestorer, lake_day, table_day
from marketstream.streaming.resources import rebuild_resources
from marketstream.streaming.session import open_session

_FLUSH_SECONDS = 60.0
_RETRY_SECONDS = 1.0
_OPEN_SECONDS = 120.0  # bars that the stream may still be working on are left alone


@dataclass(frozen=True, slots=True)
class RebuildStores:
    """What a rebuild reads and repairs.

    Attributes:
        bars: The table's bars.
        history: The table's ticks, and which of them were taken back.
        known: Which ticks the table has.
        writer: Stores ticks, and their cancels, in the tables.
        publisher: Takes repaired bars.
    """

    bars: HistoryReader
    history: TickHistory
    known: KnownTrades
    writer: RestoringWriter
    publisher: Publisher


class Rebuild:
    """One run.

    Args:
        request: What to look at.
        settings: Where the lake is, and how long ticks stay in the table.
        stores: What is read and repaired.
        spark: The session.
    """

    def __init__(self, request: RebuildRequest, settings: Settings, stores: RebuildStores, spark: SparkSession) -> None:
        self._request, self._settings, self._stores, self._spark = request, settings, stores, spark
        self._lake = LakeStore.at(settings.lake_url)
        self._restorer = TickRestorer(self._lake, stores.known, stores.writer)
        now = datetime.now(UTC)
        waited = settings.ingest.allowed_lateness_seconds + settings.streaming.idle_grace_seconds + _OPEN_SECONDS
        self._waited_us = round(waited * 1_000_000)
        self._closed_us = round(now.timestamp() * 1_000_000) - self._waited_us
        self._lake_reach = LakeReach(self._lake, date_of(request.start_us))
        self._ticks_since = now.date() - timedelta(days=settings.writers.tick_retention_days - 1)
        self.report = Report()

    def run(self) -> Report:
        """Goes through the range.

        Raises:
            StoreError: A store can't be read or written.
            BusError: Kafka doesn't take the repaired bars.
        """
        day, last = date_of(self._request.start_us), date_of(min(self._request.end_us, self._closed_us) - 1)
        if self._request.source == "table" and day < self._ticks_since:  # whatever was there before is gone on purpose
            self.report.days_skipped = max(0, (min(self._ticks_since, last + timedelta(days=1)) - day).days)
            day = self._ticks_since
        while day <= last:
            self._bars_of_day(day)
            # Before that the table has dropped them on purpose.
            if self._request.source == "lake" and day >= self._ticks_since:
                self._ticks_of_day(day)
            day += timedelta(days=1)
        return self.report

    def _bars_of_day(self, day: date) -> None:
        unseen = {*(self._request.symbols or self._stores.bars.symbols())}
        with self._day_files(day) as files:
            # A day of which there is nothing at all is one that the source has lost, or another source's.
            droppable = bool(files) and self._request.drop_trades
            for symbol, bars in self._recomputed(day, files):
                unseen.discard(symbol)
                self._symbol(day, symbol, bars, droppable=droppable)
        for symbol in sorted(unseen):
            self._symbol(day, symbol, [], droppable=droppable)

    def _day_files(self, day: date) -> AbstractContextManager[list[str]]:
        symbols = self._request.symbols
        if self._request.source == "lake":
            return lake_day(self._lake, symbols, day)
        return table_day(self._stores.history, symbols, day)

    def _recomputed(self, day: date, files: Sequence[str]) -> Iterator[tuple[str, list[Bar]]]:
        """A symbol's bars after the other's."""
        if not files:
            return
        ticks = self._spark.read.schema(from_arrow_schema(TICK_ROWS.schema)).parquet(*files)
        taken = taken_back(ticks, self._cancels(day))
        cancelled = counts_by_bar(taken, self._request.intervals)
        rules = RULES[self._settings.streaming.trade_conditions]
        made = make_bars(without(ticks, taken), self._request.intervals, rules)
        rows = self._wanted(made).orderBy("symbol").toLocalIterator()
        # The trades taken out count: a version of the bar that still has them must not outrank it.
        bars = (Bar(**row.asDict(), cancelled=cancelled[row.symbol, row.interval, row.start_us]) for row in rows)
        for symbol, group in groupby(bars, lambda bar: bar.symbol):
            yield symbol, list(group)

    def _cancels(self, day: date) -> dict[CancelKey, str | None]:
        """The table's cancels of the day, and those of a lake that is the source: the table may have been lost."""
        symbols, start_us = self._request.symbols, day_start_us(day)
        in_lake = lake_cancels(self._lake, symbols, day) if self._request.source == "lake" else ()
        return bring_together(self._stores.history.cancels(symbols, start_us, start_us + DAY_US), in_lake)

    def _wanted(self, bars: DataFrame) -> DataFrame:
        within = (F.col("end_us") > self._request.start_us) & (F.col("start_us") < self._request.end_us)
        return bars.where(within & (F.col("end_us") <= self._closed_us))

    def _symbol(self, day: date, symbol: str, bars: Sequence[Bar], *, droppable: bool) -> None:
        """Compares, and repairs, one symbol's bars of a day."""
        self.report.bars += len(bars)
        for interval in self._request.intervals:
            recomputed = {bar.start_us: bar for bar in bars if bar.interval == interval.name}
            in_table = self._in_table(day, symbol, interval)
            differences = compare(TABLE, recomputed, in_table)
            if self._request.source == "lake":
                stored = self._in_lake(Partition(BAR_ROWS.name, interval.name, day, symbol))
                differences += compare(LAKE, recomputed, stored)
            self.report.add(differences)
            repaired = self._repairs(symbol, differences, droppable=droppable) if self._request.repair else {}
            lagging = lagging_in_lake(differences, in_table)
            self._publish([bar for key, bar in repaired.items() if key not in lagging])
            if self._request.source == "lake":
                self._write_lake(day, [lagging.get(key, bar) for key, bar in repaired.items()])
            self.report.repaired += len(repaired)
            self.report.left += len({each.key for each in differences} - repaired.keys())

    def _repairs(self, symbol: str, differences: Sequence[Difference], *, droppable: bool) -> dict[BarKey, Bar]:
        if not droppable or not any(each.doubted for each in differences):
            return repairs(differences)
        return repairs(differences, drop_until_us=self._reach_us(symbol) - self._waited_us)

    def _reach_us(self, symbol: str) -> int:
        """The symbol's newest trade in the source, whose archive or writer may be far behind; 0 where it has none."""
        if self._request.source == "lake":
            return self._lake_reach.newest_us(symbol)
        newest = self._stores.bars.latest(symbol)
        return newest.event_time_us if newest else 0

    def _write_lake(self, day: date, bars: Sequence[Bar]) -> None:
        if bars:
            partition = Partition(BAR_ROWS.name, bars[0].interval, day, bars[0].symbol)
            write_rows(self._lake, BAR_ROWS, partition, bars_table(bars), self._settings.archive.file_minutes)

    def _in_table(self, day: date, symbol: str, interval: Interval) -> dict[int, Bar]:
        start_us = day_start_us(day)
        bars = self._stores.bars.stored_bars(symbol, interval, start_us=start_us, end_us=start_us + DAY_US)
        return {bar.start_us: bar for bar in bars if self._is_wanted(bar)}

    def _in_lake(self, partition: Partition) -> dict[int, Bar]:
        tables = (self._lake.read(BAR_ROWS, file) for file in self._lake.files(partition))
        return {bar.start_us: bar for table in tables for bar in bars_of(table) if self._is_wanted(bar)}

    def _is_wanted(self, bar: Bar) -> bool:
        within = bar.end_us > self._request.start_us and bar.start_us < self._request.end_us
        return within and bar.end_us <= self._closed_us

    def _publish(self, bars: Sequence[Bar]) -> None:
        if not bars:
            return
        publisher = self._stores.publisher
        for bar in bars:
            while True:
                try:
                    publisher.publish(f"{BARS_PREFIX}{bar.interval}", bar.symbol, encode(bar))
                    break
                except BusBackpressureError:
                    publisher.flush(_RETRY_SECONDS)
        if publisher.flush(_FLUSH_SECONDS):
            raise BusError("Kafka did not take the repaired bars; run the rebuild again")

    def _ticks_of_day(self, day: date) -> None:
        symbols = self._request.symbols
        cancels = list(lake_cancels(self._lake, symbols, day)) if self._request.repair else []
        for ticks in self._restorer.missing(symbols, day):
            self.report.ticks_missing += len(ticks)
            if self._request.repair:
                self._restorer.restore(ticks, cancels)
                self.report.ticks_restored += len(ticks)


@contextmanager
def lake_to_itself(settings: Settings, request: RebuildRequest) -> Iterator[None]:
    """Keeps the archive of this data directory from a lake that has no locks, while the block repairs it.

    Raises:
        StreamingError: The archive runs.
        ConfigurationError: The lake's URL is none.
    """
    writes = request.repair and request.source == "lake"
    if not writes or LakeStore.at(settings.lake_url).local:
        yield
        return
    with archive_checkpoints(settings).held(patience_seconds=0):
        yield


def run_rebuild(settings: Settings, request: RebuildRequest, stores: RebuildStores) -> Report:
    """Runs a rebuild in a Spark session of its own.

    Raises:
        MarketstreamError: A store or Kafka is away, a setting is wrong, or the archive writes to a lake without locks.
    """
    with lake_to_itself(settings, request):
        spark = open_session(settings, rebuild_resources(settings), name="marketstream-rebuild")
        try:
            return Rebuild(request, settings, stores, spark).run()
        finally:
            spark.stop()

"""Whole stretches of market data, a page at a time.

Reads: through an injected `ForwardReader` (TimescaleDB / PostgreSQL).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from marketstream.domain.indicators import Indicators
from marketstream.domain.interval import Interval
from marketstream.domain.market import Bar, Tick, TickPlace
from marketstream.ports import ForwardReader
from marketstream.serving.merging import Range
from marketstream.serving.stores import Store

DatasetName = Literal["ticks", "aggregated", "indicators"]

PAGE_ROWS = 10_000
_FIRST_US = -(2**62)  # before anything that is stored


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is exported.

    Attributes:
        dataset: Which rows.
        symbols: Whose; each one's rows come together, in this order.
        interval: Of bars and indicators.
        between: Event times of ticks, starts of bars.
    """

    dataset: DatasetName
    symbols: Sequence[str]
    interval: Interval
    between: Range


class Exports:
    """Reads what is wanted in pages, oldest first. Opens nothing; holds no connection and no snapshot between pages.

    So a client that takes hours costs the database nothing meanwhile. What is stored while it reads is in the export
    where it comes after what has been read.

    Args:
        reader: The database's reader.
        page_rows: Rows at once.
    """

    def __init__(self, reader: ForwardReader, *, page_rows: int = PAGE_ROWS) -> None:
        self._store = Store("database", reader)
        self._page_rows = page_rows

    def pages(self, wanted: Wanted) -> Iterator[Sequence[Any]]:
        """The rows; of ticks, each with whether it was taken back.

        Raises:
            StoreUnavailableError: The database is away.
        """
        for symbol in wanted.symbols:
            yield from self._ticks(symbol, wanted.between) if wanted.dataset == "ticks" else self._bars(symbol, wanted)

    def _ticks(self, symbol: str, between: Range) -> Iterator[Sequence[tuple[Tick, bool]]]:
        start_us, end_us = between
        after: TickPlace | None = (_FIRST_US if start_us is None else start_us, -1, "", "")
        while after is not None:
            page = self._store.read(partial(_tick_page, symbol, after, end_us, self._page_rows))
            if page:
                yield page
            after = page[-1][0].place if len(page) == self._page_rows else None

    def _bars(self, symbol: str, wanted: Wanted) -> Iterator[Sequence[Bar | Indicators]]:
        start_us, end_us = wanted.between
        going_on = True
        while going_on:
            page = self._store.read(partial(_bar_page, symbol, wanted, (start_us, end_us), self._page_rows))
            if page:
                yield page
                start_us = page[-1].start_us + 1
            going_on = len(page) == self._page_rows


def _tick_page(
    symbol: str, after: TickPlace, end_us: int | None, rows: int, reader: ForwardReader
) -> list[tuple[Tick, bool]]:
    page = reader.first_ticks(symbol, after, end_us=end_us, limit=rows)
    if not page:
        return []
    taken_back = reader.cancelled(symbol, start_us=page[0].event_time_us, end_us=page[-1].event_time_us + 1)
    return [(tick, (tick.provider, tick.trade_id) in taken_back) for tick in page]


def _bar_page(
    symbol: str, wanted: Wanted, between: Range, rows: int, reader: ForwardReader
) -> Sequence[Bar | Indicators]:
    read = reader.first_bars if wanted.dataset == "aggregated" else reader.first_indicators
    return read(symbol, wanted.interval, start_us=between[0], end_us=between[1], limit=rows)

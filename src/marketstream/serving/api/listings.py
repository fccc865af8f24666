"""Reads what the list endpoints tell, and where the page after it begins."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from marketstream.domain.interval import Interval
from marketstream.domain.market import Bar, Tick, TickPlace
from marketstream.serving.api.answers import Listing, is_closed
from marketstream.serving.api.paging import Place
from marketstream.serving.api.problems import Problem, unknown_symbol
from marketstream.serving.filling import FilledBar, filled_bars
from marketstream.serving.market_data import Answer, MarketData
from marketstream.serving.merging import Range

if TYPE_CHECKING:
    from marketstream.serving.api.tables import Shape

Fill = Literal["none", "previous"]
Rows = Literal["ticks", "bars", "filled", "indicators"]


class Listings:
    """Asks one `MarketData` for lists.

    Args:
        market_data: What it asks.
        indicator_names: Indicators that have a column each in tables.
    """

    def __init__(self, market_data: MarketData, indicator_names: Sequence[str]) -> None:
        self._market_data = market_data
        self._indicator_names = tuple(indicator_names)

    def check_known(self, symbol: str) -> None:
        """Refuses a symbol that is neither configured nor seen.

        Raises:
            Problem: It is unknown.
        """
        known = self._market_data.symbols()
        if symbol not in known:
            raise unknown_symbol(symbol, known)

    def latest(self, symbol: str) -> Answer[Tick | None]:
        """The newest tick.

        Raises:
            Problem: There is none.
        """
        answer = self._market_data.latest(symbol)
        if answer.data is None:
            self.check_known(symbol)
            raise Problem(404, "no-data", "No data yet", f"{symbol} is known, but no trade of it has been stored.")
        return answer

    def ticks(self, symbol: str, between: Range, place: Place | None, limit: int) -> Listing:
        """A page of ticks that stand before a place."""
        start_us, end_us = between
        before: TickPlace | None = None if place is None else place  # type: ignore[assignment]  # its shape was checked
        answer = self._market_data.ticks(symbol, start_us=start_us, end_us=end_us, before=before, limit=limit)
        if not answer.data:
            self.check_known(symbol)
        taken_back = self._market_data.cancelled(answer.data)
        keys = None if taken_back is None else [_key(tick) for tick in taken_back]
        return Listing(
            answer=answer,
            head={"symbol": symbol},
            name="ticks",
            rows=answer.data,
            place=answer.data[0].place if len(answer.data) >= limit else None,
            closed=self._closed(end_us if before is None else before[0]),
            tail={"cancelled": keys},
        )

    def marked(self, listing: Listing) -> Listing:
        """The same ticks as rows of a table, each with whether it was taken back; None where nobody can tell."""
        keys = listing.tail["cancelled"]
        taken_back = None if keys is None else {(key["provider"], key["trade_id"]) for key in keys}
        rows = [
            (tick, None if taken_back is None else (tick.provider, tick.trade_id) in taken_back)
            for tick in listing.rows
        ]
        return replace(listing, rows=rows)

    def bars(self, symbol: str, interval: Interval, between: Range, limit: int, fill: Fill) -> Listing:
        """A page of bars, or of windows where holes are filled."""
        start_us, end_us = between
        answer: Answer[list[FilledBar]] | Answer[list[Bar]]
        if fill == "previous":
            answer = filled_bars(self._market_data, symbol, interval, between, limit)
        else:
            answer = self._market_data.bars(symbol, interval, start_us=start_us, end_us=end_us, limit=limit)
        starts = [bar.start_us for bar in answer.data]
        final = all(bar.final or (isinstance(bar, FilledBar) and bar.filled) for bar in answer.data)
        listing = self._of_bars((symbol, interval), answer, starts, limit, "bars")
        return replace(listing, closed=final and self._closed(end_us))

    def indicators(self, symbol: str, interval: Interval, between: Range, limit: int) -> Listing:
        """A page of bars' indicators."""
        start_us, end_us = between
        answer = self._market_data.indicators(symbol, interval, start_us=start_us, end_us=end_us, limit=limit)
        starts = [each.start_us for each in answer.data]
        listing = self._of_bars((symbol, interval), answer, starts, limit, "indicators")
        return replace(listing, closed=all(each.final for each in answer.data) and self._closed(end_us))

    def shape(self, rows: Rows) -> "Shape":
        """The columns of tables of such rows."""
        from marketstream.serving.api import tables  # Arrow takes memory, and most answers are JSON

        if rows == "indicators":
            return tables.indicator_shape(self._indicator_names)
        return {"ticks": tables.TICKS, "bars": tables.BARS, "filled": tables.FILLED_BARS}[rows]

    def _of_bars(
        self, head: tuple[str, Interval], answer: Answer[Any], starts: Sequence[int], limit: int, name: str
    ) -> Listing:
        symbol, interval = head
        if not answer.data:
            self.check_known(symbol)
        return Listing(
            answer=answer,
            head={"symbol": symbol, "window": interval.name},
            name=name,
            rows=answer.data,
            place=(starts[0],) if len(starts) >= limit else None,
            closed=False,
        )

    def _closed(self, end_us: int | None) -> bool:
        return is_closed(end_us, self._market_data.now_us())


def _key(tick: Tick) -> dict[str, str]:
    return {"provider": tick.provider, "trade_id": tick.trade_id}

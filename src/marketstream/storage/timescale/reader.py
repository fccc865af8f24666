"""Reads ticks, bars and indicators back from PostgreSQL.

Reads: `tick_data`, `trade_cancels`, `aggregated_data`, `technical_indicators` (tables), `rolled_up_bars` (view).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from marketstream.domain.conditions import CONSOLIDATED, TradeRules
from marketstream.domain.indicators import Indicators
from marketstream.domain.interval import Interval
from marketstream.domain.market import Bar, Tick, TickPlace
from marketstream.settings import PostgresSettings
from marketstream.storage.timescale.rows import bar_of, indicators_of, tick_of
from marketstream.storage.timescale.session import ReaderSession, moment, time_range

_Item = TypeVar("_Item", Tick, Bar, Indicators)

_ROLLED_UP = ("1h", "1d")  # intervals of `rolled_up_bars`


class TimescaleReader:
    """A `HistoryReader` and `ForwardReader` on PostgreSQL, with or without TimescaleDB.

    The first call connects; threads may share it.

    Args:
        settings: Where PostgreSQL is.
        pool_size: Connections at most.
        statement_seconds: Longest a query, or the wait for a connection, may take.
        rules: Which trades update the latest price.
    """

    def __init__(
        self,
        settings: PostgresSettings,
        *,
        pool_size: int = 8,
        statement_seconds: float = 10.0,
        rules: TradeRules = CONSOLIDATED,
    ) -> None:
        self._held_back = _pairs(rules)
        self._session = ReaderSession(settings, pool_size=pool_size, statement_seconds=statement_seconds)

    def latest(self, symbol: str) -> Tick | None:
        """The symbol's newest tick that updates the last price."""
        rows = self._session.rows("latest_tick", {"symbol": symbol, **self._held_back})
        return tick_of(rows[0]) if rows else None

    def ticks(self, symbol: str, *, start_us: int | None, end_us: int | None, limit: int) -> list[Tick]:
        """The newest `limit` ticks in the range, oldest first."""
        parameters = {"symbol": symbol, **time_range(start_us, end_us), "limit": max(limit, 0)}
        return [tick_of(row) for row in reversed(self._session.rows("ticks", parameters))]

    def ticks_before(self, symbol: str, before: TickPlace, *, start_us: int | None, limit: int) -> list[Tick]:
        """The newest `limit` ticks from `start_us` on that stand before this place, oldest first."""
        parameters = {"symbol": symbol, **time_range(start_us, None), **_place(before), "limit": max(limit, 0)}
        return [tick_of(row) for row in reversed(self._session.rows("ticks_before", parameters))]

    def first_ticks(self, symbol: str, after: TickPlace, *, end_us: int | None, limit: int) -> list[Tick]:
        """The oldest `limit` ticks that stand after this place, oldest first."""
        parameters = {"symbol": symbol, **time_range(None, end_us), **_place(after), "limit": max(limit, 0)}
        return [tick_of(row) for row in self._session.rows("ticks_after", parameters)]

    def first_bars(
        self, symbol: str, interval: Interval, *, start_us: int | None, end_us: int | None, limit: int
    ) -> list[Bar]:
        """The oldest `limit` bars that start in the range, oldest first; of 1h and 1d those rolled up from 1min too."""
        query = "first_bars_and_rolled_up" if interval.name in _ROLLED_UP else "first_bars"
        rows = self._session.rows(query, _of_interval(symbol, interval, start_us, end_us, limit))
        return [bar_of(row) for row in rows]

    def first_indicators(
        self, symbol: str, interval: Interval, *, start_us: int | None, end_us: int | None, limit: int
    ) -> list[Indicators]:
        """The indicators of the oldest `limit` bars that start in the range, oldest first."""
        rows = self._session.rows("first_indicators", _of_interval(symbol, interval, start_us, end_us, limit))
        return [indicators_of(row) for row in rows]

    def cancelled(self, symbol: str, *, start_us: int, end_us: int) -> set[tuple[str, str]]:
        """(Provider, id) of the trades in the range that were taken back."""
        rows = self._session.rows("cancelled_trades", {"symbol": symbol, **time_range(start_us, end_us)})
        return {(provider, trade_id) for provider, trade_id in rows}

    def bars(
        self, symbol: str, interval: Interval, *, start_us: int | None, end_us: int | None, limit: int
    ) -> list[Bar]:
        """The newest `limit` bars that start in the range, oldest first; of 1h and 1d those rolled up from 1min too."""
        return self._bars(interval, {**_of_interval(symbol, interval, start_us, end_us, limit), "void": False})

    def stored_bars(self, symbol: str, interval: Interval, *, start_us: int, end_us: int) -> list[Bar]:
        """All bars that start in the range, void ones too, oldest first; of 1h and 1d those rolled up from 1min too."""
        limit = -(-(end_us - start_us) // interval.us)
        return self._bars(interval, {**_of_interval(symbol, interval, start_us, end_us, limit), "void": True})

    def indicators(
        self, symbol: str, interval: Interval, *, start_us: int | None, end_us: int | None, limit: int
    ) -> list[Indicators]:
        """The indicators of the newest `limit` bars that start in the range, oldest first."""
        parameters = _of_interval(symbol, interval, start_us, end_us, limit)
        return [indicators_of(row) for row in reversed(self._session.rows("indicators", parameters))]

    def latest_of(self, symbols: Sequence[str]) -> dict[str, Tick]:
        """The newest tick of each symbol that updates the last price, in one statement."""
        rows = self._session.rows("latest_tick_of", {"symbols": list(symbols), **self._held_back})
        return {tick.symbol: tick for tick in map(tick_of, rows)}

    def ticks_of(
        self, symbols: Sequence[str], *, start_us: int | None, end_us: int | None, limit: int
    ) -> dict[str, list[Tick]]:
        """The newest `limit` ticks of each symbol in the range, oldest first, in one statement."""
        parameters = {"symbols": list(symbols), **time_range(start_us, end_us), "limit": max(limit, 0)}
        ticks = sorted(map(tick_of, self._session.rows("ticks_of", parameters)), key=lambda tick: tick.place)
        return _by_symbol(ticks)

    def bars_of(
        self, symbols: Sequence[str], interval: Interval, *, start_us: int | None, end_us: int | None, limit: int
    ) -> dict[str, list[Bar]]:
        """The newest `limit` bars of each symbol that start in the range, oldest first, in one statement."""
        query = "bars_and_rolled_up_of" if interval.name in _ROLLED_UP else "bars_of"
        parameters = {**_of_interval("", interval, start_us, end_us, limit), "symbols": list(symbols), "void": False}
        bars = sorted(map(bar_of, self._session.rows(query, parameters)), key=lambda bar: bar.start_us)
        return _by_symbol(bars)

    def indicators_of(
        self, symbols: Sequence[str], interval: Interval, *, start_us: int | None, end_us: int | None, limit: int
    ) -> dict[str, list[Indicators]]:
        """The indicators of the newest `limit` bars of each symbol, oldest first, in one statement."""
        parameters = {**_of_interval("", interval, start_us, end_us, limit), "symbols": list(symbols)}
        said = sorted(map(indicators_of, self._session.rows("indicators_of", parameters)), key=lambda it: it.start_us)
        return _by_symbol(said)

    def cancelled_of(self, ranges_us: Mapping[str, tuple[int, int]]) -> dict[str, set[tuple[str, str]]]:
        """(Provider, id) of the trades that were taken back, of each symbol in its own range, in one statement."""
        ranges = [time_range(*between) for between in ranges_us.values()]
        starts, ends = ([between[name] for between in ranges] for name in ("start", "end"))
        parameters = {"symbols": list(ranges_us), "starts": starts, "ends": ends}
        found: dict[str, set[tuple[str, str]]] = {}
        for symbol, provider, trade_id in self._session.rows("cancelled_trades_of", parameters):
            found.setdefault(symbol, set()).add((provider, trade_id))
        return found

    def symbols(self) -> list[str]:
        """Every symbol with a tick or a bar, sorted."""
        return [symbol for (symbol,) in self._session.rows("symbols", {})]

    def intervals(self) -> list[str]:
        """Every interval of which there is a bar, or can be rolled up, in no order."""
        return [interval for (interval,) in self._session.rows("intervals", {"rolled_up": list(_ROLLED_UP)})]

    def ping(self) -> None:
        """Returns when PostgreSQL answers and its tables are there."""
        self._session.ping()

    def close(self) -> None:
        """Disconnects."""
        self._session.close()

    def _bars(self, interval: Interval, parameters: dict[str, Any]) -> list[Bar]:
        query = "bars_and_rolled_up" if interval.name in _ROLLED_UP else "bars"
        return [bar_of(row) for row in reversed(self._session.rows(query, parameters))]


def _by_symbol(items: Iterable[_Item]) -> dict[str, list[_Item]]:
    found: dict[str, list[_Item]] = {}
    for item in items:
        found.setdefault(item.symbol, []).append(item)
    return found


def _pairs(rules: TradeRules) -> dict[str, Any]:
    """Providers and codes, side by side, that keep a trade from updating the last price."""
    held_back = rules.held_back("last").items()
    pairs = [(provider, code) for codes, providers in held_back for provider in providers for code in codes]
    return {"providers": [provider for provider, _ in pairs], "codes": [code for _, code in pairs]}


def _place(place: TickPlace) -> dict[str, Any]:
    time_us, sequence, provider, trade_id = place
    return {"place_time": moment(time_us), "sequence": sequence, "provider": provider, "trade_id": trade_id}


def _of_interval(
    symbol: str, interval: Interval, start_us: int | None, end_us: int | None, limit: int
) -> dict[str, Any]:
    return {"symbol": symbol, "interval": interval.name, **time_range(start_us, end_us), "limit": max(limit, 0)}

"""Decides when a bar is final. Pure: messages and times are passed in, and closed bars are remembered by a port.

A bar is final when its symbol's trades have come further than its end and the allowed lateness, by event time; or when
nothing of the symbol has arrived for as long, and all that did arrive is in the bars. Either way a bar waits until it
has as many trades as `tick_data` has in its window: Spark may publish rows in any order, and none for minutes. What
changes a final bar after all (a trade in time after an idle close, one that was fetched, one taken out) makes another,
of the next revision.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import orjson

from marketstream.contracts.messages import decode_bar
from marketstream.domain.market import Bar
from marketstream.streaming.closing_rules import ClosedBars, ClosingRules
from marketstream.streaming.closing_state import NEVER_US, BarKey, Closed, OpenBar, Seen, Series, Symbol

Cause = Literal["event_time", "idle"]

# A feed this much behind the wall clock is no delayed feed but a recording.
_RECORDING_US = 3_600_000_000
# Trades that Spark has not shown for so long, while it shows some so much newer, retention took before it read them.
_PATIENCE_SECONDS = 600
_NUMBER = (int, float)


@dataclass(frozen=True, slots=True)
class Final:
    """A bar's final version, and what made it so."""

    bar: Bar
    cause: Cause


class BarCloser:
    """Follows all bars and hands out each final once.

    Args:
        rules: How long is waited.
        closed: Remembers which bars are final.
    """

    def __init__(self, rules: ClosingRules, closed: ClosedBars) -> None:
        self._rules = rules
        self._lateness_us = round(rules.lateness_seconds * 1_000_000)
        self._idle_seconds = rules.lateness_seconds + rules.grace_seconds
        self._longest = max(rules.intervals)
        self._closed = closed
        self._symbols: dict[str, Symbol] = {}
        self._ripe: dict[tuple[str, str], Series] = {}
        self.reopened = 0

    def take_tick(self, symbol: str, value: bytes, now: float) -> None:
        """Takes a message of `tick_data`: the symbol is not idle, and its bars are complete once they hold this.

        Raises:
            ValueError: It is no tick.
        """
        fields = orjson.loads(value)
        try:
            state = self._state(symbol, now)
            state.arrived_at = now
            # What lacks one of these numbers is no tick to Spark either.
            if not (isinstance(fields["price"], _NUMBER) and isinstance(fields["size"], _NUMBER)):
                raise TypeError("it has no price or no size")
            state.count(fields["event_time_us"], fields["received_time_us"])
            if self._shown(symbol, state, fields) and fields["received_time_us"] > state.ticks_received_us:
                state.ticks_received_us = fields["received_time_us"]
                state.changed = True
        except (KeyError, TypeError) as error:
            raise ValueError(f"no tick: {error!r}") from error

    def take_bar(self, value: bytes, now: float) -> None:
        """Takes a message of `aggregated_data_*`, provisional or final.

        Raises:
            ValueError: It is no bar.
        """
        fields = orjson.loads(value)
        try:
            state = self._state(fields["symbol"], now)
            series = state.of(fields["interval"])
            state.changed = True
            if fields["last_event_time_us"] > series.newest_us:
                series.newest_us = fields["last_event_time_us"]
                state.newest_us = max(state.newest_us, series.newest_us)
                if series.newest_us >= series.next_due_us:
                    self._ripe[fields["symbol"], fields["interval"]] = series
            if fields["final"]:
                self._take_final(series, (fields["symbol"], fields["interval"], fields["start_us"]), fields)
                return
            state.arrived_at = now
            known, seen = series.open.get(fields["start_us"]), Seen.of(fields)
            # One that was corrected has the database's trades, which may be more than Spark has.
            if not seen.cancelled and fields["last_received_time_us"] > state.bars_received_us:
                state.bars_received_us = fields["last_received_time_us"]
            if known is None:
                self._open(series, OpenBar(value, seen, fields["end_us"], 0), fields, now)
            elif seen > known.seen:
                known.value, known.seen, known.short_since = value, seen, None
                if known.ready_at is not None:
                    known.ready_at = now + self._wait(known)
        except (KeyError, TypeError) as error:
            raise ValueError(f"no bar: {error!r}") from error

    def due(self, now: float) -> list[Final]:
        """Bars that are final by event time, each symbol's in order."""
        finals: list[Final] = []
        for (symbol, interval), series in list(self._ripe.items()):
            for start_us in sorted(series.open):
                bar = series.open[start_us]
                if bar.end_us + self._lateness_us > series.newest_us:
                    continue
                if bar.ready_at is None:
                    bar.ready_at = now + self._wait(bar)
                if now >= bar.ready_at and _is_whole(bar, series, now):
                    finals += self._close((symbol, interval, start_us), series, "event_time")
            self._rest(symbol, interval, series)
        return finals

    def passed(self, read_until: float) -> list[Final]:
        """Bars that trades have passed which no bar of their series shows, for they update no price.

        Args:
            read_until: All that was on the topics at this moment has been taken (steady clock, in s).
        """
        finals: list[Final] = []
        for name, symbol in self._symbols.items():
            if not symbol.unpriced_us or not symbol.complete:
                continue
            past_us = symbol.unpriced_us - self._lateness_us
            for interval, series in symbol.series.items():
                for start_us in sorted(start for start, bar in series.open.items() if bar.end_us <= past_us):
                    bar = series.open[start_us]
                    if bar.ready_at is None:
                        bar.ready_at = read_until + self._wait(bar)
                    if read_until >= bar.ready_at and _is_whole(bar, series, read_until):
                        finals += self._close((name, interval, start_us), series, "event_time")
        return finals

    def idle(self, read_until: float, now_us: int) -> list[Final]:
        """Bars of symbols that fell silent.

        Args:
            read_until: All that was on the topics at this moment has been taken (steady clock, in s).
            now_us: The wall clock's time.
        """
        silent_since = read_until - self._idle_seconds
        active_us = max(
            (symbol.newest_us for symbol in self._symbols.values() if symbol.arrived_at > silent_since), default=0
        )
        recording = active_us < now_us - _RECORDING_US
        finals: list[Final] = []
        for name, symbol in self._symbols.items():
            if symbol.arrived_at > silent_since or not symbol.complete:
                continue
            # While a recording plays, the clock of its day is what its other symbols show.
            plays = recording and active_us >= symbol.newest_us
            ended_us = min(now_us, active_us - self._lateness_us) if plays else now_us - _delay_us(symbol)
            for interval, series in symbol.series.items():
                for start_us in sorted(start for start, bar in series.open.items() if bar.end_us <= ended_us):
                    if _is_whole(series.open[start_us], series, read_until):
                        finals += self._close((name, interval, start_us), series, "idle")
        return finals

    def restart_idle_clock(self, now: float) -> None:
        """Counts silence from now: before, nothing could arrive."""
        for symbol in self._symbols.values():
            symbol.arrived_at = max(symbol.arrived_at, now)

    def restore(self, name: str, symbol: Symbol) -> None:
        """Takes what was saved of a symbol."""
        self._symbols[name] = symbol
        symbol.count_in(self._rules.intervals)
        for interval, series in symbol.series.items():
            self._ripe[name, interval] = series

    def changed(self) -> Iterator[tuple[str, Symbol]]:
        """Symbols that have changed since this was last asked."""
        for name, symbol in self._symbols.items():
            if symbol.changed:
                symbol.changed = False
                yield name, symbol

    def open_bars(self) -> int:
        """How many bars are not final."""
        return sum(len(series.open) for symbol in self._symbols.values() for series in symbol.series.values())

    def behind_seconds(self) -> float:
        """How much later than the trades in its bars some symbol's newest trade was received, at most."""
        known = (symbol for symbol in self._symbols.values() if symbol.bars_received_us)
        behind_us = max((symbol.ticks_received_us - symbol.bars_received_us for symbol in known), default=0)
        return max(0, behind_us) / 1_000_000

    def _state(self, symbol: str, now: float) -> Symbol:
        state = self._symbols.get(symbol)
        if state is None:
            state = self._symbols[symbol] = Symbol(now)
            state.count_in(self._rules.intervals)
        return state

    def _shown(self, name: str, symbol: Symbol, tick: dict[str, Any]) -> bool:
        """Whether a bar must show this trade, as far as the trades before it tell."""
        longest, time_us = self._longest, tick["event_time_us"]
        start_us = longest.start_of(time_us)
        conditions = tick.get("conditions")
        if not conditions or self._rules.trades.updates(tick["provider"], conditions).last:
            if start_us not in symbol.priced:
                symbol.priced.append(start_us)
                symbol.changed = True
            return True
        if time_us > symbol.unpriced_us:
            symbol.unpriced_us = time_us
            symbol.changed = True
        series = symbol.series.get(longest.name)
        return (
            start_us in symbol.priced
            or (series is not None and start_us in series.open)
            or self._closed.get((name, longest.name, start_us)) is not None
        )

    def _wait(self, bar: OpenBar) -> float:
        return self._rules.grace_seconds if bar.late else self._rules.settle_seconds

    def _open(self, series: Series, bar: OpenBar, fields: dict[str, Any], now: float) -> None:
        key = (fields["symbol"], fields["interval"], fields["start_us"])
        closed = self._closed.get(key)
        if closed is not None:
            if bar.seen <= closed.seen:
                return
            bar.revision = closed.revision + 1
            self.reopened += 1
        due_us = bar.end_us + self._lateness_us
        if due_us <= series.newest_us:  # many more may follow, one by one
            bar.late, bar.ready_at = True, now + self._rules.grace_seconds
            self._ripe[key[:2]] = series
        series.next_due_us = min(series.next_due_us, due_us)
        series.begin(fields["start_us"], bar)

    def _take_final(self, series: Series, key: BarKey, fields: dict[str, Any]) -> None:
        """Learns of a final that an earlier run published; of this run's own it knows already."""
        final = Closed(Seen.of(fields), fields["revision"])
        known = self._closed.get(key)
        if known is not None and known >= final:
            return
        self._closed.put(key, final)
        bar = series.open.get(key[2])
        if bar is None:
            return
        if bar.seen <= final.seen:
            series.end(key[2])
        else:
            bar.revision = final.revision + 1

    def _close(self, key: BarKey, series: Series, cause: Cause) -> Iterator[Final]:
        """Nothing where the message turns out to be no bar."""
        bar = series.end(key[2])
        self._symbols[key[0]].changed = True
        try:
            final = replace(decode_bar(bar.value), final=True, revision=bar.revision)
        except ValueError:  # the writers set it aside, and say so
            return
        self._closed.put(key, Closed(bar.seen, bar.revision))
        yield Final(final, cause)

    def _rest(self, symbol: str, interval: str, series: Series) -> None:
        """Leaves a series alone until its next bar is past, unless one waits to go out."""
        dues_us = [bar.end_us + self._lateness_us for bar in series.open.values()]
        series.next_due_us = min((due for due in dues_us if due > series.newest_us), default=NEVER_US)
        if all(due > series.newest_us for due in dues_us):
            del self._ripe[symbol, interval]


def _is_whole(bar: OpenBar, series: Series, now: float) -> bool:
    """Whether a bar has all trades of its window, or won't get the rest."""
    if bar.seen.trades >= bar.told:
        return True
    if bar.short_since is None:
        bar.short_since = now
    lost = series.newest_us >= bar.end_us + _PATIENCE_SECONDS * 1_000_000
    return lost and now >= bar.short_since + _PATIENCE_SECONDS


def _delay_us(symbol: Symbol) -> int:
    """How far a delayed feed is behind the wall clock; a recording, which is further behind, is not delayed."""
    return symbol.delay_us if 0 < symbol.delay_us < _RECORDING_US else 0

"""Keeps a drawn chart current by the smallest change: what to trim, overwrite and append, instead of a new figure.

The browser holds `Drawn`, a short description of what it shows, and sends it with each refresh.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dash import Patch

from marketstream.analytics.parameters import IndicatorParameters
from marketstream.domain.interval import Interval
from marketstream.serving.dashboard.market import figure
from marketstream.serving.dashboard.market.recent import TAIL, Row
from marketstream.serving.dashboard.market.snapshot import Snapshot
from marketstream.serving.dashboard.market.traces import Column, traces
from marketstream.serving.dashboard.plots import put
from marketstream.serving.dashboard.theme import Scheme

MAX_TRIM = 60  # beyond, say after a laptop slept, a new figure is less work


@dataclass(frozen=True, slots=True)
class Drawn:
    """What a browser shows.

    Attributes:
        key: What it was drawn from: the selection, the colour scheme, the bars' generation.
        decimals: Decimals of its prices.
        runs: Its bars' starts as (first start µs, number of adjacent bars).
        tail: The versions of its last bars and their indicators, as lists.
        trade: The newest trade on its tape, with how many of them are taken back.
        summary: The symbol, window and span of everything around the chart.
    """

    key: str
    decimals: int
    runs: list[tuple[int, int]]
    tail: list[list[Any]]
    trade: str | None
    summary: str

    @classmethod
    def of(cls, snapshot: Snapshot, scheme: Scheme) -> "Drawn":
        """Describes a snapshot once it is drawn."""
        runs = _runs([row.bar.start_us for row in snapshot.rows], snapshot.selection.interval)
        tail = [list(row.version) for row in snapshot.rows[-TAIL:]]
        key = key_of(snapshot, scheme)
        return cls(key, snapshot.decimals, runs, tail, snapshot.newest_trade, snapshot.selection.market)

    def starts(self, interval: Interval) -> list[int]:
        """The starts of all its bars, µs."""
        return [first + offset * interval.us for first, length in self.runs for offset in range(length)]


@dataclass(frozen=True, slots=True)
class Change:
    """From what is drawn to what is now: drop the first `trim` bars, overwrite, then append."""

    trim: int
    overwrite: list[tuple[int, Row]]  # index after trimming
    append: list[Row]

    @property
    def nothing(self) -> bool:
        """Whether all bars are as they were."""
        return not (self.trim or self.overwrite or self.append)


def key_of(snapshot: Snapshot, scheme: Scheme) -> str:
    """Changes when, and only when, another figure is wanted."""
    return f"{snapshot.selection.key}|{scheme}|{snapshot.generation}"


def difference(drawn: Drawn, snapshot: Snapshot, scheme: Scheme) -> Change | None:
    """The change that makes the drawn bars equal the snapshot's; None where only a new figure will do."""
    rows, interval = snapshot.rows, snapshot.selection.interval
    if drawn.key != key_of(snapshot, scheme) or drawn.decimals != snapshot.decimals or not rows or not drawn.runs:
        return None
    shown = drawn.starts(interval)
    trim = sum(start < rows[0].bar.start_us for start in shown)
    kept = shown[trim:]
    if trim > MAX_TRIM or not kept or kept != [row.bar.start_us for row in rows[: len(kept)]]:
        return None
    versions = {version[0]: tuple(version) for version in drawn.tail}
    overwrite = [
        (index, row)
        for index, row in enumerate(rows[: len(kept)])
        if row.bar.start_us in versions and row.version != versions[row.bar.start_us]
    ]
    if figure.gaps([row.bar for row in rows[len(kept) - 1 :]], interval):
        return None  # a new gap is cut out of the time axis, which is a matter of the whole figure
    return Change(trim, overwrite, list(rows[len(kept) :]))


def patch(change: Change, snapshot: Snapshot, scheme: Scheme, parameters: IndicatorParameters) -> Patch:
    """The change as instructions for the browser."""
    instructions = Patch()
    drawn = traces(snapshot.selection, parameters, snapshot.decimals)
    for index, trace in enumerate(drawn):
        for name, column in trace.columns.items():
            _apply(instructions["data"][index][name], change, column, times=name == "x")
    values = {**figure.price_values(snapshot), **figure.direction_values(snapshot, scheme)}
    if change.trim or change.append:
        values |= figure.frame_values(snapshot, len(drawn))
    for path, value in values.items():
        put(instructions, path, value)
    return instructions


def _apply(array: Any, change: Change, value: Column, *, times: bool) -> None:
    for _ in range(change.trim):
        del array[0]
    for index, row in [] if times else change.overwrite:
        array[index] = value(row)
    if change.append:
        array.extend([value(row) for row in change.append])


def _runs(starts: Sequence[int], interval: Interval) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    for start in starts:
        if runs and start == runs[-1][0] + runs[-1][1] * interval.us:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((start, 1))
    return runs

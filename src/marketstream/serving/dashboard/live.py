"""Keeps a drawn chart current by the smallest change: what to trim, overwrite and append, instead of a new figure.

The browser holds `Drawn`, a short description of what it shows, and sends it with each refresh.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from dash import Patch

from marketstream.domain.interval import Interval
from marketstream.domain.market import Bar
from marketstream.serving.dashboard import figure
from marketstream.serving.dashboard.snapshot import Snapshot
from marketstream.serving.dashboard.theme import Scheme

# Bars that may still change behind the newest: enough for the allowed lateness even at one-second bars.
TAIL = 16
MAX_TRIM = 60  # beyond, say after a laptop slept, a new figure is less work


@dataclass(frozen=True, slots=True)
class Drawn:
    """What a browser shows.

    Attributes:
        key: The selection's.
        decimals: Decimals of its prices.
        runs: Its bars' starts as (first start µs, number of adjacent bars).
        tail: The versions of its last bars, as lists.
        trade: The newest trade on its tape.
    """

    key: str
    decimals: int
    runs: list[tuple[int, int]]
    tail: list[list[Any]]
    trade: str | None

    @classmethod
    def of(cls, snapshot: Snapshot) -> "Drawn":
        """Describes a snapshot once it is drawn."""
        bars = snapshot.bars.data
        runs = _runs([bar.start_us for bar in bars], snapshot.selection.interval)
        tail = [list(bar.version) for bar in bars[-TAIL:]]
        return cls(snapshot.selection.key, snapshot.decimals, runs, tail, snapshot.newest_trade)

    def starts(self, interval: Interval) -> list[int]:
        """The starts of all its bars, µs."""
        return [first + offset * interval.us for first, length in self.runs for offset in range(length)]


@dataclass(frozen=True, slots=True)
class Change:
    """From what is drawn to what is now: drop the first `trim` bars, overwrite, then append."""

    trim: int
    overwrite: list[tuple[int, Bar]]  # index after trimming
    append: list[Bar]


def difference(drawn: Drawn, snapshot: Snapshot) -> Change | None:
    """The change that makes the drawn bars equal the snapshot's; None where only a new figure will do."""
    bars, interval = snapshot.bars.data, snapshot.selection.interval
    if drawn.key != snapshot.selection.key or drawn.decimals != snapshot.decimals or not bars or not drawn.runs:
        return None
    shown = drawn.starts(interval)
    trim = sum(start < bars[0].start_us for start in shown)
    kept = shown[trim:]
    if trim > MAX_TRIM or not kept or kept != [bar.start_us for bar in bars[: len(kept)]]:
        return None
    versions = {version[0]: tuple(version) for version in drawn.tail}
    overwrite = [
        (index, bar)
        for index, bar in enumerate(bars[: len(kept)])
        if bar.start_us in versions and bar.version != versions[bar.start_us]
    ]
    if figure.gaps(bars[len(kept) - 1 :], interval):
        return None  # a new gap is cut out of the time axis, which is a matter of the whole figure
    return Change(trim, overwrite, bars[len(kept) :])


def patch(change: Change, snapshot: Snapshot, scheme: Scheme) -> Patch:
    """The change as instructions for the browser."""
    instructions = Patch()
    for path, column in figure.COLUMNS:
        _apply(_at(instructions["data"], path), change, column)
    interval = snapshot.selection.interval
    values = {
        **figure.frame_values(snapshot.bars.data, interval),
        **figure.price_values(snapshot),
        **figure.colours(snapshot, scheme),
    }
    for path, value in values.items():
        figure.put(instructions, path, value)
    return instructions


def _apply(column: Any, change: Change, value: Callable[[Bar], object]) -> None:
    for _ in range(change.trim):
        del column[0]
    for index, bar in change.overwrite:
        column[index] = value(bar)
    if change.append:
        column.extend([value(bar) for bar in change.append])


def _at(target: Any, path: figure.Path) -> Any:
    for key in path:
        target = target[key]
    return target


def _runs(starts: Sequence[int], interval: Interval) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    for start in starts:
        if runs and start == runs[-1][0] + runs[-1][1] * interval.us:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((start, 1))
    return runs

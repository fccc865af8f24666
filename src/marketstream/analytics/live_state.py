"""What the indicators of one symbol and interval keep between batches, as bytes."""

from dataclasses import dataclass
from typing import Any, Self

import orjson

from marketstream.analytics.indicator_state import Version
from marketstream.domain.market import Bar


@dataclass(frozen=True, slots=True)
class LiveState:
    """Everything that `LiveIndicators` goes on from.

    Attributes:
        closed: The calculator's state after the bars that are closed for good; None before the first.
        waiting: The newest version of each bar after those, void ones too; the oldest bar first.
        revised: Finals of bars closed for good that have not been put in their places yet; the oldest first.
        counted: Bars that count already, but that a store which has what is closed may lack: each with the start of
            the newest bar when it was counted. Once a later one is closed and stored, so are they.
        owed: Versions of further revised bars, to be taken from the store once it has them; the oldest first.
        cold_since_us: The first bar that was told without its past, which was not to be had.
    """

    closed: bytes | None = None
    waiting: tuple[Bar, ...] = ()
    revised: tuple[Bar, ...] = ()
    counted: tuple[tuple[int, Bar], ...] = ()
    owed: tuple[Version, ...] = ()
    cold_since_us: int | None = None

    def pack(self) -> bytes:
        """All but `closed`, as JSON."""
        return orjson.dumps([self.waiting, self.revised, self.counted, self.owed, self.cold_since_us])

    @classmethod
    def unpack(cls, closed: bytes | None, packed: bytes) -> Self:
        """The state of what `pack` gave."""
        waiting, revised, counted, owed, cold_since_us = orjson.loads(packed)
        return cls(
            closed,
            _bars(waiting),
            _bars(revised),
            tuple((newest_us, Bar(**fields)) for newest_us, fields in counted),
            tuple(_version(numbers) for numbers in owed),
            cold_since_us,
        )


def _bars(rows: list[dict[str, Any]]) -> tuple[Bar, ...]:
    return tuple(Bar(**fields) for fields in rows)


def _version(numbers: list[Any]) -> Version:
    start_us, made_here, seen, cancelled, final, revision = numbers
    return start_us, made_here, seen, cancelled, final, revision

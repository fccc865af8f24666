"""Past bars as a store has them, which may be behind what has been published."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from marketstream.analytics.indicator_state import Version
from marketstream.domain.market import Bar


@dataclass(frozen=True, slots=True)
class Past:
    """Past bars of one symbol and interval.

    Attributes:
        bars: The oldest first, without a hole; void ones are left out.
        complete: There is none before them.
    """

    bars: Sequence[Bar]
    complete: bool

    def versions(self) -> dict[int, Version]:
        """The version of each bar, by start."""
        return {bar.start_us: bar.version for bar in self.bars}

    def reaches_to(self, start_us: int) -> bool:
        """Whether there is a bar from that start or a later one."""
        return bool(self.bars) and self.bars[-1].start_us >= start_us

    def first_with(self, count: int) -> int:
        """Start of the first bar that has so many before it, or all that there are; of the newest where none has.

        Args:
            count: How many, at least 0.
        """
        if self.complete or not self.bars:
            return -(2**63)
        return self.bars[min(count, len(self.bars) - 1)].start_us


def is_stored(version: Version, stored: Mapping[int, Version]) -> bool:
    """Whether a store that has these versions, by start, has this one or a newer one.

    Stores leave void bars out when they are read: of a bar that was there before, its absence tells that it was voided.
    """
    start_us, made_here, seen, cancelled, *_ = version
    there = stored.get(start_us)
    return (made_here and seen == cancelled) if there is None else there >= version

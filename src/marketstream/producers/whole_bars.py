"""Which bars the bars query can still add to: those of which it has every trade in its state.

A query with a fresh checkpoint has only what was received since some moment. A trade that is published for an older bar
makes a bar of the trades that come after, and where these are more than the stored bar has, it takes that one's place.
"""

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from marketstream.domain.interval import Interval


@dataclass(frozen=True, slots=True)
class WholeBars:
    """What the bars query has.

    Attributes:
        read_since: When what its state holds began to be received, µs UTC; None where that is everything, or not known.
        longest: The longest interval of its bars.
    """

    read_since: Callable[[], int | None]
    longest: Interval

    def span(self, start_us: int, end_us: int) -> tuple[int, int]:
        """The bars that `[start_us, end_us)` touches, as `[start, end)` by event time."""
        return self.longest.start_of(start_us), self.longest.start_of(end_us - 1) + self.longest.us

    def lack(self, start_us: int, delay_us: int) -> bool:
        """Whether bars that trades of this moment belong to may have trades that the query has not.

        Args:
            start_us: Event time of the first of them.
            delay_us: How much later than they happened the feed's trades are received.
        """
        since_us = self.read_since()
        return since_us is not None and self.longest.start_of(start_us) + max(0, delay_us) < since_us

    def rebuild(self, symbols: Sequence[str], start_us: int, end_us: int) -> str:
        """The command that makes these bars anew."""
        first_us, last_us = self.span(start_us, end_us)
        options = f"--from {first_us} --to {last_us} --symbols {','.join(symbols)} --source table --repair"
        return f"make submit JOB=rebuild ARGS={shlex.quote(options)}"

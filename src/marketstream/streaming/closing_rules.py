"""What the closer is told: how long to wait, and where to remember which bars are final."""

from dataclasses import dataclass
from typing import Protocol

from marketstream.domain.conditions import CONSOLIDATED, TradeRules
from marketstream.domain.interval import Interval
from marketstream.streaming.closing_state import BarKey, Closed

# The last rows of a bar and the row that shows its end may be read in either order, some milliseconds apart.
SETTLE_SECONDS = 0.15


class ClosedBars(Protocol):
    """Remembers which bars are final."""

    def get(self, key: BarKey) -> Closed | None:
        """The bar's newest final, where it has one."""

    def put(self, key: BarKey, closed: Closed) -> None:
        """Replaces it."""


@dataclass(frozen=True, slots=True)
class ClosingRules:
    """How long is waited.

    Attributes:
        lateness_seconds: A trade further behind its symbol's newest does not come by the stream.
        grace_seconds: How much longer a silent symbol is waited for, and a final bar that changes.
        settle_seconds: How long a bar whose time has passed is held for rows already under way.
        intervals: All bars' lengths. Of the longest a bar is the likeliest to show a trade.
        trades: Which trades update the last price.
    """

    lateness_seconds: float
    grace_seconds: float
    settle_seconds: float = SETTLE_SECONDS
    intervals: tuple[Interval, ...] = tuple(map(Interval.parse, ("1min", "5min", "15min")))
    trades: TradeRules = CONSOLIDATED

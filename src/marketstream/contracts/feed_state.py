"""How the feeds are, as storage tells serving: their state, and how complete their trades are."""

from dataclasses import dataclass
from typing import Literal

from marketstream.contracts.messages import FeedEventKind, FeedRole
from marketstream.domain.errors import Fault

MINUTE_SECONDS = 60.0
EventPlace = tuple[int, str, str]  # (time_us, provider, id): by which stores order events
GapPlace = tuple[int, str]  # (start_us, gap_id)

Verdict = Literal["complete", "trades_missing", "time_uncovered", "trades_missing_and_time_uncovered", "nothing_known"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GapCounts:
    """How many of a feed's gaps are in each state."""

    open: int = 0
    closed: int = 0
    unfillable: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedState:
    """How one provider's feed is.

    Attributes:
        provider: Whose.
        role: The `active` one, on `standby`, `probing`, or shut out by its breaker (`open`); None where nobody said.
        kind: What happened last, a repeated status and the gaps left out; None where nothing did.
        detail: What happened last, for a person.
        event_time_us: When that happened.
        fault: What is wrong with it, by the newest word.
        attempt: Which connection attempt in a row it was on, by the newest word.
        lag_ms: How much later than at its best its newest trades came, by the newest word.
        time_us: When the newest word was said, a repeated status included; None where none ever was.
        gaps: Its gaps by state.
    """

    provider: str
    role: FeedRole | None = None
    kind: FeedEventKind | None = None
    detail: str | None = None
    event_time_us: int | None = None
    fault: Fault | None = None
    attempt: int | None = None
    lag_ms: float | None = None
    time_us: int | None = None
    gaps: GapCounts = GapCounts()


@dataclass(frozen=True, slots=True, kw_only=True)
class MinuteRecord:
    """What is known of one symbol's trades in one minute.

    Attributes:
        symbol: Canonical symbol.
        minute_us: The minute's start.
        ticks: Trades that are stored.
        missing: Trades known to be missing: each gap's number, spread evenly over its span.
        uncovered_seconds: Time within gaps of which nobody knows how many trades they held.
        gap_ids: The gaps that touch the minute and were not closed.
    """

    symbol: str
    minute_us: int
    ticks: int
    missing: float
    uncovered_seconds: float
    gap_ids: tuple[str, ...] = ()

    @property
    def score(self) -> float | None:
        """The share of the minute's trades that is there, in [0, 1].

        `ticks / (ticks + missing)`, 1 where both are zero, times the share of the minute's time that is covered. None
        where there is neither a trade nor a gap: a quiet minute and one that nobody listened to look the same.
        """
        if not self.ticks and not self.gap_ids:
            return None
        expected = self.ticks + self.missing
        covered = 1 - min(self.uncovered_seconds, MINUTE_SECONDS) / MINUTE_SECONDS
        return covered * (self.ticks / expected if expected else 1.0)

    @property
    def reason(self) -> Verdict:
        """Why the score is what it is."""
        if not self.ticks and not self.gap_ids:
            return "nothing_known"
        if self.missing and self.uncovered_seconds:
            return "trades_missing_and_time_uncovered"
        if self.missing:
            return "trades_missing"
        return "time_uncovered" if self.uncovered_seconds else "complete"

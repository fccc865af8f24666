"""Watches one session of a feed: whether anything comes, and whether it comes later and later. Pure."""

from dataclasses import dataclass, field

from marketstream.domain.errors import Fault
from marketstream.domain.market import Bar
from marketstream.domain.outcomes import Rejected
from marketstream.ports import Frame
from marketstream.settings import FailoverSettings

_MICROSECONDS = 1_000_000


@dataclass(slots=True)
class Baseline:
    """The least delay a feed has shown between a trade and its receipt, in µs; delayed feeds have a large one."""

    least_us: int | None = None


@dataclass(slots=True)
class SessionWatch:
    """What a session's frames tell of it.

    Attributes:
        settings: From when on it is suspicious.
        baseline: The feed's, kept between sessions.
        began_at: When the session began, by a steady clock in seconds.
        subscribed_at: When the provider acknowledged; None before.
        last_data_at: When data came last; None before the first.
        frames: How many frames with data have come.
        asked_again_at: Before then silence is excused.
        newest_bars_us: Start of the newest bar that came, by symbol.
    """

    settings: FailoverSettings
    baseline: Baseline
    began_at: float
    subscribed_at: float | None = None
    last_data_at: float | None = None
    frames: int = 0
    asked_again_at: float = 0.0
    newest_bars_us: dict[str, int] = field(default_factory=dict)
    _freshest_us: int | None = None
    _stale_since: float | None = field(default=None)
    _lag_us: int = 0

    def saw(self, frame: Frame, now: float) -> None:
        """Notes a frame with data."""
        self.frames += 1
        self.last_data_at = now
        if not frame.outcomes:
            return  # a poll's answer that nothing has happened
        newest = frame.outcomes[-1]
        if isinstance(newest, Bar):
            self.newest_bars_us[newest.symbol] = max(newest.start_us, self.newest_bars_us.get(newest.symbol, 0))
        if isinstance(newest, Rejected | Bar):
            return
        lag_us = frame.received_time_us - newest.event_time_us
        if self._freshest_us is None or lag_us < self._freshest_us:
            self._freshest_us = lag_us

    @property
    def lag_seconds(self) -> float:
        """How much later than at the feed's best its freshest trades came of late."""
        return self._lag_us / _MICROSECONDS

    def quiet_seconds(self, now: float) -> float:
        """For how long nothing has come since the last data, else since the subscription, else since the beginning."""
        return now - (self.last_data_at or self.subscribed_at or self.began_at)

    def suspicion(self, now: float) -> Fault | None:
        """What is wrong at present: `STALE` is certain; `SILENT` is to be asked about elsewhere first."""
        if not self._measure_lag():
            return self._silence(now)
        if self.lag_seconds <= self.settings.max_lag_seconds:
            self._stale_since = None
        elif self._stale_since is None:
            self._stale_since = now
        elif now - self._stale_since >= self.settings.lag_patience_seconds:
            return Fault.STALE
        return self._silence(now)

    def _silence(self, now: float) -> Fault | None:
        limit = self.settings.first_message_seconds if self.frames == 0 else self.settings.silence_seconds
        return Fault.SILENT if self.quiet_seconds(now) >= limit and now >= self.asked_again_at else None

    def excuse(self, now: float, quiet_seconds: float) -> None:
        """The market may be quiet, not the feed: that is asked again when it has been quiet for as long once more.

        Before the first data it is asked again soon, since nothing is known of the market yet.
        """
        pause = min(max(quiet_seconds, self.settings.silence_seconds), 60.0)
        self.asked_again_at = now + (pause if self.frames else self.settings.first_message_seconds / 4)

    def _measure_lag(self) -> bool:
        """Looks at what has come since the last look; whether anything has."""
        if self._freshest_us is None:
            return False
        least_us = self.baseline.least_us
        if least_us is None or self._freshest_us < least_us:
            self.baseline.least_us = least_us = self._freshest_us
        self._lag_us = self._freshest_us - least_us
        self._freshest_us = None
        return True

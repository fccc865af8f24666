"""The corrector: takes cancelled trades out of final bars.

Reads: `trade_cancels`, `aggregated_data`, `tick_data` (tables). Writes: corrected bars, provisional, onto
`aggregated_data_*`.

It remembers nothing that matters: what is to be done is what the tables say, so a corrector that starts again goes on
by itself. What it publishes is a newer version of the bar like any other; the closer makes it final, with the next
revision, once. Until then, and until a writer has stored it, the same correction may be published again, which changes
nothing.
"""

import signal
import time
from dataclasses import replace
from threading import Event

from marketstream.analytics.trade_bars import corrected
from marketstream.bus.publisher import KafkaPublisher
from marketstream.clock import SystemClock
from marketstream.contracts.messages import encode
from marketstream.contracts.topics import BARS_PREFIX
from marketstream.domain.conditions import RULES, TradeRules
from marketstream.domain.errors import BusError, StoreUnavailableError
from marketstream.domain.interval import MICROSECONDS
from marketstream.domain.market import Bar
from marketstream.observability import metrics
from marketstream.observability.logs import get_logger
from marketstream.settings import Settings
from marketstream.storage.timescale.corrections import TimescaleCorrections

NAME = "corrector"
_PAUSE_SECONDS = 1.0
_AWAY_SECONDS = 5.0
_RECENT_US = 3_600 * MICROSECONDS  # cancels this young are looked at in each round, all in the first of each minute
_ALL_SECONDS = 60.0
_AGAIN_SECONDS = 5.0  # a version that was looked at is left alone for so long: its correction is on its way
_FLUSH_SECONDS = 10.0


def run_corrector(settings: Settings) -> None:
    """Corrects bars until SIGTERM or SIGINT.

    Raises:
        BusError: Kafka is away, or refuses a bar.
    """
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    corrections = TimescaleCorrections(settings.postgres, settings.intervals)
    publisher = KafkaPublisher(settings.kafka.bootstrap_servers)
    Corrector(corrections, publisher, RULES[settings.streaming.trade_conditions], stop).run()


class Corrector:
    """The process: looks, corrects, publishes, pauses.

    Args:
        corrections: What the tables say; closed with `run`.
        publisher: Takes the corrected bars.
        rules: Which trades update what.
        stop: Ends `run`.
    """

    def __init__(
        self, corrections: TimescaleCorrections, publisher: KafkaPublisher, rules: TradeRules, stop: Event
    ) -> None:
        self._corrections = corrections
        self._publisher = publisher
        self._rules = rules
        self._stop = stop
        self._clock = SystemClock()
        self._all_due = 0.0
        self._looked_at: dict[Bar, float] = {}
        self._log = get_logger(NAME)

    def run(self) -> None:
        """Corrects bars until stopped.

        Raises:
            BusError: Kafka takes nothing.
        """
        try:
            pause = 0.0
            while not self._stop.wait(pause):
                try:
                    self.correct()
                    pause = _PAUSE_SECONDS
                except StoreUnavailableError as error:
                    self._log.warning("the database is away", error=str(error), again_seconds=_AWAY_SECONDS)
                    pause = _AWAY_SECONDS
        finally:
            self._corrections.close()

    def correct(self) -> int:
        """One round; returns how many corrections were published.

        Raises:
            StoreUnavailableError: PostgreSQL is away.
            BusError: Kafka takes nothing.
        """
        now = time.monotonic()
        since_us = self._clock.now_us() - _RECENT_US
        if now >= self._all_due:
            self._all_due = now + _ALL_SECONDS
            since_us = 0
            metrics.CANCELS_UNMATCHED.set(self._corrections.unmatched())
        self._looked_at = {bar: at for bar, at in self._looked_at.items() if now - at < _AGAIN_SECONDS}
        pending = [bar for bar in self._corrections.pending(since_us) if bar not in self._looked_at]
        count = sum(map(self._publish, pending))
        self._looked_at.update(dict.fromkeys(pending, now))
        if self._publisher.flush(_FLUSH_SECONDS):
            raise BusError("Kafka takes no corrected bars; they are published again once it does")
        return count

    def _publish(self, bar: Bar) -> bool:
        """Nothing where trades that the bar counts are not stored."""
        trades, cancelled = self._corrections.trades(bar)
        if len(trades) + len(cancelled) < bar.trade_count + bar.cancelled:
            return False  # the database is behind, or has dropped that day's trades
        version = corrected(bar, trades, cancelled, self._rules)
        if replace(version, final=bar.final, revision=bar.revision).version <= bar.version:
            return False  # nothing is left to be taken out
        self._publisher.publish(f"{BARS_PREFIX}{bar.interval}", bar.symbol, encode(version))
        metrics.BARS_CORRECTED.labels(bar.interval).inc()
        self._log.info(
            "bar corrected",
            symbol=bar.symbol,
            interval=bar.interval,
            start_us=bar.start_us,
            cancelled=version.cancelled,
            void=version.void,
        )
        return True

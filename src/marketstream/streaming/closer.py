"""The closer: makes bars final.

Reads: topics `tick_data` (who trades), `aggregated_data_*`. Writes: final bars onto `aggregated_data_*`, each revision
once; `<data_dir>/closer/state.db`.

A final counts as published once the broker has it; the file follows within seconds. A closer that starts again reads on
from where the file says, past the finals that its predecessor still published, and publishes nothing before it has
reached what were the topics' ends at its start.
"""

import signal
import time
from collections.abc import Sequence
from threading import Event

from marketstream.bus.admin import ensure_topics, topic_ids
from marketstream.bus.assigned import AssignedReader, Ends, reached
from marketstream.bus.publisher import KafkaPublisher
from marketstream.clock import SystemClock
from marketstream.contracts.messages import encode
from marketstream.contracts.topics import BARS_PREFIX, TICKS, all_topics, bars_topic
from marketstream.domain.conditions import RULES
from marketstream.domain.errors import BusBackpressureError, BusError
from marketstream.observability import metrics
from marketstream.observability.logs import get_logger
from marketstream.ports import Message
from marketstream.settings import Settings
from marketstream.streaming.closing import BarCloser, Final
from marketstream.streaming.closing_rules import ClosingRules
from marketstream.streaming.closing_store import ClosingStore

NAME = "closer"
_MESSAGES = 10_000
_GATHER_SECONDS = 0.05  # finals are that much later for it, and the process sleeps that long
_ENDS_SECONDS = 0.5  # how often the broker is asked whether something has not been read yet
_ENDS_PATIENCE_SECONDS = 2.0  # a broker that takes longer was away, and nothing could arrive
_SAVE_SECONDS = 2.0
_FLUSH_SECONDS = 0.5
_MARGIN_SECONDS = 120


def run_closer(settings: Settings) -> None:
    """Makes bars final until SIGTERM or SIGINT.

    Raises:
        BusError: Kafka is away, or refuses a final.
        StreamingError: Another closer runs on the same data directory.
    """
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    servers = settings.kafka.bootstrap_servers
    ensure_topics(servers, all_topics(settings.intervals), settings.kafka.partitions)
    store = ClosingStore(settings.data_dir / "closer" / "state.db")
    reader = AssignedReader(servers, NAME)
    Closer(settings, store, reader, KafkaPublisher(servers), stop).run()


class Closer:
    """The process: reads, publishes what has become final, saves.

    Args:
        settings: Topics and rules.
        store: What outlives the process; closed with `run`.
        reader: Reads the topics; closed with `run`.
        publisher: Takes the finals.
        stop: Ends `run`.
    """

    def __init__(
        self,
        settings: Settings,
        store: ClosingStore,
        reader: AssignedReader,
        publisher: KafkaPublisher,
        stop: Event,
    ) -> None:
        self._settings = settings
        self._store = store
        self._reader = reader
        self._publisher = publisher
        self._stop = stop
        self._clock = SystemClock()
        rules = ClosingRules(
            settings.ingest.allowed_lateness_seconds,
            settings.streaming.idle_grace_seconds,
            intervals=settings.intervals,
            trades=RULES[settings.streaming.trade_conditions],
        )
        self._bars = BarCloser(rules, store)
        self._ends: Ends | None = None
        self._ends_due = self._save_due = 0.0
        self._read_until: float | None = None
        self._reopened = 0
        self._log = get_logger(NAME)

    def run(self) -> None:
        """Makes bars final until stopped.

        Raises:
            BusError: Kafka refuses to be read or written.
        """
        try:
            self._begin()
            while not self._stop.is_set():
                self._take(self._reader.poll(_MESSAGES, _GATHER_SECONDS))
                now = time.monotonic()
                advanced = self._look_whether_all_is_read(now)
                if self._read_until is not None:
                    finals = self._bars.due(now)
                    if advanced:
                        finals += self._bars.passed(self._read_until)
                        finals += self._bars.idle(self._read_until, self._clock.now_us())
                    if not self._publish(finals):
                        return  # what the broker still takes is met on the topics by the next
                if now >= self._save_due:
                    self._save()
            self._save()
        finally:
            self._reader.close()
            self._store.close()

    def _begin(self) -> None:
        settings = self._settings
        topics = (TICKS, *map(bars_topic, settings.intervals))
        now_ms = self._clock.now_us() // 1_000
        positions = self._store.adopt(topic_ids(settings.kafka.bootstrap_servers, topics))
        reach_back = settings.ingest.allowed_lateness_seconds + _MARGIN_SECONDS
        since_ms = {TICKS: now_ms - round(reach_back * 1_000)}
        for interval in settings.intervals:
            since_ms[bars_topic(interval)] = now_ms - round((interval.seconds + reach_back) * 1_000)
        for name, symbol in self._store.symbols(time.monotonic()):
            self._bars.restore(name, symbol)
        self._reader.open(since_ms, positions)
        self._log.info("closer begins", open_bars=self._bars.open_bars(), resumed=bool(positions))

    def _take(self, messages: Sequence[Message]) -> None:
        now = time.monotonic()
        take_bar, take_tick = self._bars.take_bar, self._bars.take_tick
        for message in messages:
            try:
                if message.topic == TICKS:
                    take_tick(message.key or "", message.value, now)
                else:
                    take_bar(message.value, now)
            except ValueError:  # the writers set it aside, and say what is wrong with it
                metrics.UNDECODABLE.labels(NAME, message.topic).inc()

    def _look_whether_all_is_read(self, now: float) -> bool:
        """Whether all that was on the topics at a new, later moment has been read."""
        if self._ends is None:
            if now >= self._ends_due:
                self._ends = self._reader.ask_ends()
                self._ends_due = now + _ENDS_SECONDS
            return False
        try:
            ends = self._ends.positions()
        except BusError as error:
            self._log.warning("the broker does not answer", error=str(error))
            self._ends = None
            self._bars.restart_idle_clock(now)
            return False
        if now - self._ends.asked_at > _ENDS_PATIENCE_SECONDS and ends is None:
            self._bars.restart_idle_clock(now)
        if ends is None or not reached(self._reader.positions, ends):
            return False
        if self._read_until is None:
            self._log.info("all is read that was there", seconds=round(now - self._ends.asked_at, 3))
        self._read_until = self._ends.asked_at
        self._ends = None
        return True

    def _publish(self, finals: Sequence[Final]) -> bool:
        """Returns once the broker has them; False where told to stop before."""
        for final in finals:
            value = encode(final.bar)
            while not self._queue(f"{BARS_PREFIX}{final.bar.interval}", final.bar.symbol, value):
                if self._stop.is_set():
                    return False
        while finals and self._publisher.flush(_FLUSH_SECONDS):
            if self._stop.is_set():
                return False
        for final in finals:
            metrics.BARS_FINAL.labels(final.bar.interval, "revised" if final.bar.revision else final.cause).inc()
        return True

    def _queue(self, topic: str, symbol: str, value: bytes) -> bool:
        try:
            self._publisher.publish(topic, symbol, value)
        except BusBackpressureError:
            self._publisher.flush(_FLUSH_SECONDS)
            return False
        return True

    def _save(self) -> None:
        self._save_due = time.monotonic() + _SAVE_SECONDS
        self._store.save(self._bars.changed(), self._reader.positions)
        self._reader.commit()
        metrics.BARS_OPEN.set(self._bars.open_bars())
        metrics.BARS_BEHIND.set(self._bars.behind_seconds())
        metrics.BARS_REOPENED.inc(self._bars.reopened - self._reopened)
        self._reopened = self._bars.reopened

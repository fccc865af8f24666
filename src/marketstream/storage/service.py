"""The loop every store writer runs: take a batch from Kafka, store it, and only then commit its offsets.

Reads: the topics of its source. Writes: `dead_letter_queue`, for messages the store can never take.

At-least-once into an idempotent writer: whatever dies between storing and committing is stored again and changes
nothing. A store that is away is waited for with the batch in hand; a message it refuses for good is set aside, and the
rest goes on.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Event

from marketstream.contracts import topics
from marketstream.contracts.messages import DeadLetter, encode
from marketstream.domain.errors import BusBackpressureError, BusError, StoreError, StoreUnavailableError
from marketstream.domain.outcomes import Reason, Rejected
from marketstream.observability import metrics
from marketstream.observability.logs import get_logger
from marketstream.ports import Message, MessageSource, Publisher, Writer
from marketstream.storage.decoding import UndecodableError
from marketstream.storage.latency import observe_stored

_IDLE_SECONDS = 0.1  # longest wait before looking whether to stop
_SLICE_SECONDS = 0.01  # while a batch fills: rarely enough to cost little, often enough to drain a backlog
_HOLD_SECONDS = 0.5
_BACKOFF_SECONDS = (0.1, 5.0)
_CHORE_RETRY_SECONDS = 300.0
_DEAD_LETTER_SECONDS = 10.0
_COMMIT_SECONDS = 0.5  # a commit is a round trip to the broker; what a crash re-reads for it changes nothing


@dataclass(frozen=True, slots=True)
class Chore:
    """Housekeeping that a writer's process does between batches, at its start and then `every_seconds`."""

    name: str
    every_seconds: float
    run: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Flush:
    """When a batch is full: by number of messages, or by time since its first."""

    max_messages: int
    seconds: float


class WriterService:
    """Runs one writer until told to stop.

    Args:
        source: Where messages come from.
        writer: The store.
        publisher: Takes the dead letters.
        flush: When a batch is full.
        stop: Ends `run` after the batch in hand.
        chores: Housekeeping between batches.
    """

    def __init__(
        self,
        source: MessageSource,
        writer: Writer,
        publisher: Publisher,
        flush: Flush,
        stop: Event,
        chores: Sequence[Chore] = (),
    ) -> None:
        self._source = source
        self._writer = writer
        self._publisher = publisher
        self._flush = flush
        self._stop = stop
        self._due = dict.fromkeys(chores, 0.0)
        self._ready = False
        self._buried = 0
        self._done: dict[tuple[str, int], int] = {}
        self._commit_due = 0.0
        self._log = get_logger(writer.name)
        self._seconds = metrics.WRITE_SECONDS.labels(writer.name)

    def run(self) -> None:
        """Stores batches until stopped, then leaves the group.

        Raises:
            BusError: Kafka refuses to be read, or does not take a dead letter.
        """
        try:
            self._persist(())
            while not self._stop.is_set():
                batch = self._gather()
                if batch and self._persist(batch):
                    self._deliver_dead_letters()
                    self._done.update({(each.topic, each.partition): each.offset + 1 for each in batch})
                if time.monotonic() >= self._commit_due:
                    self._commit()
                self._do_chores()
        finally:
            self._commit()
            self._source.close()
            self._writer.close()

    def _gather(self) -> list[Message]:
        batch = list(self._source.poll(self._flush.max_messages, _IDLE_SECONDS))
        deadline = time.monotonic() + self._flush.seconds
        while batch and len(batch) < self._flush.max_messages:
            remaining = deadline - time.monotonic()
            if remaining <= 0 or self._stop.wait(min(remaining, _SLICE_SECONDS)):
                break
            batch += self._source.poll(self._flush.max_messages - len(batch), 0)
        return batch

    def _persist(self, batch: Sequence[Message]) -> bool:
        """Stores a batch, however long the store is away; False only where told to stop meanwhile."""
        delay, away_since = _BACKOFF_SECONDS[0], 0.0
        while True:
            try:
                if not self._ready:
                    self._writer.setup()
                    self._ready = True
                self._store(batch)
            except StoreUnavailableError as error:
                self._ready = False
                metrics.WRITE_FAILURES.labels(self._writer.name).inc()
                if not away_since:
                    away_since = time.monotonic()
                    self._log.warning("store is away; waiting for it", error=str(error), messages=len(batch))
            else:
                if away_since:
                    self._log.info("store is back", away_seconds=round(time.monotonic() - away_since, 1))
                return True
            if not self._hold(delay):
                return False
            delay = min(2 * delay, _BACKOFF_SECONDS[1])

    def _hold(self, seconds: float) -> bool:
        until = time.monotonic() + seconds
        while not self._stop.is_set():
            remaining = until - time.monotonic()
            if remaining <= 0:
                return True
            self._source.hold(min(remaining, _HOLD_SECONDS))
        return False

    def _store(self, batch: Sequence[Message]) -> None:
        """Writes a batch; what is refused for good becomes dead letters, and everything else is stored."""
        if not batch:
            return
        try:
            with self._seconds.time():
                self._writer.write(batch)
        except StoreUnavailableError:
            raise
        except UndecodableError as error:
            refused = {id(fault.message) for fault in error.faults}
            self._store([message for message in batch if id(message) not in refused])
            for fault in error.faults:
                self._bury(fault.message, Reason.UNDECODABLE, fault.detail)
        except StoreError as error:
            if len(batch) == 1:
                self._bury(batch[0], Reason.INVALID_FIELD, str(error))
                return
            middle = len(batch) // 2
            self._store(batch[:middle])
            self._store(batch[middle:])
        else:
            self._count(batch)
            observe_stored(self._writer.name, batch)

    def _count(self, batch: Sequence[Message]) -> None:
        by_topic: dict[str, int] = {}
        for message in batch:
            by_topic[message.topic] = by_topic.get(message.topic, 0) + 1
        for topic, count in by_topic.items():
            metrics.WRITTEN.labels(self._writer.name, topic).inc(count)

    def _bury(self, message: Message, reason: Reason, detail: str) -> None:
        metrics.UNDECODABLE.labels(self._writer.name, message.topic).inc()
        place = f"{message.topic}[{message.partition}]@{message.offset}"
        self._log.warning("message set aside", place=place, reason=reason, detail=detail)
        rejected = Rejected(
            raw=message.value,
            reason=reason,
            detail=f"{place}: {detail}",
            provider=self._writer.name,
            received_time_us=message.timestamp_ms * 1_000,
            symbol=message.key,
        )
        letter = DeadLetter.of(rejected)  # bounds the symbol too, which is the key
        value = encode(letter)
        self._buried += 1
        while True:
            try:
                self._publisher.publish(topics.DEAD_LETTERS, letter.symbol, value)
                return
            except BusBackpressureError:
                self._deliver_dead_letters()

    def _deliver_dead_letters(self) -> None:
        if self._buried and self._publisher.flush(_DEAD_LETTER_SECONDS):
            raise BusError("Kafka did not take the dead letters; their batch is not committed and will be read again")
        self._buried = 0

    def _commit(self) -> None:
        self._commit_due = time.monotonic() + _COMMIT_SECONDS
        if not self._done:
            return
        try:
            self._source.commit(self._done)
        except BusError as error:  # stored all the same: at worst it is read and stored again
            self._log.warning("offsets not committed", error=str(error))
        self._done = {}

    def _do_chores(self) -> None:
        for chore, due in self._due.items():
            if time.monotonic() < due:
                continue
            try:
                chore.run()
                self._due[chore] = time.monotonic() + chore.every_seconds
            except StoreError as error:
                self._due[chore] = time.monotonic() + _CHORE_RETRY_SECONDS
                self._log.warning("chore failed; trying again later", chore=chore.name, error=str(error))

"""Keeps one group of symbols supplied: takes the best feed that is well, falls back at once, returns with care.

Feeds stand in order. One that fails is shut out by its breaker, the next takes over, and the better one is tried beside
it: it has to deliver well for a while before it takes over again. Its frames are kept back until then, so that the two
overlap and nothing is lost between them; what both have is dropped downstream.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from marketstream.contracts.messages import Alert, FeedEvent, FeedEventKind, FeedRole
from marketstream.domain.errors import FATAL_FAULTS, Fault, ProviderError
from marketstream.observability import metrics
from marketstream.observability.logs import get_logger
from marketstream.ports import Channel, Clock, Provider
from marketstream.producers.backoff import Backoff
from marketstream.producers.board import FeedBoard
from marketstream.producers.health import Breaker, FeedHealth, Patience
from marketstream.producers.queue import FrameQueue
from marketstream.producers.session import NewestTime, Session
from marketstream.producers.together import together
from marketstream.producers.watch import Baseline, SessionWatch
from marketstream.providers.channels import chosen_channels
from marketstream.providers.states import StateListener
from marketstream.settings import FailoverSettings

_STATUS_SECONDS = 5.0
_LOOK_SECONDS = 0.25
# With another feed to fall back on, connecting may take no longer than this.
_SHORT_CONNECT_SECONDS = 2.0
_LONG_CONNECT_SECONDS = 20.0
# A polled provider's burst limit may have to pass before the first answer.
_POLL_SECONDS = 90.0
_logger = get_logger("producer")
_Running = asyncio.Task[None]

# Makes a feed's adapter; the listener is told what happens to its connection.
ProviderMaker = Callable[[StateListener], Provider]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How feeds are treated.

    Attributes:
        failover: When a feed counts as ill, and when as well.
        new_backoff: Makes a feed's waiting times.
        slow_retry_seconds: Wait before a feed that trying does not seem to mend is tried all the same.
        retries_max: Failed attempts in a row after which an alert is raised, and the feed is tried slowly.
        channels: What is wanted of each feed.
    """

    failover: FailoverSettings
    new_backoff: Callable[[], Backoff]
    slow_retry_seconds: float
    retries_max: int
    channels: Sequence[Channel] = ("trades",)


class _Feed:
    """One feed of the group."""

    def __init__(self, rank: int, make: ProviderMaker, reader: "FailoverReader", rules: Rules) -> None:
        self.rank = rank
        self.role: FeedRole = "standby"
        self.session: Session | None = None
        self.baseline = Baseline()
        patience = Patience(
            failures=rules.failover.failures,
            open_seconds=rules.failover.open_seconds,
            slow_retry_seconds=rules.slow_retry_seconds,
            retries_max=rules.retries_max,
        )
        self.health = FeedHealth(patience, rules.new_backoff())
        self._reader = reader
        self.provider = make(self._on_state)
        reader.board.add(self.name, self)

    @property
    def supplies(self) -> bool:
        return self.role == "active" and self.session is not None and self.session.watch.frames > 0

    @property
    def fault(self) -> Fault | None:
        return self.health.fault

    @property
    def failures(self) -> int:
        return self.health.failures

    @property
    def lag_ms(self) -> float | None:
        return None if self.session is None else self.session.watch.lag_seconds * 1_000

    @property
    def name(self) -> str:
        return self.provider.name

    async def _on_state(self, kind: FeedEventKind, detail: str) -> None:
        if kind == "subscribed" and self.session is not None:
            self.session.subscribed()
        await self._reader.tell(self, kind, detail)


class FailoverReader:
    """Reads one group of symbols from the best of its feeds into the queue.

    Args:
        makers: The feeds' adapters in order, the best first.
        queue: Takes frames and feed events, in the order they happen.
        clock: Stamps feed events.
        newest_us: Event time of a symbol's newest trade taken so far.
        rules: How feeds are treated.
        board: Knows how the same providers are for other groups.
    """

    def __init__(
        self,
        makers: Sequence[ProviderMaker],
        queue: FrameQueue,
        clock: Clock,
        newest_us: NewestTime,
        rules: Rules,
        board: FeedBoard,
    ) -> None:
        self.board = board
        self._queue = queue
        self._clock = clock
        self._newest_us = newest_us
        self._rules = rules
        self._feeds = [_Feed(rank, make, self, rules) for rank, make in enumerate(makers)]
        self._active: _Feed | None = None
        self._trial: tuple[_Feed, _Running] | None = None
        self._tasks: set[_Running] = set()

    @property
    def providers(self) -> list[Provider]:
        """The feeds' adapters, in order."""
        return [feed.provider for feed in self._feeds]

    async def run(self) -> None:
        """Reads until cancelled."""
        try:
            await together(self._repeat_status(), self._supply())
        finally:
            for task in tuple(self._tasks):
                await _stopped(task)

    def _start(self, work: Coroutine[Any, Any, None]) -> _Running:
        """Runs beside the rest; stopped with it at the latest."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def tell(self, feed: "_Feed", kind: FeedEventKind, detail: str, *, fault: Fault | None = None) -> None:
        """Says on `feed_events` and in the log what happened to a feed."""
        attempt = feed.health.attempt
        metrics.CONNECTIONS.labels(feed.name, kind).inc()
        log = _logger.error if kind in ("fatal", "retries_exhausted") else _logger.info
        log(kind, provider=feed.name, detail=detail, attempt=attempt)
        await self._queue.put(self._event(feed, kind, detail, fault))

    async def _supply(self) -> None:
        """Always has one feed in use, the best that may be used."""
        ready: _Running | None = None
        feed = self._feeds[0]
        while True:
            if ready is None:
                feed = self._choose()
                await asyncio.sleep(max(0.0, feed.health.retry_at - _now()))
                feed.session = self._new_session(feed)
                ready = self._start(feed.session.run())
            await self._take_over(feed)
            feed, ready = await self._use(feed, ready)

    async def _use(self, feed: _Feed, running: _Running) -> tuple[_Feed, _Running | None]:
        """Stays with a feed until it ends or a better one is well; returns the next and its session, if one runs."""
        probing = self._start(self._probe_better(feed))
        while not running.done() and not probing.done():
            await asyncio.wait({running, probing}, timeout=_LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            await self._note_health(feed)
        await _stopped(probing)
        if not probing.cancelled():
            probing.result()
        better = await self._end_trial(take=running.done())
        if better is None:
            await self._ended(feed, running)
            return feed, None
        if running.done():
            await self._ended(feed, running)
        await _stopped(running)
        feed.session = None
        feed.role = "open" if feed.health.breaker is Breaker.OPEN else "standby"
        return better

    async def _end_trial(self, *, take: bool) -> tuple[_Feed, _Running] | None:
        """The feed on trial with its session, if it has proven itself, or has anything to say and must be taken."""
        trial, self._trial = self._trial, None
        if trial is None:
            return None
        feed, running = trial
        session = feed.session
        if session is not None and not running.done() and (self._is_proven(session) or (take and session.watch.frames)):
            await self._heal(feed)
            return trial
        await _stopped(running)
        feed.role, feed.session = "open", None
        feed.health.abandoned()
        return None

    async def _take_over(self, feed: _Feed) -> None:
        before, self._active = self._active, feed
        feed.role = "active"
        if before is not None and before is not feed:
            kind: FeedEventKind = "failover" if feed.rank > before.rank else "failback"
            metrics.SWITCHES.labels(feed.name, kind).inc()
            cause = f"; {before.name}: {before.health.fault}" if before.health.fault else ""
            await self.tell(feed, kind, f"takes over from {before.name}{cause}", fault=before.health.fault)
        if feed.session is not None:
            await feed.session.go_live()

    async def _ended(self, feed: _Feed, running: _Running) -> None:
        """Deals with the end of a session: what went wrong, and what that means for the feed."""
        fault, detail, retry_after = _cause(feed.name, running)
        await self.tell(feed, "fatal" if fault in FATAL_FAULTS else "disconnected", detail, fault=fault)
        feed.session = None
        opened = feed.health.failed(fault, _now(), retry_after)
        feed.role = "open" if feed.health.breaker is Breaker.OPEN else "standby"
        if opened:
            await self.tell(feed, "breaker_open", detail, fault=fault)
        await self._count_failure(feed, detail)

    async def _count_failure(self, feed: _Feed, detail: str) -> None:
        metrics.FEED_FAILURES.labels(feed.name).set(self.board.failures(feed.name))
        if feed.health.failures == self._rules.retries_max:
            await self._raise_alert(feed, detail)

    async def _raise_alert(self, feed: _Feed, detail: str) -> None:
        words = f"{feed.name} failed {self._rules.retries_max} times in a row and is tried slowly from now on: {detail}"
        await self.tell(feed, "retries_exhausted", words, fault=feed.health.fault)
        now_us = self._clock.now_us()
        alert = Alert(
            alert_id=f"feed_retries_exhausted:{feed.name}:{now_us}",
            rule="feed_retries_exhausted",
            severity="critical",
            subject=feed.name,
            message=words,
            time_us=now_us,
        )
        await self._queue.put(alert)

    async def _note_health(self, feed: _Feed) -> None:
        """Forgives a feed that has delivered for a while."""
        session = feed.session
        if session is None or not feed.health.failures or not session.watch.frames:
            return
        if _now() - session.watch.began_at >= self._rules.failover.healthy_seconds:
            await self._heal(feed)

    async def _heal(self, feed: _Feed) -> None:
        was_closed = feed.health.breaker is Breaker.CLOSED
        feed.health.healthy()
        metrics.FEED_FAILURES.labels(feed.name).set(self.board.failures(feed.name))
        if not was_closed:
            await self.tell(feed, "breaker_closed", "well again")

    async def _probe_better(self, current: _Feed) -> None:
        """Tries better feeds that were shut out, one at a time; returns when one has proven itself."""
        while True:
            due = [feed for feed in self._feeds[: current.rank] if feed.health.may_probe(_now())]
            if due and await self._probe(due[0]):
                return
            await asyncio.sleep(_LOOK_SECONDS)

    async def _probe(self, feed: _Feed) -> bool:
        feed.health.half_open()
        feed.role = "probing"
        await self.tell(feed, "breaker_half_open", "tried beside the feed in use")
        session = feed.session = self._new_session(feed)
        running = self._start(session.run())
        self._trial = (feed, running)
        while not self._is_proven(session):
            done, _ = await asyncio.wait({running}, timeout=_LOOK_SECONDS)
            if done or self._has_nothing_to_say(session):
                await _stopped(running)
                self._trial = None
                feed.role, feed.session = "open", None
                fault, detail, retry_after = _cause(feed.name, running)
                feed.health.failed(fault, _now(), retry_after)
                await self.tell(feed, "breaker_open", detail, fault=fault)
                await self._count_failure(feed, detail)
                return False
        return True

    def _is_proven(self, session: Session) -> bool:
        long_enough = _now() - session.watch.began_at >= self._rules.failover.healthy_seconds
        return long_enough and session.watch.frames > 0

    def _has_nothing_to_say(self, session: Session) -> bool:
        limit = 2 * self._rules.failover.healthy_seconds + _SHORT_CONNECT_SECONDS
        return session.watch.frames == 0 and _now() - session.watch.began_at > limit

    def _choose(self) -> _Feed:
        usable = [feed for feed in self._feeds if feed.health.breaker is Breaker.CLOSED]
        return usable[0] if usable else min(self._feeds, key=lambda feed: feed.health.retry_at)

    def _new_session(self, feed: _Feed) -> Session:
        watch = SessionWatch(self._rules.failover, feed.baseline, began_at=_now())
        connect = _SHORT_CONNECT_SECONDS if len(self._feeds) > 1 else _LONG_CONNECT_SECONDS
        capabilities = feed.provider.capabilities
        if capabilities.polled:
            connect = _POLL_SECONDS
        bars_only = chosen_channels(self._rules.channels, capabilities) == {"bars"}
        return Session(feed.provider, self._queue, watch, self._newest_us, connect_seconds=connect, bars_only=bars_only)

    async def _repeat_status(self) -> None:
        while True:
            for feed in self._feeds:
                metrics.FEED_ROLE.labels(feed.name).set(self.board.supplies(feed.name))
                if (lag_ms := self.board.lag_ms(feed.name)) is not None:
                    metrics.FEED_LAG.labels(feed.name).set(lag_ms / 1_000)
                await self._queue.put(self._event(feed, "status", "", self.board.fault(feed.name)))
            await asyncio.sleep(_STATUS_SECONDS)

    def _event(self, feed: _Feed, kind: FeedEventKind, detail: str, fault: Fault | None) -> FeedEvent:
        return FeedEvent(
            kind=kind,
            provider=feed.name,
            detail=detail,
            time_us=self._clock.now_us(),
            attempt=feed.health.attempt,
            role=self.board.role(feed.name),
            fault=fault,
            lag_ms=self.board.lag_ms(feed.name),
        )


def _cause(name: str, ended: _Running) -> tuple[Fault, str, float | None]:
    """Why a session ended: the fault, in words, and how long the provider wants to be left alone.

    Raises:
        Exception: Whatever is no fault of the provider's.
    """
    if ended.cancelled():
        return Fault.SILENT, f"{name}: nothing came in a whole trial", None
    error = ended.exception()
    match error:
        case None:
            return Fault.SHUTDOWN, f"{name}: closed by the provider", None
        case ProviderError():
            return error.fault, str(error), error.retry_after_seconds
        case OSError():
            return Fault.NETWORK, f"{name}: {error or type(error).__name__}", None
        case _:
            raise error


async def _stopped(task: _Running) -> None:
    """Ends a task and waits for its end, whatever it is."""
    task.cancel()
    await asyncio.wait({task})


def _now() -> float:
    return asyncio.get_running_loop().time()

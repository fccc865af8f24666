"""Takes what the feeds say to Kafka: validates ticks, makes dead letters, and waits where Kafka is behind.

Writes: `tick_data`, `quote_data`, `trade_cancels`, `provider_bars` (key: symbol), `dead_letter_queue` (key: symbol, or
provider where there is none), `feed_events` (key: provider), `alerts` (key: subject).
"""

import asyncio
import time

from marketstream.contracts.messages import FETCHED_HEADERS, Alert, DeadLetter, FeedEvent, encode
from marketstream.contracts.topics import ALERTS, CANCELS, DEAD_LETTERS, FEED_EVENTS, PROVIDER_BARS, QUOTES, TICKS
from marketstream.domain.errors import BusBackpressureError
from marketstream.domain.market import Bar, Cancel, Quote, Tick
from marketstream.domain.outcomes import Rejected
from marketstream.observability import metrics
from marketstream.ports import Clock, Frame, Headers, Publisher
from marketstream.producers.items import Fetched, Item, Mark, SessionStarted
from marketstream.producers.validation import Refusal, TickValidator, Verdict
from marketstream.providers.frames import split_array


class Pipeline:
    """The way from a frame to the topics. Every trade ends on `tick_data`, as a dead letter, or counted as a duplicate.

    Args:
        publisher: Takes the messages.
        validator: Judges the ticks.
        clock: Says what is ahead of now.
    """

    def __init__(self, publisher: Publisher, validator: TickValidator, clock: Clock) -> None:
        self._publisher = publisher
        self._validator = validator
        self._clock = clock

    async def take(self, item: Item) -> None:
        """Deals with whatever came; waits as long as Kafka's queue is full.

        Raises:
            BusError: Kafka refused a message.
        """
        match item:
            case Frame():
                await self.handle(item)
            case Fetched():
                await self._handle_fetched(item)
            case FeedEvent():
                await self._publish(FEED_EVENTS, item.provider, encode(item), item.provider)
            case Alert():
                await self._publish(ALERTS, item.subject, encode(item), item.subject)
            case SessionStarted():
                self._validator.continuity.session_started(item.provider)
            case Mark():
                item.reached.set()

    async def handle(self, frame: Frame) -> None:
        """Publishes what is in a frame; waits as long as Kafka's queue is full.

        Raises:
            BusError: Kafka refused a message.
        """
        accepted = duplicates = 0
        provider = ""
        raws: list[bytes] = []
        now_us = self._clock.now_us()
        for index, outcome in enumerate(frame.outcomes):
            if not isinstance(outcome, Tick):
                await self._pass_on(outcome)
                continue
            provider = outcome.provider
            verdict = self._validator.judge(outcome, now_us)
            if verdict is Verdict.ACCEPTED:
                await self._publish(TICKS, outcome.symbol, encode(outcome), provider)
                accepted += 1
            elif verdict is Verdict.DUPLICATE:
                duplicates += 1
            else:
                raws = raws or _raws(frame)
                await self._refuse(_rejected(outcome, verdict, raws[index]))
        if accepted:
            metrics.TICKS_PUBLISHED.labels(provider).inc(accepted)
        if duplicates:
            metrics.DUPLICATES.labels(provider).inc(duplicates)

    async def _handle_fetched(self, fetched: Fetched) -> None:
        """Publishes those trades of a page that are missing."""
        now_us = self._clock.now_us()
        for outcome in fetched.frame.outcomes:
            if isinstance(outcome, Rejected):
                await self._refuse(outcome)
            if not isinstance(outcome, Tick) or outcome.symbol != fetched.hole.symbol:
                continue
            if not fetched.hole.take(outcome):
                continue
            verdict = self._validator.judge_fetched(outcome, now_us)
            if verdict is Verdict.ACCEPTED:
                await self._publish(TICKS, outcome.symbol, encode(outcome), outcome.provider, FETCHED_HEADERS)
                metrics.TICKS_PUBLISHED.labels(outcome.provider).inc()
            elif isinstance(verdict, Refusal):
                await self._refuse(_rejected(outcome, verdict, encode(outcome)))

    async def _pass_on(self, outcome: Rejected | Quote | Bar | Cancel) -> None:
        """Takes what is no trade to its topic."""
        match outcome:
            case Rejected():
                await self._refuse(outcome)
            case Quote():
                await self._publish(QUOTES, outcome.symbol, encode(outcome), outcome.provider)
            case Cancel():
                await self._publish(CANCELS, outcome.symbol, encode(outcome), outcome.provider)
            case Bar():
                await self._publish(PROVIDER_BARS, outcome.symbol, encode(outcome), outcome.provider or "")

    async def _refuse(self, rejected: Rejected) -> None:
        metrics.REJECTED.labels(rejected.provider, rejected.reason.value).inc()
        letter = DeadLetter.of(rejected)  # bounds the symbol too, which is the key
        await self._publish(DEAD_LETTERS, letter.symbol or letter.provider, encode(letter), letter.provider)

    async def _publish(self, topic: str, key: str, value: bytes, provider: str, headers: Headers | None = None) -> None:
        while True:
            try:
                self._publisher.publish(topic, key, value, headers)
                return
            except BusBackpressureError as full:
                started = time.monotonic()
                await asyncio.sleep(full.retry_after_seconds)
                metrics.BACKPRESSURE_SECONDS.labels(provider).inc(time.monotonic() - started)


def _rejected(tick: Tick, refusal: Refusal, raw: bytes) -> Rejected:
    return Rejected(
        raw=raw,
        reason=refusal.reason,
        detail=refusal.detail,
        provider=tick.provider,
        received_time_us=tick.received_time_us,
        symbol=tick.symbol,
    )


def _raws(frame: Frame) -> list[bytes]:
    """Each outcome's own bytes where the frame is an array with one element an outcome, else the frame's."""
    count = len(frame.outcomes)
    elements = split_array(frame.raw) if count > 1 else None
    return elements if elements is not None and len(elements) == count else [frame.raw] * count

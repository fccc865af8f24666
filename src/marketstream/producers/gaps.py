"""Fills the holes in the streams: says what is missing, fetches it, and says what became of it.

Writes (through the pipeline): `feed_events` of kind `gap`, `tick_data`.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing

from marketstream.contracts.messages import FeedEvent, FeedGap, GapState
from marketstream.domain.errors import FATAL_FAULTS, Fault, ProviderError
from marketstream.domain.market import Tick
from marketstream.domain.outcomes import Parsed
from marketstream.observability import metrics
from marketstream.observability.logs import get_logger
from marketstream.ports import Clock, Frame, Provider, Publisher
from marketstream.producers.continuity import Continuity, Hole
from marketstream.producers.items import Fetched, Mark
from marketstream.producers.queue import FrameQueue
from marketstream.producers.whole_bars import WholeBars
from marketstream.settings import GapSettings

_LOOK_SECONDS = 0.05
_FIRST_WAIT_SECONDS = 1.0
_LONGEST_WAIT_SECONDS = 60.0
# A provider's REST API may be a little behind its stream; what it lacks after so many looks, it lacks.
_LOOKS = 4
_FLUSH_SECONDS = 5.0
_logger = get_logger("gaps")


class _TooManyError(Exception):
    """More trades came for a hole than may."""


class GapFiller:
    """Fills holes beside the running stream, several at a time.

    Args:
        continuity: Finds the holes.
        providers: Whose history is asked.
        queue: Takes fetched trades and events to the pipeline.
        publisher: The pipeline's; a gap is called closed once Kafka has its trades.
        clock: Stamps events.
        settings: Patience and limits.
    """

    def __init__(
        self,
        continuity: Continuity,
        providers: Iterable[Provider],
        queue: FrameQueue,
        publisher: Publisher,
        clock: Clock,
        settings: GapSettings,
    ) -> None:
        self._continuity = continuity
        self._providers = {(each.name, symbol): each for each in providers for symbol in each.symbols}
        self._queue = queue
        self._publisher = publisher
        self._clock = clock
        self._settings = settings
        self._turns = asyncio.Semaphore(settings.concurrency)
        self._opened_us: dict[str, int] = {}
        self._resumed: list[Hole] = []
        self._bars: WholeBars | None = None

    def warn_of(self, bars: WholeBars) -> None:
        """Says of gaps from now on which bars come out wrong because the bars query no longer has all of them."""
        self._bars = bars

    def settle(self, gaps: Iterable[FeedGap]) -> None:
        """Takes gaps that were dealt with before a restart: what looks missing because of them is not."""
        for gap in gaps:
            if gap.first_id is not None and gap.last_id is not None:
                self._continuity.settle(gap.provider, gap.symbol, gap.first_id, gap.last_id)

    def resume(self, gaps: Sequence[FeedGap], published: Iterable[Tick]) -> None:
        """Takes gaps that were open at a restart, and what has been published since the first of them was found."""
        holes = [_hole_of(gap) for gap in gaps]
        for tick in published:
            any(hole.take(tick) for hole in holes if hole.symbol == tick.symbol)
        for gap, hole in zip(gaps, holes, strict=True):
            self._continuity.add_hole(hole)
            self._opened_us[hole.hole_id] = gap.opened_us
            self._resumed.append(hole)

    async def run(self) -> None:
        """Fills holes until cancelled."""
        fills = {asyncio.create_task(self._go_on(hole)) for hole in self._resumed}
        try:
            while True:
                fills |= {asyncio.create_task(self._take_on(hole)) for hole in self._continuity.new_holes()}
                await asyncio.sleep(_LOOK_SECONDS)
                for done in [fill for fill in fills if fill.done()]:
                    fills.remove(done)
                    done.result()
        finally:
            for fill in fills:
                fill.cancel()
            await asyncio.gather(*fills, return_exceptions=True)

    async def _go_on(self, hole: Hole) -> None:
        await self._say(hole, "open", "")  # so that who looks for gaps being filled finds it among the recent ones
        await self._fill(hole)

    async def _take_on(self, hole: Hole) -> None:
        await asyncio.sleep(self._settings.grace_seconds)
        if hole.missing == 0:
            self._continuity.forget(hole)  # it was only disorder
            return
        self._opened_us[hole.hole_id] = self._clock.now_us()
        self._find_source(hole)
        metrics.GAPS.labels(hole.provider, "open").inc()
        metrics.GAPS.labels(hole.provider, "unfillable")  # seen at 0 before it rises: an increase needs both
        await self._say(hole, "open", "")
        await self._fill(hole)

    async def _fill(self, hole: Hole) -> None:
        give_up_at = asyncio.get_running_loop().time() + self._settings.give_up_seconds
        wait = _FIRST_WAIT_SECONDS
        looks = 0
        while True:
            pause = wait
            try:
                async with self._turns:
                    is_whole = await self._fetch(hole)
                looks += is_whole
                reason = "the provider does not have them" if is_whole else "the provider's history ends before them"
                if is_whole and not hole.missing:
                    await self._end(hole, "closed", "")
                    return
                if looks >= _LOOKS:
                    break
            except _TooManyError:
                reason = f"more than {self._settings.max_trades} trades; `marketstream backfill` fetches them"
                break
            except (ProviderError, OSError) as error:
                reason = str(error)
                if isinstance(error, ProviderError):
                    pause = max(wait, error.retry_after_seconds or 0.0)
                    if error.fault in FATAL_FAULTS:
                        break
            if asyncio.get_running_loop().time() + pause > give_up_at:
                break
            await asyncio.sleep(pause)
            wait = min(2 * wait, _LONGEST_WAIT_SECONDS)
        await self._end(hole, "unfillable", reason)

    async def _fetch(self, hole: Hole) -> bool:
        """Takes one look at the provider's history; returns when Kafka has whatever it held.

        Returns:
            Whether the history reaches to the hole's end yet. It does if it has the trade after the hole; where trades
            are numbered, the numbers tell what is missing.
        """
        if (hole.missing or 0) > self._settings.max_trades:
            raise _TooManyError
        count, is_whole = 0, hole.ranges is not None
        async with aclosing(self._pages(hole)) as pages:
            async for frame in pages:
                count += len(frame.outcomes)
                is_whole = is_whole or any(_is_past(hole, each) for each in frame.outcomes)
                if count > 2 * self._settings.max_trades:
                    raise _TooManyError
                await self._queue.put(Fetched(hole, frame))
        mark = Mark()
        await self._queue.put(mark)
        await mark.reached.wait()
        while await asyncio.to_thread(self._publisher.flush, _FLUSH_SECONDS):
            _logger.info("waiting for Kafka to take fetched trades", gap=hole.hole_id)
        return is_whole

    def _find_source(self, hole: Hole) -> None:
        """Turns to another feed that carries the symbol, where the hole's own has no past trades."""
        own = self._providers.get((hole.provider, hole.symbol))
        if hole.ranges is not None or (own is not None and own.capabilities.past_trades):
            return
        for (name, symbol), provider in self._providers.items():
            if symbol == hole.symbol and provider.capabilities.past_trades:
                hole.ask(name)
                return

    async def _pages(self, hole: Hole) -> AsyncGenerator[Frame, None]:
        provider = self._providers.get((hole.provider, hole.symbol))
        if provider is None:
            raise ProviderError(
                f"{hole.provider} is no longer configured", provider=hole.provider, fault=Fault.UNSUPPORTED
            )
        history = provider.history
        if hole.ranges is None:
            sources = [history.trades_between(hole.symbol, hole.before[0], hole.after[0] + 1_000)]
        else:
            sources = [history.trades_numbered(hole.symbol, first, last) for first, last in hole.ranges]
        for source in sources:
            async with aclosing(source) as pages:
                async for frame in pages:
                    yield frame

    async def _end(self, hole: Hole, state: GapState, reason: str) -> None:
        self._continuity.forget(hole)
        metrics.GAPS.labels(hole.provider, state).inc()
        metrics.GAP_TRADES.labels(hole.provider, "fetched").inc(hole.filled)
        metrics.GAP_TRADES.labels(hole.provider, "lost").inc(hole.missing or 0)
        log = _logger.warning if state == "unfillable" else _logger.info
        log("gap", gap=hole.hole_id, state=state, filled=hole.filled, missing=hole.missing, reason=reason)
        cut = self._cut(hole)
        if cut:
            _logger.warning("bars are cut", gap=hole.hole_id, detail=cut)
        await self._say(hole, state, "; ".join(filter(None, (reason, cut))))

    def _cut(self, hole: Hole) -> str:
        """What is to be done about bars that were made of fetched trades alone; empty for nothing."""
        start_us, end_us = hole.before[0], hole.after[0]
        # The trade after the gap was received when the gap was found.
        delay_us = self._opened_us.get(hole.hole_id, self._clock.now_us()) - end_us
        if self._bars is None or not hole.filled or not self._bars.lack(start_us, delay_us):
            return ""
        command = self._bars.rebuild([hole.symbol], start_us, end_us + 1)
        return f"the bars query began afresh after trades of these bars, which need a rebuild: {command}"

    async def _say(self, hole: Hole, state: GapState, detail: str) -> None:
        now_us = self._clock.now_us()
        gap = gap_of(hole, state, detail, opened_us=self._opened_us.get(hole.hole_id, now_us), now_us=now_us)
        summary = f"{hole.symbol}: {state}, {hole.filled} fetched"
        event = FeedEvent(kind="gap", provider=hole.provider, detail=summary, time_us=now_us, gap=gap)
        await self._queue.put(event)


def _is_past(hole: Hole, outcome: Parsed) -> bool:
    return isinstance(outcome, Tick) and outcome.event_time_us // 1_000 >= hole.after[0] // 1_000


def _hole_of(gap: FeedGap) -> Hole:
    return Hole(
        provider=gap.provider,
        symbol=gap.symbol,
        before=(gap.start_us, 2**63),
        after=(gap.end_us, -1),
        ranges=[(gap.first_id, gap.last_id)] if gap.first_id is not None and gap.last_id is not None else None,
        hole_id=gap.gap_id,
    )


def gap_of(hole: Hole, state: GapState, detail: str, *, opened_us: int, now_us: int) -> FeedGap:
    """The message that says how a hole is."""
    ranges = hole.ranges or None
    unknown = hole.ranges is None and state != "closed"
    return FeedGap(
        gap_id=hole.hole_id,
        provider=hole.provider,
        symbol=hole.symbol,
        start_us=hole.before[0],
        end_us=hole.after[0],
        first_id=ranges[0][0] if ranges else None,
        last_id=ranges[-1][1] if ranges else None,
        missing=None if unknown else hole.missing or 0,
        filled=hole.filled,
        state=state,
        detail=detail,
        opened_us=opened_us,
        updated_us=now_us,
    )

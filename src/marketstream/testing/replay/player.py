"""Plays a market to the audience, at a pace or as fast as it is taken."""

import asyncio
from collections.abc import Sequence

from marketstream.observability.logs import get_logger
from marketstream.ports import Clock
from marketstream.testing.market_trade import MarketTrade
from marketstream.testing.replay.audience import Audience
from marketstream.testing.replay.conversation import Batch
from marketstream.testing.replay.history import PlayedHistory
from marketstream.testing.replay.source import Feed, Pace, Source, Tape

FRAME_TRADES = 200  # most trades in one batch, and so in one array frame
GRANULARITY_SECONDS = 0.002  # trades due within it go out together
_LONGEST_NAP_SECONDS = 0.25  # so that a clock that was set is noticed
_FAULT_NAP_SECONDS = 0.01
_log = get_logger("replay")


class Player:
    """Starts the market when the first client subscribes, or polls a provider without a stream; plays it to its end.

    Attributes:
        played: Trades played so far, heard or not.
        ended: Set when the last trade has been played.
    """

    def __init__(
        self,
        source: Source,
        pace: Pace,
        audience: Audience,
        history: PlayedHistory,
        clock: Clock,
        polled: asyncio.Event,
    ) -> None:
        self._polled = polled
        self._source = source
        self._pace = pace
        self._audience = audience
        self._history = history
        self._clock = clock
        self._noted = 0
        self._tape: Tape | None = None
        self.ended = asyncio.Event()

    @property
    def played(self) -> int:
        """Trades played so far, heard or not."""
        return self._tape.played if self._tape else 0

    async def run(self) -> None:
        """Plays; returns at the end of the market."""
        await self._anybody()
        feed = self._source.start(self._clock.now_us(), self._pace)
        self._tape = Tape(feed.chunks)
        _log.info("market started", speed=self._pace.speed or "max")
        if self._pace.speed is None:
            await self._play_as_taken(self._tape, feed)
        else:
            await self._play_at(self._pace.speed, self._tape, feed)
        _log.info("end of file: connections stay open and idle", trades=self.played)
        self.ended.set()

    async def _anybody(self) -> None:
        """Returns when there is somebody to play to."""
        waits = [asyncio.create_task(self._audience.gathered()), asyncio.create_task(self._polled.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _play_at(self, speed: float, tape: Tape, feed: Feed) -> None:
        started_us = self._clock.now_us()
        while (next_us := tape.next_event_time_us()) is not None:
            now_us = self._clock.now_us()
            market_us = feed.origin_us + int((now_us - started_us) * speed)
            if feed.never_ahead:
                market_us = min(market_us, now_us)
            if trades := tape.peek(FRAME_TRADES, market_us):
                self._note(tape, trades)
                tape.advance(len(trades))
                batch = Batch(trades, self._history)
                for listener in self._audience.subscribed():
                    listener.push(batch)
                await asyncio.sleep(0)
            else:
                nap = (next_us - market_us) / 1_000_000 / speed
                await asyncio.sleep(min(max(nap, GRANULARITY_SECONDS), _LONGEST_NAP_SECONDS))

    def _note(self, tape: Tape, trades: Sequence[MarketTrade]) -> None:
        """Adds trades to the history, those only that were not added when they were about to be played before."""
        self._history.add(trades[max(self._noted - tape.played, 0) :])
        self._noted = max(self._noted, tape.played + len(trades))

    async def _play_as_taken(self, tape: Tape, feed: Feed) -> None:
        while tape.next_event_time_us() is not None:
            listeners = self._audience.subscribed()
            if not listeners:
                await self._audience.gathered()
                continue
            trades = tape.peek(FRAME_TRADES, self._clock.now_us() if feed.never_ahead else None)
            if not trades or not any(listener.hears for listener in listeners):
                await asyncio.sleep(GRANULARITY_SECONDS if not trades else _FAULT_NAP_SECONDS)
                continue
            self._note(tape, trades)
            batch = Batch(trades, self._history)
            done = await asyncio.gather(*(listener.deliver(batch) for listener in listeners))
            # The furthest client leads; one that broke off in the middle joins again wherever the market is then.
            tape.advance(max(done))
            await asyncio.sleep(0)

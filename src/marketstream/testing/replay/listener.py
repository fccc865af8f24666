"""A connected client: how trades reach it, and what goes wrong on the way."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import cycle

from websockets.asyncio.server import broadcast
from websockets.exceptions import ConnectionClosed

from marketstream.observability.logs import get_logger
from marketstream.ports import Clock
from marketstream.testing.market_trade import MarketTrade
from marketstream.testing.replay.connection import FaultyConnection
from marketstream.testing.replay.conversation import Batch, Conversation, Outgoing
from marketstream.testing.replay.dialect import Quota
from marketstream.testing.replay.fault_states import MALFORMED, FaultStates

SLOW_CLIENT_BYTES = 64 * 1024 * 1024
REMEMBERED_FRAMES = 256
_WINDOW_SECONDS = 0.25  # how long an unfilled window of reordered frames is kept back
_RELEASE_SECONDS = (0.002, 0.05)  # least and most between two looks at what is delayed: the clock may be set
_log = get_logger("replay")


@dataclass(slots=True)
class Tally:
    """What faults did to a provider's clients, counted in trades or frames each client would have been sent.

    Attributes:
        lost: Trades left out by gaps.
        duplicated: Frames sent once more.
        reordered: Frames sent in windows of disorder.
        malformed: Malformed frames sent.
    """

    lost: int = 0
    duplicated: int = 0
    reordered: int = 0
    malformed: int = 0


class Listener:
    """A connected client and its conversation.

    Args:
        connection: Its wire.
        conversation: What is said on it.
        states: What goes wrong at present.
        tally: Counts what went wrong.
        clock: Wall clock.
    """

    def __init__(
        self,
        connection: FaultyConnection,
        conversation: Conversation,
        states: Callable[[], FaultStates],
        tally: Tally,
        clock: Clock,
    ) -> None:
        self.connection = connection
        self.conversation = conversation
        self._states = states
        self._tally = tally
        self._clock = clock
        self._gaps: dict[str | None, int] = {}
        self._recent: deque[bytes] = deque(maxlen=REMEMBERED_FRAMES)
        self._window: list[bytes] = []
        self._delayed: deque[tuple[int, Batch]] = deque()
        self._timers: dict[Callable[[], None], asyncio.TimerHandle] = {}
        self._good_frames = 0
        self._malformed = cycle(MALFORMED)
        self._closing: asyncio.Task[None] | None = None

    @property
    def waits(self) -> bool:
        """Whether it waits for trades on a wire that works."""
        return self.conversation.subscribed and not self.connection.half_open

    @property
    def hears(self) -> bool:
        """Whether it is sent trades at all at present."""
        states = self._states()
        return not (states.silent or states.quota)

    async def deliver(self, batch: Batch) -> int:
        """Sends a batch at the client's own pace.

        Returns:
            How many trades are done: fewer if the connection ended, none if the client is to hear nothing.
        """
        if self._deaf(batch):
            return 0
        passed = 0
        try:
            for outgoing in self._outgoing(batch):
                await self.connection.flowing.wait()
                await self.connection.send(outgoing.frame, text=True)
                passed = outgoing.passed
        except ConnectionClosed:
            return passed
        return len(batch.trades)

    def push(self, batch: Batch) -> None:
        """Sends a batch without waiting; a client that has fallen hopelessly behind is cut off, as providers do."""
        if self._deaf(batch):
            return
        delay_us = round(self._states().delay_seconds * 1_000_000)
        if delay_us or self._delayed:
            self._delayed.append((self._clock.now_us() + delay_us, batch))
            self._release()
        else:
            self._push(batch)

    def inject(self, frame: str | bytes, *, text: bool = True) -> None:
        """Sends any frame without waiting."""
        broadcast((self.connection,), frame, text=text)

    def inject_all(self, frames: Iterable[bytes]) -> None:
        """Sends any text frames without waiting."""
        for frame in frames:
            self.inject(frame)

    def refuse(self, quota: Quota) -> None:
        """Tells that a quota is used up, and ends the connection where the protocol does."""
        answer = self.conversation.refused(quota)
        self.inject_all(answer.frames)
        if answer.close:
            self._closing = asyncio.create_task(self.connection.close(*answer.close))

    def stall(self, seconds: float | None) -> None:
        """Keeps back all that is sent, for so many seconds or until `resume`."""
        self._cancel(self.resume)
        self.connection.stall()
        if seconds is not None:
            self._after(seconds, self.resume)

    def resume(self) -> None:
        """Sends what was kept back."""
        self._cancel(self.resume)
        self.connection.resume()

    def drop(self) -> None:
        """Breaks the connection off, without a closing handshake."""
        self.connection.transport.abort()

    def lose(self, trades: int, symbol: str | None) -> None:
        """Leaves out the next so many trades that it would have been sent, of one symbol or of any."""
        self._gaps[symbol] = self._gaps.get(symbol, 0) + trades

    def repeat(self, frames: int) -> int:
        """Sends its last frames again, up to `REMEMBERED_FRAMES`; returns how many."""
        again = list(self._recent)[-frames:]
        for frame in again:
            self.inject(frame)
        self._tally.duplicated += len(again)
        return len(again)

    def send_malformed(self, frames: int) -> None:
        """Sends malformed frames."""
        self.inject_all(self._next_malformed() for _ in range(frames))

    def close(self) -> None:
        """It has left."""
        for timer in self._timers.values():
            timer.cancel()

    def _deaf(self, batch: Batch) -> bool:
        """Whether the batch is lost on it; a protocol that makes bars still makes them, as providers do."""
        if self.hears:
            return False
        deque(self.conversation.frames(batch), maxlen=0)
        return True

    def _push(self, batch: Batch) -> None:
        for outgoing in self._outgoing(batch):
            self.inject(outgoing.frame)
        if self.connection.transport.get_write_buffer_size() > SLOW_CLIENT_BYTES:
            _log.warning("cut off a slow client", provider=self.conversation.provider)
            self.drop()

    def _outgoing(self, batch: Batch) -> Iterator[Outgoing]:
        states = self._states()
        one_by_one = self._gaps or self._window or states.reorder > 1
        frames = self._disturbed(batch, states.reorder) if one_by_one else self.conversation.frames(batch)
        for outgoing in frames:
            self._recent.append(outgoing.frame)
            yield outgoing
            if states.duplicate:
                self._tally.duplicated += 1
                yield outgoing
            self._good_frames += 1
            if states.garbage_every and self._good_frames % states.garbage_every == 0:
                yield Outgoing(self._next_malformed(), outgoing.passed)

    def _disturbed(self, batch: Batch, window: int) -> Iterator[Outgoing]:
        """The batch trade by trade, less what gaps leave out, reversed within windows of so many frames."""
        for passed, trade in enumerate(batch.trades, start=1):
            frames = [outgoing.frame for outgoing in self.conversation.frames(Batch((trade,), batch.history))]
            if frames and self._gap_takes(trade):
                continue
            self._window += frames
            if len(self._window) >= window:
                yield from (Outgoing(frame, passed) for frame in self._reversed())
        if self._window:
            self._after(_WINDOW_SECONDS, self._flush)

    def _gap_takes(self, trade: MarketTrade) -> bool:
        for symbol in (trade.symbol, None):
            if symbol in self._gaps:
                self._tally.lost += 1
                self._gaps[symbol] -= 1
                if not self._gaps[symbol]:
                    del self._gaps[symbol]
                return True
        return False

    def _reversed(self) -> list[bytes]:
        frames, self._window = self._window[::-1], []
        if len(frames) > 1:
            self._tally.reordered += len(frames)
        return frames

    def _flush(self) -> None:
        for frame in self._reversed():
            self._recent.append(frame)
            self.inject(frame)

    def _release(self) -> None:
        """Sends what has been delayed for long enough."""
        now_us = self._clock.now_us()
        while self._delayed and self._delayed[0][0] <= now_us:
            self._push(self._delayed.popleft()[1])
        if self._delayed:
            least, most = _RELEASE_SECONDS
            self._after(min(max((self._delayed[0][0] - now_us) / 1_000_000, least), most), self._release)

    def _after(self, seconds: float, call: Callable[[], None]) -> None:
        """Calls later, unless that is under way."""
        if call not in self._timers:
            self._timers[call] = asyncio.get_running_loop().call_later(seconds, self._now, call)

    def _cancel(self, call: Callable[[], None]) -> None:
        if (timer := self._timers.pop(call, None)) is not None:
            timer.cancel()

    def _now(self, call: Callable[[], None]) -> None:
        del self._timers[call]
        call()

    def _next_malformed(self) -> bytes:
        self._tally.malformed += 1
        return next(self._malformed)

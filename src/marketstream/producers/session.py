"""One connection of one feed, watched: ends with a typed fault when it breaks, falls silent or goes stale."""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import aclosing

from marketstream.domain.errors import Fault, ProviderError
from marketstream.domain.interval import Interval
from marketstream.domain.market import Bar
from marketstream.domain.symbols import asset_class_of
from marketstream.ports import Frame, Provider
from marketstream.producers.items import SessionStarted
from marketstream.producers.queue import FrameQueue
from marketstream.producers.quiet import QuietSymbols
from marketstream.producers.watch import SessionWatch

_LOOK_SECONDS = 0.25
_ASK_SECONDS = 1.0
_IN_FLIGHT_SECONDS = 0.5  # what REST knows already may be on its way to us
_ROUNDING_US = 1_000  # REST may tell the time more finely than the stream
_ASKED_SYMBOLS = 3
_SWEEP_SECONDS = 5.0  # of all symbols one is asked about so often at most
_BUFFER_SECONDS = 5.0
_BUFFER_BYTES = 32 * 1024 * 1024
_MINUTE = Interval.parse("1min")
_BARS_BACK_US = 10 * _MINUTE.us

# Event time of a symbol's newest trade that was taken, from whichever feed.
NewestTime = Callable[[str], int | None]


class Session:
    """A feed's connection. Until `go_live` its newest frames are kept back, so that taking over loses none.

    Args:
        provider: The feed's adapter.
        queue: Takes the frames of a live session.
        watch: Judges what comes.
        newest_us: What has been taken so far.
        connect_seconds: How long connecting and subscribing may take together.
        bars_only: Whether neither trades nor quotes come.
    """

    def __init__(
        self,
        provider: Provider,
        queue: FrameQueue,
        watch: SessionWatch,
        newest_us: NewestTime,
        *,
        connect_seconds: float,
        bars_only: bool = False,
    ) -> None:
        self._provider = provider
        self._queue = queue
        self.watch = watch
        self._newest_us = newest_us
        self._connect_seconds = connect_seconds
        self._bars_only = bars_only
        self._quiet = QuietSymbols(watch.settings.symbol_silence_seconds)
        self._live = False
        self._kept: deque[tuple[float, Frame]] = deque()
        self._kept_bytes = 0
        self._told_before_us: dict[str, int] = {}

    async def run(self) -> None:
        """Reads until the provider closes the connection in good order.

        Raises:
            ProviderError: It broke, was refused, is silent or stale.
            OSError: The network failed.
        """
        tasks = [asyncio.create_task(each) for each in (self._read(), self._look(), self._sweep())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def go_live(self) -> None:
        """Takes over: the frames kept back go first."""
        await self._queue.put(SessionStarted(self._provider.name))
        while self._kept:
            _, frame = self._kept.popleft()
            await self._queue.put(frame)
        self._live = True

    def subscribed(self) -> None:
        """The provider has acknowledged."""
        self.watch.subscribed_at = self._now()

    async def _read(self) -> None:
        async with aclosing(self._provider.stream()) as frames:
            async for frame in frames:
                now = self._now()
                self.watch.saw(frame, now)
                if self._live:
                    await self._queue.put(frame)
                    continue
                self._keep(frame, now)

    def _keep(self, frame: Frame, now: float) -> None:
        self._kept.append((now, frame))
        self._kept_bytes += len(frame.raw)
        while self._kept[0][0] < now - _BUFFER_SECONDS or self._kept_bytes > _BUFFER_BYTES:
            self._kept_bytes -= len(self._kept.popleft()[1].raw)

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            now = self._now()
            if self.watch.subscribed_at is None and self.watch.frames == 0:
                if now - self.watch.began_at > self._connect_seconds:
                    raise self._error(Fault.SILENT, f"no subscription within {self._connect_seconds:g} s")
                continue
            suspicion = self.watch.suspicion(now)
            if suspicion is Fault.STALE:
                raise self._error(Fault.STALE, f"its trades come {self.watch.lag_seconds:.1f} s later than at its best")
            if suspicion is Fault.SILENT and not self._provider.capabilities.polled:
                await self._ask(now)

    async def _ask(self, now: float) -> None:
        """Asks the provider's REST API whether anything happened that did not come."""
        quiet = self.watch.quiet_seconds(now)
        symbols = sorted(self._provider.symbols, key=lambda symbol: -(self._seen_us(symbol) or 0))[:_ASKED_SYMBOLS]
        answers = await asyncio.gather(*map(self._is_missing_something, symbols))
        if True in answers:
            raise self._error(Fault.SILENT, f"silent for {quiet:.1f} s, though its REST API tells of newer trades")
        never_sleeps = any(asset_class_of(symbol) == "crypto" for symbol in self._provider.symbols)
        if False not in answers and never_sleeps and not self._bars_only:
            raise self._error(Fault.SILENT, f"silent for {quiet:.1f} s, and its REST API tells nothing")
        self.watch.excuse(now, quiet)

    async def _sweep(self) -> None:
        """Asks after single symbols that are quiet while others go on: one of a connection's many can die alone."""
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            if not (self._live and self.watch.frames and self._provider.capabilities.last_trade) or self._bars_only:
                continue
            newest = {symbol: self._newest_us(symbol) for symbol in self._provider.symbols}
            symbol = self._quiet.next(newest, self._now())
            if symbol is None:
                continue
            is_missing = await self._is_missing_something(symbol)
            if self._quiet.answered(symbol, is_missing=is_missing is True, now=self._now()):
                raise self._error(Fault.SILENT, f"{symbol} is silent, though its REST API tells of newer trades")

    async def _is_missing_something(self, symbol: str) -> bool | None:
        """Whether the provider knows of something newer than came here; None where it can't be asked."""
        try:
            async with asyncio.timeout(_ASK_SECONDS):
                told = await self._told_us(symbol)
        except (ProviderError, OSError, TimeoutError):
            return None
        if told is None:
            return None
        # Of a symbol that never came, only that it goes on trading proves anything; for a whole bar, where bars come.
        seen = self._seen_us(symbol)
        before = self._told_before_us.setdefault(symbol, told) if seen is None else seen
        margin_us = _MINUTE.us if seen is None and self._bars_only else _ROUNDING_US
        if told <= before + margin_us:
            return False
        await asyncio.sleep(_IN_FLIGHT_SECONDS)
        return (self._seen_us(symbol) or before) + margin_us < told

    def _seen_us(self, symbol: str) -> int | None:
        """What has come of a symbol: event time of its newest trade, or start of its newest bar."""
        return self.watch.newest_bars_us.get(symbol) if self._bars_only else self._newest_us(symbol)

    async def _told_us(self, symbol: str) -> int | None:
        """The newest of what REST tells: a trade's time, or the start of a bar that is over since another has begun."""
        capabilities, history = self._provider.capabilities, self._provider.history
        seen = self._seen_us(symbol)
        if capabilities.last_trade and (seen is None or not self._bars_only):
            return await history.last_trade_us(symbol)
        if not capabilities.past_bars or seen is None:
            return None
        starts: set[int] = set()
        async with aclosing(history.bars(symbol, _MINUTE, seen, seen + _BARS_BACK_US)) as pages:
            async for page in pages:
                starts.update(bar.start_us for bar in page.outcomes if isinstance(bar, Bar))
        return sorted(starts)[-2] if len(starts) > 1 else None

    def _error(self, fault: Fault, message: str) -> ProviderError:
        name = self._provider.name
        return ProviderError(f"{name}: {message}", provider=name, fault=fault)

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

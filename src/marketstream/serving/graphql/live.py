"""What comes, for subscriptions: the WebSocket's own hub, run in this process while somebody listens.

Reads: the topics of ticks, bars and indicators, from the first subscription until a while after the last; snapshots
through the injected `MarketData`.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol

from marketstream.clock import SystemClock
from marketstream.domain.conditions import RULES
from marketstream.observability.logs import get_logger
from marketstream.ports import Clock, Message
from marketstream.serving.api.problems import Problem
from marketstream.serving.graphql.feed import Event, Feed
from marketstream.serving.market_data import MarketData
from marketstream.serving.websocket.hub import Hub
from marketstream.serving.websocket.protocol import Close, RequestError
from marketstream.serving.websocket.session import Session, Wish
from marketstream.serving.websocket.snapshots import Loader
from marketstream.serving.websocket.updates import EVENTS, Channel, Decoder, Update
from marketstream.settings import Settings

REACH_BACK_SECONDS = 10.0  # how far behind the stream stores may be, for snapshots to be whole all the same
_SWEEP_SECONDS = 0.5

_log = get_logger("graphql")


class Stream(Protocol):
    """Brings messages into the loop, such as a `Source`."""

    @property
    def away(self) -> bool:
        """Whether nothing can come because Kafka is away."""

    def start(self) -> None:
        """Begins to read."""

    def stop(self) -> None:
        """Ends it; may take some seconds."""


OpenStream = Callable[[Mapping[str, int], Callable[[Sequence[Message]], None]], Stream]


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """What somebody listens to.

    Attributes:
        channel: Ticks, bars or indicators.
        symbols: Whose.
        wish: How.
        snapshot: Whether the newest state comes first.
        principal: Who.
    """

    channel: Channel
    symbols: Sequence[str]
    wish: Wish = Wish()  # noqa: RUF009  # immutable
    snapshot: bool = True
    principal: str = "open"


class _OwnHub(Hub):
    """Leaves the WebSocket process' own figures alone."""

    def _observe(self, sent: Sequence[Update]) -> None:
        del sent


@dataclass(slots=True)
class _Running:
    hub: Hub
    loader: Loader
    stream: Stream
    sweep: "asyncio.Task[None]"


class LiveUpdates:
    """Opens the stream with the first listener, and closes it when there has been none for a while.

    Called from one event loop.

    Args:
        settings: The platform's settings.
        market_data: The stores, for snapshots.
        open_stream: Given topics, from which ms on each is read, and what takes messages, makes a stream.
        clock: Wall clock.
    """

    def __init__(
        self, settings: Settings, market_data: MarketData, open_stream: OpenStream, clock: Clock | None = None
    ) -> None:
        # Nothing is resumed here, so nothing is kept for it.
        self._bounds = settings.websocket.model_copy(update={"replay_updates": 0, "resume_seconds": 0.0})
        self._settings = settings
        self._market_data = market_data
        self._open_stream = open_stream
        self._clock = clock or SystemClock()
        self._running: _Running | None = None
        self._listeners = 0
        self._closing: asyncio.TimerHandle | None = None
        self._stops: set[asyncio.Task[None]] = set()

    @property
    def running(self) -> bool:
        """Whether the stream is open."""
        return self._running is not None

    @property
    def away(self) -> bool:
        """Whether somebody listens, and nothing can come because Kafka is away."""
        return self._running is not None and self._running.stream.away

    async def listen(self, wanted: Listening) -> AsyncGenerator[Event, None]:
        """What is, then what comes, until the caller ends it.

        Raises:
            Problem: A symbol is unknown, or the caller was too slow for too long.
        """
        self._check(wanted)
        running = self._enter()
        session = running.hub.open(wanted.principal, asyncio.get_running_loop())
        feed = Feed(session, wanted.channel)
        session.attach(feed)
        try:
            await self._subscribe(running, session, wanted)
            async with aclosing(feed.events()) as events:
                async for event in events:
                    yield event
        finally:
            running.hub.drop(session)
            self._leave()

    async def stop(self) -> None:
        """Ends the stream, whoever listens, and waits until Kafka is read no more."""
        if self._closing is not None:
            self._closing.cancel()
        self._close()
        await asyncio.gather(*self._stops)

    def _check(self, wanted: Listening) -> None:
        most = self._bounds.max_symbols
        if not 0 < len(wanted.symbols) <= most:
            detail = f"symbols: {len(wanted.symbols)} symbols, where 1 to {most} may be"
            raise Problem(422, "invalid-parameter", "Invalid parameter", detail)
        if any(not 0 < len(symbol) <= 64 or symbol == "*" for symbol in wanted.symbols):
            raise Problem(422, "invalid-parameter", "Invalid parameter", "symbols: one is no symbol; name each")

    async def _subscribe(self, running: _Running, session: Session, wanted: Listening) -> None:
        keys = [(wanted.channel, symbol) for symbol in wanted.symbols]
        try:
            await running.loader.check_known(wanted.symbols)
        except RequestError as error:
            names = error.details.get("similar", {}).values()
            alike = list(dict.fromkeys(name for near in names for name in near))
            raise Problem(404, "unknown-symbol", "Unknown symbol", str(error), suggestions=alike) from None
        if wanted.snapshot:
            await running.loader.load(keys, 1)
        running.hub.subscribe(session, keys, wanted.wish)  # from here to the snapshot nothing else runs
        if wanted.snapshot:
            session.send_snapshot(running.hub.snapshot(keys, 1, wanted.wish.intervals), last=True)

    def _enter(self) -> _Running:
        self._listeners += 1
        if self._closing is not None:
            self._closing.cancel()
            self._closing = None
        if self._running is None:
            self._running = self._start()
        return self._running

    def _leave(self) -> None:
        self._listeners -= 1
        if not self._listeners and self._running is not None:
            linger = self._settings.graphql.linger_seconds
            self._closing = asyncio.get_running_loop().call_later(linger, self._close)

    def _start(self) -> _Running:
        settings = self._settings
        decoder = Decoder(settings.intervals, RULES[settings.streaming.trade_conditions])
        since_us = self._clock.now_us() - round(REACH_BACK_SECONDS * 1e6)
        late_us = round(settings.ingest.allowed_lateness_seconds * 1e6)
        hub = _OwnHub(self._bounds, decoder, self._clock, since_us=since_us, late_us=late_us)
        hub.symbols.update(settings.symbols)
        unwanted = {channel.value for channel in EVENTS}  # their topics have the same names
        since_ms = dict.fromkeys((topic for topic in decoder.topics if topic not in unwanted), since_us // 1_000)
        stream = self._open_stream(since_ms, hub.take)
        stream.start()
        _log.info("the first subscription has come: Kafka is read")
        sweep = asyncio.get_running_loop().create_task(self._sweep(hub))
        return _Running(hub, Loader(self._market_data, decoder, hub), stream, sweep)

    def _close(self) -> None:
        running, self._running, self._closing = self._running, None, None
        if running is None:
            return
        _log.info("no subscription is left: Kafka is read no more")
        running.sweep.cancel()
        running.loader.close()
        stop = asyncio.get_running_loop().create_task(asyncio.to_thread(running.stream.stop))
        self._stops.add(stop)
        stop.add_done_callback(self._stops.discard)

    async def _sweep(self, hub: Hub) -> None:
        """Ends what is read too slowly for too long."""
        loop = asyncio.get_running_loop()
        seconds = self._bounds.shed_after_seconds
        while True:
            for session in list(hub.sessions.values()):
                link, behind = session.link, session.behind_since
                if link is not None and behind is not None and loop.time() - behind > seconds:
                    text = f"you read too slowly: updates have waited for over {seconds:g} s"
                    link.finish(Close.SLOW_CONSUMER, text, queued=session.queued, **session.left_out())
            await asyncio.sleep(_SWEEP_SECONDS)

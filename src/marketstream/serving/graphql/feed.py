"""One subscription's end of the hub: takes a session's messages, and gives them to the executor one by one."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Any

import orjson

from marketstream.contracts.messages import decode_bar, decode_indicators, decode_tick
from marketstream.domain.indicators import Indicators
from marketstream.domain.market import Bar, Tick
from marketstream.observability import metrics
from marketstream.serving.api.problems import Problem
from marketstream.serving.websocket.protocol import Close
from marketstream.serving.websocket.session import Session
from marketstream.serving.websocket.updates import Channel

_DECODERS: dict[Channel, Callable[[bytes], Tick | Bar | Indicators]] = {
    Channel.TICKS: decode_tick,
    Channel.BARS: decode_bar,
    Channel.INDICATORS: decode_indicators,
}


@dataclass(frozen=True, slots=True)
class Event:
    """What a subscriber is told at once.

    Attributes:
        snapshot: This is the newest state as the subscription began, and no change.
        dropped: Updates that were left out since the last event, because the subscriber read too slowly.
        conflated: Updates that newer ones had overtaken since, and that were left out for it.
        items: Ticks, bars or indicators, in the order in which they came.
    """

    snapshot: bool
    dropped: int
    conflated: int
    items: list[Any]


class Feed:
    """A session's `Link`: blocked while its last message has not been fetched, so that the session's bounds hold.

    Args:
        session: Whose link it is.
        channel: What its updates are.
    """

    def __init__(self, session: Session, channel: Channel) -> None:
        self._session = session
        self._decode = _DECODERS[channel]
        self._frames: deque[bytes] = deque()
        self._ended: str | None = None
        self._news = asyncio.Event()

    @property
    def blocked(self) -> bool:
        """Whether the last message is still here."""
        return bool(self._frames)

    def tell(self, payload: bytes) -> None:
        """Takes a message."""
        self._frames.append(payload)
        self._news.set()

    def finish(self, why: Close, text: str, **details: object) -> None:
        """Ends it; what is still here is not told any more."""
        del details
        if self._ended is None:
            metrics.WEBSOCKET_ENDED.labels(why).inc()
        self._ended = text
        self._news.set()

    async def events(self) -> AsyncGenerator[Event, None]:
        """What comes.

        Raises:
            Problem: The subscriber was too slow for too long.
        """
        dropped = conflated = 0
        while True:
            message = await self._next()
            if message["type"] == "lagging":
                dropped += sum(message["dropped"].values())
                conflated += sum(message["conflated"].values())
                continue
            items = [self._decode(orjson.dumps(update["data"])) for update in message["updates"]]
            yield Event(message["type"] == "snapshot", dropped, conflated, items)
            dropped = conflated = 0

    async def _next(self) -> dict[str, Any]:
        while True:
            if self._ended is not None:
                raise Problem(429, "slow-consumer", "Slow consumer", f"{self._ended[:1].upper()}{self._ended[1:]}.")
            if self._frames:
                message: dict[str, Any] = orjson.loads(self._frames.popleft())
                self._session.flush()
                return message
            self._news.clear()
            await self._news.wait()

"""What is replayed and how fast: a trade file or a generated market, at a factor or as fast as clients take it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Protocol, Self

from marketstream.domain.errors import ConfigurationError
from marketstream.testing.market import Market
from marketstream.testing.market_trade import MarketTrade
from marketstream.testing.trades import RecordedTrades


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast the market's clock runs.

    Attributes:
        speed: Market seconds per second; None for as fast as the clients take it.
    """

    speed: float | None = 1.0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads `max`, or a positive factor such as `1` or `60`.

        Raises:
            ConfigurationError: It is neither.
        """
        if text.strip().lower() == "max":
            return cls(None)
        try:
            speed = float(text)
        except ValueError:
            speed = 0.0
        if not (isfinite(speed) and speed > 0):
            raise ConfigurationError(f"replay speed {text!r} is neither `max` nor a positive factor such as 1 or 60")
        return cls(speed)


LIVE = Pace(1.0)


@dataclass(frozen=True, slots=True)
class Feed:
    """A market about to be played.

    Attributes:
        chunks: Its trades, in the order to be sent.
        origin_us: The market's time at the moment it starts.
        never_ahead: Whether no trade may be sent before its event time has come by wall clock.
    """

    chunks: Iterator[Sequence[MarketTrade]]
    origin_us: int
    never_ahead: bool


class Source(Protocol):
    """A market that can be started."""

    def start(self, now_us: int, pace: Pace) -> Feed:
        """The market from its beginning; `now_us` is the wall clock."""


@dataclass(frozen=True, slots=True)
class FileSource:
    """Recorded trades with their own event times, whatever the speed.

    Attributes:
        recorded: The trades.
        loop: Whether to begin again at the end, later in time.
    """

    recorded: RecordedTrades
    loop: bool = False

    def start(self, now_us: int, pace: Pace) -> Feed:
        """The file from its first trade."""
        return Feed(self.recorded.chunks(loop=self.loop), self.recorded.first_event_time_us, never_ahead=False)


@dataclass(frozen=True, slots=True)
class MarketSource:
    """A generated market.

    At speed 1 it begins now; at any other, `history_seconds` ago, and once it has caught up with now it runs at 1.

    Attributes:
        market: What to generate.
        history_seconds: How far back a faster market begins.
    """

    market: Market
    history_seconds: float = 86_400.0

    def start(self, now_us: int, pace: Pace) -> Feed:
        """The market from its start."""
        origin_us = now_us if pace.speed == 1.0 else now_us - round(self.history_seconds * 1_000_000)
        return Feed(self.market.chunks(origin_us), origin_us, never_ahead=True)


class Tape:
    """A feed's trades and how far they have been played."""

    def __init__(self, chunks: Iterator[Sequence[MarketTrade]]) -> None:
        self._chunks = chunks
        self._chunk: Sequence[MarketTrade] = ()
        self._index = 0
        self.played = 0

    def next_event_time_us(self) -> int | None:
        """Event time of the next trade; None at the end."""
        while self._index >= len(self._chunk):
            chunk = next(self._chunks, None)
            if chunk is None:
                return None
            self._chunk, self._index = chunk, 0
        return self._chunk[self._index].event_time_us

    def peek(self, limit: int, until_us: int | None) -> Sequence[MarketTrade]:
        """Up to `limit` next trades whose time is not after `until_us`; a trade that came late comes with its turn."""
        if self.next_event_time_us() is None:
            return ()
        end = min(self._index + limit, len(self._chunk))
        if until_us is not None:
            due = self._index
            while due < end and self._chunk[due].event_time_us <= until_us:
                due += 1
            end = due
        return self._chunk[self._index : end]

    def advance(self, count: int) -> None:
        """Counts that many of the trades last peeked at as played."""
        self._index += count
        self.played += count

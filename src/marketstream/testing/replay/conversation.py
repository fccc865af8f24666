"""What every provider's protocol has in common here: pure conversations, which the server joins to sockets."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from marketstream.testing.market_trade import MarketTrade
from marketstream.testing.replay.history import PlayedHistory

POLICY_VIOLATION = 1008


@dataclass(frozen=True, slots=True)
class Answer:
    """What follows a client's message.

    Attributes:
        frames: Text frames to send, in order.
        close: Close code and reason when the connection ends after them.
    """

    frames: tuple[bytes, ...] = ()
    close: tuple[int, str] | None = None


class Outgoing(NamedTuple):
    """A text frame with trades.

    Attributes:
        frame: The frame's bytes.
        passed: How many of the batch's trades are done once it is sent.
    """

    frame: bytes
    passed: int


class Batch:
    """Trades on their way to all clients; each encoding is made once, however many clients want it.

    Attributes:
        trades: The trades.
        history: All that has been played, these included; None where nobody keeps it.
    """

    def __init__(self, trades: Sequence[MarketTrade], history: PlayedHistory | None = None) -> None:
        self.trades = trades
        self.history = history
        self._encoded: dict[Callable[[MarketTrade], bytes], list[bytes]] = {}

    def encoded(self, encode: Callable[[MarketTrade], bytes]) -> list[bytes]:
        """Every trade in one encoding, in order."""
        if encode not in self._encoded:
            self._encoded[encode] = list(map(encode, self.trades))
        return self._encoded[encode]


class Conversation(Protocol):
    """One client's side of a provider's protocol; knows no socket and no clock."""

    @property
    def provider(self) -> str:
        """Whose protocol it is, by the provider's name in settings."""

    @property
    def subscribed(self) -> bool:
        """Whether the client waits for trades."""

    def greeting(self) -> Answer:
        """What follows the connection itself."""

    def answer(self, request: str | bytes, now_seconds: float) -> Answer:
        """Takes a client's message; `now_seconds` is any steady clock."""

    def frames(self, batch: Batch) -> Iterator[Outgoing]:
        """The frames of the batch's trades that this client subscribed to."""

    def farewell(self, now_us: int) -> tuple[bytes, ...]:
        """Frames sent before a graceful stop."""

    def refused(self, quota: str) -> Answer:
        """What a connected client is told when a quota is used up, in the protocol's own words."""

    def cancelled(self, trade: MarketTrade) -> tuple[bytes, ...]:
        """Frames that take a played trade back; none where the protocol has no such thing."""

"""The protocols between the stages and the world. Constructors open nothing; `setup`, `stream` and `poll` do."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from marketstream.domain.interval import Interval
from marketstream.domain.market import Bar, Tick
from marketstream.domain.outcomes import Parsed


class Clock(Protocol):
    """Wall-clock time, passed in so that tests can turn it."""

    def now_us(self) -> int:
        """Microseconds UTC since the epoch."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One received frame and what became of it.

    Attributes:
        raw: The frame's bytes, without any secret the provider may have echoed; for dead letters.
        received_time_us: When the frame left our socket.
        outcomes: Its trades and refusals, in the frame's order; empty for frames that hold neither.
    """

    raw: bytes
    received_time_us: int
    outcomes: Sequence[Parsed]


class Provider(Protocol):
    """One provider's trades.

    `stream` connects, authenticates, subscribes and yields one `Frame` per received frame, in order. It returns or
    raises when the connection ends; the caller decides whether to call it again. It never reconnects by itself.
    """

    @property
    def name(self) -> str:
        """The provider's name, as in settings and messages."""

    def stream(self) -> AsyncGenerator[Frame, None]:
        """Yields parsed frames until the connection ends; closing the generator closes the connection.

        Raises:
            ProviderError: The provider refused the key or the subscription, or broke the protocol.
            OSError: The network failed.
        """


class Publisher(Protocol):
    """Puts messages onto topics. At-least-once: `flush` returning 0 says the broker has all of them."""

    def publish(self, topic: str, key: str | None, value: bytes) -> None:
        """Queues a message; never drops it silently.

        Raises:
            BusBackpressureError: The bounded queue is full; nothing was queued.
            BusError: An earlier message could not be delivered.
        """

    def flush(self, timeout_seconds: float) -> int:
        """Waits for the broker's acknowledgements and returns how many messages still lack one."""


@dataclass(frozen=True, slots=True)
class Message:
    """One consumed Kafka message."""

    topic: str
    partition: int
    offset: int
    key: str | None
    value: bytes
    timestamp_ms: int


# Next offset to read, by (topic, partition).
Positions = Mapping[tuple[str, int], int]


class MessageSource(Protocol):
    """A consumer group's member, read in batches."""

    def poll(self, max_messages: int, timeout_seconds: float) -> Sequence[Message]:
        """Returns what is there, waiting at most `timeout_seconds` for the first message."""

    def hold(self, timeout_seconds: float) -> None:
        """Waits without taking messages, staying a member of the group; `poll` goes on where it was."""

    def commit(self, positions: Positions) -> None:
        """Remembers, synchronously, that everything below these positions is done."""

    def close(self) -> None:
        """Leaves the group."""


class Writer(Protocol):
    """One store's writer.

    `setup` may be called again after a failure. `write` returns only when the store has the whole batch durably, and is
    idempotent: the same or an older batch again changes nothing.
    """

    @property
    def name(self) -> str:
        """Names the consumer group, the metrics' label and the process."""

    def setup(self) -> None:
        """Connects and prepares.

        Raises:
            StoreUnavailableError: The store is away.
        """

    def write(self, batch: Sequence[Message]) -> None:
        """Stores a batch.

        Raises:
            StoreUnavailableError: The store is away; the same batch may be written later.
            StoreError: The store refuses this batch whenever it comes.
        """

    def close(self) -> None:
        """Disconnects."""


class MarketReader(Protocol):
    """Reads ticks and bars back from a store. Results are oldest first; times are `[start_us, end_us)`, by event time.

    Every method raises `StoreUnavailableError` when the store is away.
    """

    def latest(self, symbol: str) -> Tick | None:
        """The symbol's newest tick."""

    def ticks(self, symbol: str, *, start_us: int | None, end_us: int | None, limit: int) -> list[Tick]:
        """The newest `limit` ticks in the range."""

    def bars(
        self, symbol: str, interval: Interval, *, start_us: int | None, end_us: int | None, limit: int
    ) -> list[Bar]:
        """The newest `limit` bars that start in the range."""

    def symbols(self) -> list[str]:
        """Symbols the store has seen, sorted."""

    def ping(self) -> None:
        """Returns when the store answers."""

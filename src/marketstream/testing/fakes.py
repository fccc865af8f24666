"""In-memory implementations of the ports, for tests of the stages and for trying things out without a server.

Each keeps its port's promises (`tests/contract` runs the same suite on these and on the real servers) and shows what
happened to it as plain attributes. None starts a thread or waits.
"""

from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import dataclass, field

from marketstream.domain.errors import BusBackpressureError, BusError, StoreUnavailableError
from marketstream.ports import (
    Capabilities,
    Clock,
    Frame,
    Headers,
    History,
    Message,
    MessageSource,
    Positions,
    Provider,
    Publisher,
    Writer,
)
from marketstream.providers.history import NoHistory

TRADES_ONLY = Capabilities(channels=frozenset({"trades"}), asset_classes=frozenset({"equity"}))


class FakeClock(Clock):
    """A clock that moves only when told to.

    Attributes:
        time_us: The current time, µs UTC.
    """

    def __init__(self, time_us: int = 1_700_000_000_000_000) -> None:
        self.time_us = time_us

    def now_us(self) -> int:
        """The time it was last set to."""
        return self.time_us

    def advance(self, seconds: float) -> None:
        """Moves on; a negative number moves back, as a corrected system clock does."""
        self.time_us += round(seconds * 1_000_000)


@dataclass(frozen=True, slots=True)
class Published:
    """One message an `InMemoryPublisher` was given."""

    topic: str
    key: str | None
    value: bytes
    headers: Headers = field(default_factory=dict)


class InMemoryPublisher(Publisher):
    """A publisher whose broker is a list.

    Attributes:
        delivered: What the broker has acknowledged, in order.
        waiting: What is queued; moves to `delivered` at once while the broker is `available`.
        available: Set it to False to let the queue fill; to True and `flush` to drain it.
        failure: Set it to make every further call raise `BusError` with this text.
    """

    def __init__(self, queue_messages: int = 50_000) -> None:
        self._queue_messages = queue_messages
        self.delivered: list[Published] = []
        self.waiting: list[Published] = []
        self.available = True
        self.failure: str | None = None

    def publish(self, topic: str, key: str | None, value: bytes, headers: Headers | None = None) -> None:
        """Queues a message.

        Raises:
            BusBackpressureError: The queue is full; nothing was queued.
            BusError: `failure` is set.
        """
        self._check()
        if len(self.waiting) >= self._queue_messages:
            raise BusBackpressureError(0.001)
        self.waiting.append(Published(topic, key, value, dict(headers or {})))
        self._deliver()

    def flush(self, timeout_seconds: float) -> int:
        """Drains the queue if the broker is available; returns how many messages still wait. Never sleeps."""
        self._check()
        self._deliver()
        return len(self.waiting)

    def values(self, topic: str) -> list[bytes]:
        """What was delivered to one topic, in order."""
        return [message.value for message in self.delivered if message.topic == topic]

    def _check(self) -> None:
        if self.failure is not None:
            raise BusError(self.failure)

    def _deliver(self) -> None:
        if self.available:
            self.delivered += self.waiting
            self.waiting.clear()


class InMemorySource(MessageSource):
    """A consumer group's member over messages held in memory, one partition per topic.

    Attributes:
        committed: Next offset to read, by (topic, partition), as last committed.
        held: How often `hold` was called.
        closed: Whether `close` was called.
    """

    def __init__(self, messages: Iterable[Message] = ()) -> None:
        self._messages = list(messages)
        self._pending = list(self._messages)
        self.committed: dict[tuple[str, int], int] = {}
        self.held = 0
        self.closed = False

    def append(self, topic: str, key: str | None, value: bytes, *, timestamp_ms: int = 0) -> Message:
        """Adds a message at its topic's next offset and returns it."""
        offset = sum(message.topic == topic for message in self._messages)
        message = Message(topic, 0, offset, key, value, timestamp_ms)
        self._messages.append(message)
        self._pending.append(message)
        return message

    def poll(self, max_messages: int, timeout_seconds: float) -> Sequence[Message]:
        """The next messages; an empty batch at once when there are none."""
        batch = self._pending[:max_messages]
        del self._pending[:max_messages]
        return batch

    def hold(self, timeout_seconds: float) -> None:
        """Counts the call and returns at once."""
        self.held += 1

    def commit(self, positions: Positions) -> None:
        """Remembers the positions."""
        self.committed.update(positions)

    def restart(self) -> None:
        """Begins again from the committed offsets, as the group's next member would."""
        self._pending = [
            message
            for message in self._messages
            if message.offset >= self.committed.get((message.topic, message.partition), 0)
        ]
        self.closed = False

    def close(self) -> None:
        """Leaves the group."""
        self.closed = True


class Switchable:
    """A store that can be away.

    Attributes:
        available: Set it to False to make every call raise `StoreUnavailableError`.
    """

    def __init__(self) -> None:
        self.available = True

    def ping(self) -> None:
        """Returns when the store answers."""
        if not self.available:
            raise StoreUnavailableError("the in-memory store was switched off")


class InMemoryWriter(Switchable, Writer):
    """A store's writer into a dictionary.

    Attributes:
        stored: Value by (topic, partition, offset), so that the same batch again changes nothing.
        batches: The size of every successful write, in order.
        setups: How often `setup` succeeded.
        closed: Whether `close` was called last.
        available: Set it to False to make `setup` and `write` raise `StoreUnavailableError`.
    """

    def __init__(self, name: str = "memory") -> None:
        super().__init__()
        self._name = name
        self.stored: dict[tuple[str, int, int], Message] = {}
        self.batches: list[int] = []
        self.setups = 0
        self.closed = False

    @property
    def name(self) -> str:
        """The name it was given."""
        return self._name

    def setup(self) -> None:
        """Connects."""
        self.ping()
        self.setups += 1
        self.closed = False

    def write(self, batch: Sequence[Message]) -> None:
        """Stores a batch."""
        self.ping()
        self.stored |= {(message.topic, message.partition, message.offset): message for message in batch}
        self.batches.append(len(batch))

    def close(self) -> None:
        """Disconnects."""
        self.closed = True


@dataclass
class ScriptedProvider(Provider):
    """A provider that plays given connections, one per call of `stream`.

    Attributes:
        connections: For each connection its frames, and optionally an exception as last item that ends it.
        provider_name: The provider's name.
        carried: Its symbols.
        can: Its capabilities.
        past: Its history; one that refuses everything unless given.
        opened: How many connections were made; one after the last of the script yields nothing and returns.
    """

    connections: Sequence[Sequence[Frame | Exception]]
    provider_name: str = "scripted"
    carried: Sequence[str] = ()
    can: Capabilities = TRADES_ONLY
    past: History | None = None
    opened: int = field(default=0, init=False)

    @property
    def name(self) -> str:
        """The provider's name."""
        return self.provider_name

    @property
    def capabilities(self) -> Capabilities:
        """As given."""
        return self.can

    @property
    def symbols(self) -> Sequence[str]:
        """As given."""
        return self.carried

    @property
    def history(self) -> History:
        """As given."""
        return self.past or NoHistory(self.provider_name)

    async def stream(self) -> AsyncGenerator[Frame, None]:
        """Yields the next connection's frames, then returns or raises as scripted."""
        script = self.connections[self.opened] if self.opened < len(self.connections) else ()
        self.opened += 1
        for step in script:
            if isinstance(step, Exception):
                raise step
            yield step

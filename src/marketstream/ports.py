"""The protocols between the stages and the world. Constructors open nothing; `setup`, `stream` and `poll` do."""

from collections.abc import AsyncGenerator, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from marketstream.contracts.feed_state import EventPlace, FeedState, GapPlace, MinuteRecord
from marketstream.contracts.messages import FeedEvent, FeedEventKind, FeedGap, GapState
from marketstream.domain.indicators import Indicators
from marketstream.domain.interval import Interval
from marketstream.domain.market import AssetClass, Bar, Cancel, Quote, Tick, TickPlace
from marketstream.domain.outcomes import Parsed


class Clock(Protocol):
    """Wall-clock time, passed in so that tests can turn it."""

    def now_us(self) -> int:
        """Microseconds UTC since the epoch."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One received frame, or one page of a REST answer, and what became of it.

    Attributes:
        raw: The frame's bytes, without any secret the provider may have echoed; for dead letters.
        received_time_us: When the frame left our socket.
        outcomes: Its trades, quotes, bars, cancels and refusals, in its order; empty for frames that hold none.
    """

    raw: bytes
    received_time_us: int
    outcomes: Sequence[Parsed]


Channel = Literal["trades", "quotes", "bars"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a provider can give.

    Attributes:
        channels: What its stream carries.
        asset_classes: Of which instruments.
        numbered: Its trade ids are numbers without holes per symbol, so that a missing one is proof of a gap.
        sequenced: Its trades carry a number that rises per symbol, with holes.
        cancels: It takes trades back.
        past_trades: Its REST API has single trades of the past.
        past_bars: Its REST API has bars of the past.
        last_trade: Its REST API tells when a symbol traded last.
        polled: It has no stream; its REST API is asked again and again, so that silence is no fault.
    """

    channels: frozenset[Channel]
    asset_classes: frozenset[AssetClass]
    numbered: bool = False
    sequenced: bool = False
    cancels: bool = False
    past_trades: bool = False
    past_bars: bool = False
    last_trade: bool = False
    polled: bool = False


class History(Protocol):
    """What a provider's REST API knows of the past, paged and within the provider's limits. Opens when first asked.

    Every method raises `ProviderError`: with the fault `UNSUPPORTED` for what `Capabilities` denies, else as the
    provider answered; burst limits and errors that pass are waited out first, within reason. `OSError` where the
    network failed.
    """

    async def last_trade_us(self, symbol: str) -> int | None:
        """Event time of the newest trade the provider knows of; None where it knows none."""

    def trades_numbered(self, symbol: str, first_id: int, last_id: int) -> AsyncGenerator[Frame, None]:
        """Pages of the trades with numbers `[first_id, last_id]`, rising. What no longer exists is left out."""

    def trades_between(self, symbol: str, start_us: int, end_us: int) -> AsyncGenerator[Frame, None]:
        """Pages of the trades with event times `[start_us, end_us)`, rising."""

    def bars(self, symbol: str, interval: Interval, start_us: int, end_us: int) -> AsyncGenerator[Frame, None]:
        """Pages of the bars that start in `[start_us, end_us)`, rising."""

    async def close(self) -> None:
        """Disconnects; a later call opens anew."""


class Provider(Protocol):
    """One provider's market data.

    `stream` connects, authenticates, subscribes and yields one `Frame` per received frame, in order. It returns or
    raises when the connection ends; the caller decides whether to call it again. It never reconnects by itself, except
    to replace a connection whose end is known beforehand, without a break.
    """

    @property
    def name(self) -> str:
        """The provider's name, as in settings and messages."""

    @property
    def capabilities(self) -> Capabilities:
        """What it can give."""

    @property
    def symbols(self) -> Sequence[str]:
        """The configured symbols that it carries, canonical."""

    @property
    def history(self) -> History:
        """Its past."""

    def stream(self) -> AsyncGenerator[Frame, None]:
        """Yields parsed frames until the connection ends; closing the generator closes the connection.

        Raises:
            ProviderError: The provider refused the key or the subscription, or broke the protocol.
            OSError: The network failed.
        """


Headers = Mapping[str, bytes]


class Publisher(Protocol):
    """Puts messages onto topics. At-least-once: `flush` returning 0 says the broker has all of them."""

    def publish(self, topic: str, key: str | None, value: bytes, headers: Headers | None = None) -> None:
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


class RestoringWriter(Writer, Protocol):
    """A `Writer` that can also put back trades which it had before."""

    def restore(self, batch: Sequence[Message]) -> None:
        """As `write`; trades are taken for cancelled that a cancel stored earlier, or one of the batch, took back.

        Raises:
            StoreUnavailableError: The store is away.
            StoreError: The store refuses this batch.
        """


class MarketReader(Protocol):
    """Reads ticks, bars and indicators back from a store.

    Results are oldest first; times are `[start_us, end_us)`, by event time (of a bar, by its start).
    Every method raises `StoreUnavailableError` when the store is away.
    """

    def latest(self, symbol: str) -> Tick | None:
        """The symbol's newest tick that updates the last price and was not taken back."""

    def ticks(self, symbol: str, *, start_us: int | None, end_us: int | None, limit: int) -> list[Tick]:
        """The newest `limit` ticks in the range."""

    def bars(
        self, symbol: str, interval: Interval, *, start_us: int | None, end_us: int | None, limit: int
    ) -> list[Bar]:
        """The newest `limit` bars that start in the range."""

    def indicators(
        self, symbol: str, interval: Interval, *, start_us: int | None, end_us: int | None, limit: int
    ) -> list[Indicators]:
        """The indicators of the newest `limit` bars that start in the range."""

    def symbols(self) -> list[str]:
        """Symbols the store has seen, sorted."""

    def intervals(self) -> list[str]:
        """Names of the intervals of which the store has a bar, or makes one of shorter ones, in no order."""

    def ping(self) -> None:
        """Returns when the store answers."""


class BatchReader(Protocol):
    """Reads for many symbols at once what `MarketReader` reads for one, in as few questions to the store as it can.

    Symbols of which there is nothing are left out. Every method raises `StoreUnavailableError` when the store is away.
    """

    def latest_of(self, symbols: Sequence[str]) -> dict[str, Tick]:
        """The newest tick of each."""

    def ticks_of(
        self, symbols: Sequence[str], *, start_us: int | None, end_us: int | None, limit: int
    ) -> dict[str, list[Tick]]:
        """The newest `limit` ticks of each in the range."""

    def bars_of(
        self, symbols: Sequence[str], interval: Interval, *, start_us: int | None, end_us: int | None, limit: int
    ) -> dict[str, list[Bar]]:
        """The newest `limit` bars of each that start in the range."""

    def indicators_of(
        self, symbols: Sequence[str], interval: Interval, *, start_us: int | None, end_us: int | None, limit: int
    ) -> dict[str, list[Indicators]]:
        """The indicators of the newest `limit` bars of each that start in the range."""


class HistoryReader(MarketReader, BatchReader, Protocol):
    """A `MarketReader` that also knows which trades were taken back, and the bars that have none left."""

    def stored_bars(self, symbol: str, interval: Interval, *, start_us: int, end_us: int) -> list[Bar]:
        """All bars that start in the range, void ones too.

        Raises:
            StoreUnavailableError: The store is away.
        """

    def cancelled(self, symbol: str, *, start_us: int, end_us: int) -> set[tuple[str, str]]:
        """(Provider, id) of the symbol's cancelled trades with event times in `[start_us, end_us)`.

        Raises:
            StoreUnavailableError: The store is away.
        """

    def cancelled_of(self, ranges_us: Mapping[str, tuple[int, int]]) -> dict[str, set[tuple[str, str]]]:
        """As `cancelled`, of many symbols, each with a range of its own.

        Raises:
            StoreUnavailableError: The store is away.
        """

    def ticks_before(self, symbol: str, before: TickPlace, *, start_us: int | None, limit: int) -> list[Tick]:
        """The newest `limit` ticks from `start_us` on that stand before this place, oldest first.

        Raises:
            StoreUnavailableError: The store is away.
        """


class ForwardReader(Protocol):
    """Reads a store from the past on, page by page, each page's end telling where the next begins.

    Results are oldest first; times are `[start_us, end_us)`. Every method raises `StoreUnavailableError` when the store
    is away.
    """

    def first_ticks(self, symbol: str, after: TickPlace, *, end_us: int | None, limit: int) -> list[Tick]:
        """The oldest `limit` ticks that stand after this place."""

    def first_bars(
        self, symbol: str, interval: Interval, *, start_us: int | None, end_us: int | None, limit: int
    ) -> list[Bar]:
        """The oldest `limit` bars that start in the range."""

    def first_indicators(
        self, symbol: str, interval: Interval, *, start_us: int | None, end_us: int | None, limit: int
    ) -> list[Indicators]:
        """The indicators of the oldest `limit` bars that start in the range."""

    def cancelled(self, symbol: str, *, start_us: int, end_us: int) -> set[tuple[str, str]]:
        """(Provider, id) of the symbol's cancelled trades in the range."""

    def ping(self) -> None:
        """Returns when the store answers."""


class LatestReader(Protocol):
    """Reads newest ticks without a thread: many callers of one event loop share one question to the store."""

    async def latest(self, symbol: str) -> Tick | None:
        """The symbol's newest tick, where a recent one is kept.

        Raises:
            StoreUnavailableError: The store is away.
        """


class QuoteReader(Protocol):
    """Reads quotes back from a store that keeps the newest of each symbol."""

    def quote(self, symbol: str) -> Quote | None:
        """The symbol's newest quote, where a recent one is kept.

        Raises:
            StoreUnavailableError: The store is away.
        """


class CacheReader(MarketReader, BatchReader, QuoteReader, Protocol):
    """What the cache can tell: newest ticks, bars, indicators and quotes."""

    def quotes_of(self, symbols: Sequence[str]) -> dict[str, Quote]:
        """The newest quote of each, where a recent one is kept.

        Raises:
            StoreUnavailableError: The store is away.
        """

    def latest_kept(self, symbol: str) -> Tick | None:
        """As `latest`, among the kept ticks, however long ago they came.

        Raises:
            StoreUnavailableError: The store is away.
        """


class FeedReader(Protocol):
    """Reads back how the feeds are. Results are oldest first; times are `[start_us, end_us)`, by event time.

    Every method raises `StoreUnavailableError` when the store is away.
    """

    def feeds(self) -> list[FeedState]:
        """Every provider that was ever heard of, by name."""

    def events(
        self, *, provider: str | None, kind: FeedEventKind | None, before: EventPlace | None = None, limit: int
    ) -> list[tuple[EventPlace, FeedEvent]]:
        """The newest `limit` events that stand before a place, each with its own; repeated statuses are not kept."""

    def gaps(
        self,
        *,
        symbol: str | None,
        provider: str | None,
        state: GapState | None,
        between_us: tuple[int | None, int | None],
        before: GapPlace | None = None,
        limit: int,
    ) -> list[FeedGap]:
        """The newest `limit` gaps, by their start, that touch the range and stand before a place."""

    def completeness(self, symbols: Sequence[str], start_us: int, end_us: int) -> list[MinuteRecord]:
        """What is known of every minute in the range, which is of whole minutes, by symbol and time."""

    def ping(self) -> None:
        """Returns when the store answers."""


class KnownTrades(Protocol):
    """Tells which trades are stored already, so that what is fetched again need not be published again."""

    def known(self, symbol: str, provider: str, trade_ids: Collection[str], start_us: int, end_us: int) -> set[str]:
        """Those of the ids that are stored with an event time in `[start_us, end_us)`.

        Raises:
            StoreUnavailableError: The store is away.
        """


class TickHistory(Protocol):
    """Reads all the ticks of a long stretch back from a store, a part at a time, and what of them was taken back."""

    def between(self, symbols: Sequence[str], start_us: int, end_us: int) -> Iterator[list[Tick]]:
        """Ticks with event times in `[start_us, end_us)`, in no order; of every symbol where none is named.

        Raises:
            StoreUnavailableError: The store is away.
        """

    def cancels(self, symbols: Sequence[str], start_us: int, end_us: int) -> list[tuple[Cancel, str | None]]:
        """Cancels of such ticks, each with the id of the trade that it was found to mean; None where there is none.

        Raises:
            StoreUnavailableError: The store is away.
        """

"""How the feeds are, for REST. Reads: through an injected `FeedReader` (TimescaleDB / PostgreSQL)."""

from collections.abc import Sequence

from marketstream.clock import SystemClock
from marketstream.contracts.feed_state import EventPlace, FeedState, GapPlace, MinuteRecord
from marketstream.contracts.messages import FeedEvent, FeedEventKind, FeedGap, GapState
from marketstream.ports import Clock, FeedReader
from marketstream.serving.stores import Store


class FeedData:
    """Asks the database about the feeds. Thread-safe if its reader is. Opens nothing.

    Every method raises `StoreUnavailableError` when the database is away.

    Args:
        reader: The database's reader.
        providers: Configured providers, known even before they said anything.
        clock: Wall clock.
    """

    def __init__(self, reader: FeedReader, *, providers: Sequence[str], clock: Clock | None = None) -> None:
        self._store = Store("database", reader)
        self._configured = tuple(providers)
        self._clock = clock or SystemClock()

    def now_us(self) -> int:
        """The present, in µs UTC."""
        return self._clock.now_us()

    def feeds(self) -> list[FeedState]:
        """Configured providers in their order, then others that were ever heard of."""
        heard_of = {state.provider: state for state in self._store.read(lambda reader: reader.feeds())}
        names = dict.fromkeys((*self._configured, *heard_of))
        return [heard_of.get(name, FeedState(provider=name)) for name in names]

    def events(
        self, *, provider: str | None, kind: FeedEventKind | None, before: EventPlace | None = None, limit: int
    ) -> list[tuple[EventPlace, FeedEvent]]:
        """The newest `limit` events that stand before a place, each with its own, oldest first."""
        return self._store.read(lambda reader: reader.events(provider=provider, kind=kind, before=before, limit=limit))

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
        """The newest `limit` gaps that touch the range and stand before a place, oldest first."""
        return self._store.read(
            lambda reader: reader.gaps(
                symbol=symbol, provider=provider, state=state, between_us=between_us, before=before, limit=limit
            )
        )

    def completeness(self, symbols: Sequence[str], start_us: int, end_us: int) -> list[MinuteRecord]:
        """What is known of every minute in the range, which is of whole minutes, by symbol and time."""
        return self._store.read(lambda reader: reader.completeness(symbols, start_us, end_us))

"""Joins the stream and the clients: keeps the books, and hands each update to the sessions that want it.

One event loop calls all of it, so that a snapshot and what follows it have one moment in common.
"""

import asyncio
import secrets
from collections.abc import Iterable, Sequence
from itertools import chain

from marketstream.contracts.topics import TICKS
from marketstream.observability import metrics
from marketstream.ports import Clock, Message
from marketstream.serving.websocket.book import Book, make_book
from marketstream.serving.websocket.protocol import WILDCARD
from marketstream.serving.websocket.session import Key, Session, Tally, Wish
from marketstream.serving.websocket.updates import EVENTS, GENERAL, Channel, Decoder, Update
from marketstream.settings import WebSocketSettings

NAME = "websocket"


class Hub:
    """All books and all sessions.

    Args:
        settings: Bounds of each session.
        decoder: Makes updates of messages.
        clock: Wall clock.
        since_us: From when on the stream tells; before it, stores do.
        late_us: Trades that much older than their symbol's newest are history, and not sent.
    """

    def __init__(
        self, settings: WebSocketSettings, decoder: Decoder, clock: Clock, *, since_us: int, late_us: int
    ) -> None:
        self._settings = settings
        self._decoder = decoder
        self._clock = clock
        self._since_us = since_us
        self._late_us = late_us
        self._books: dict[Key, Book] = {}
        self._wishes: dict[Key, dict[Session, Wish]] = {}
        self._tally = Tally()
        self._delivered = {channel: metrics.WEBSOCKET_DELIVERY_SECONDS.labels(channel) for channel in Channel}
        self.symbols: set[str] = set()
        self.sessions: dict[str, Session] = {}

    def take(self, messages: Sequence[Message]) -> None:
        """Takes what the topics brought, and sends it to whom it concerns."""
        touched: set[Session] = set()
        sent: list[Update] = []
        for message in messages:
            try:
                update = self._decoder.decode(message)
            except ValueError:  # the writers set it aside, and say what is wrong with it
                metrics.UNDECODABLE.labels(NAME, message.topic).inc()
                continue
            if self._keep(update):
                sessions = self._offer(update)
                if sessions:
                    touched.update(sessions)
                    sent.append(update)
            elif message.topic == TICKS:
                metrics.SKIPPED.labels(NAME, "history").inc()
        for session in touched:
            session.flush()
        self._observe(sent)

    def book(self, channel: Channel, symbol: str) -> Book:
        """What is known of a symbol on a channel."""
        key = (channel, symbol)
        book = self._books.get(key)
        if book is None:
            book = self._books[key] = make_book(channel, self._since_us, self._late_us)
        return book

    def open(self, principal: str, loop: asyncio.AbstractEventLoop) -> Session:
        """A new session."""
        session = Session(secrets.token_urlsafe(16), principal, self._settings, self._tally, loop)
        self.sessions[session.id] = session
        return session

    def drop(self, session: Session) -> None:
        """Forgets a session."""
        self.unsubscribe(session, list(session.subscriptions))
        session.close()
        self.sessions.pop(session.id, None)

    def subscribe(self, session: Session, keys: Iterable[Key], wish: Wish) -> None:
        """From now on the session gets every update of these; a former wish for the same is replaced."""
        for key in keys:
            session.subscriptions[key] = wish
            self._wishes.setdefault(key, {})[session] = wish
            if key[0] in EVENTS:  # what is about no symbol concerns everybody
                self._wishes.setdefault((key[0], GENERAL), {})[session] = wish

    def unsubscribe(self, session: Session, keys: Iterable[Key]) -> list[Key]:
        """Takes subscriptions back; returns those that there were."""
        taken = [key for key in keys if session.subscriptions.pop(key, None) is not None]
        left = {channel for channel, _ in session.subscriptions}
        for key in (*taken, *((channel, GENERAL) for channel in EVENTS - left)):
            wishes = self._wishes.get(key)
            if wishes is not None:
                wishes.pop(session, None)
                if not wishes:
                    del self._wishes[key]
        return taken

    def snapshot(self, keys: Iterable[Key], history: int, intervals: frozenset[str] | None) -> list[Update]:
        """The newest of each of these that is known at this moment; of `*`, of every symbol."""
        books: dict[Key, Book] = {}
        for channel, symbol in keys:
            if symbol == WILDCARD:
                books.update((key, book) for key, book in self._books.items() if key[0] is channel)
            elif (channel, symbol) in self._books:
                books[channel, symbol] = self._books[channel, symbol]
            if channel in EVENTS and (channel, GENERAL) in self._books:
                books[channel, GENERAL] = self._books[channel, GENERAL]
        newest = chain.from_iterable(books[key].newest(history) for key in sorted(books))
        return [
            update for update in newest if intervals is None or update.interval is None or update.interval in intervals
        ]

    def measure(self) -> None:
        """Puts what has happened into the metrics."""
        for channel, count in self._tally.sent.items():
            metrics.WEBSOCKET_SENT.labels(channel).inc(count)
        for why, counts in (("dropped", self._tally.dropped), ("conflated", self._tally.conflated)):
            for channel, count in counts.items():
                metrics.WEBSOCKET_LEFT_OUT.labels(channel, why).inc(count)
            counts.clear()
        self._tally.sent.clear()
        queues = [session.queued for session in self.sessions.values()]
        metrics.WEBSOCKET_QUEUED.set(sum(queues))
        metrics.WEBSOCKET_LONGEST_QUEUE.set(max(queues, default=0))
        for channel in Channel:
            wanted = sum(len(wishes) for key, wishes in self._wishes.items() if key[0] is channel and key[1])
            metrics.WEBSOCKET_SUBSCRIPTIONS.labels(channel).set(wanted)

    def _keep(self, update: Update) -> bool:
        if update.channel not in EVENTS:
            self.symbols.add(update.symbol)
        elif update.symbol not in self.symbols:
            update.symbol = GENERAL
        return self.book(update.channel, update.symbol).take(update)

    def _offer(self, update: Update) -> list[Session]:
        named = self._wishes.get((update.channel, update.symbol), {})
        everything = self._wishes.get((update.channel, WILDCARD))
        for session, wish in named.items():
            session.offer(update, wish)
        if not everything:
            return list(named)
        others = [session for session in everything if session not in named]
        for session in others:
            session.offer(update, everything[session])
        return [*named, *others]

    def _observe(self, sent: Sequence[Update]) -> None:
        now_us = self._clock.now_us()
        for update in sent:
            if update.received_us is not None and not update.final:
                self._delivered[update.channel].observe((now_us - update.received_us) / 1e6)

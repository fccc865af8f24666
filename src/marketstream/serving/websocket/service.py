"""What the clients of one process share: who may come, their sessions, and what is done for them.

Reads: through the hub and the loader. Called from one event loop.
"""

import asyncio

from marketstream.observability import metrics
from marketstream.ports import Clock
from marketstream.serving.access.access import Access
from marketstream.serving.access.keys import id_of
from marketstream.serving.websocket.client import Client
from marketstream.serving.websocket.hub import Hub
from marketstream.serving.websocket.limits import Admission
from marketstream.serving.websocket.protocol import (
    WILDCARD,
    Close,
    Fault,
    RequestError,
    Resume,
    Subscribe,
    Unsubscribe,
    message,
)
from marketstream.serving.websocket.session import Key, Session, Wish
from marketstream.serving.websocket.snapshots import Loader
from marketstream.serving.websocket.updates import Update
from marketstream.settings import WebSocketSettings

_PART_UPDATES = 500  # most in one message of a snapshot
_MOST_HISTORY = 2_000  # symbols of one request, times their history


class Service:
    """Sessions and requests.

    Args:
        settings: Bounds.
        hub: Books and sessions.
        loader: Fills the books.
        access: Who may.
        clock: Wall clock.
    """

    def __init__(self, settings: WebSocketSettings, hub: Hub, loader: Loader, access: Access, clock: Clock) -> None:
        self.settings = settings
        self.access = access
        self.admission = Admission(settings)
        self.clock = clock
        self._hub = hub
        self._loader = loader

    async def admit(self, client: Client, credential: str | None) -> None:
        """Lets a client in by its credential.

        Raises:
            AccessDeniedError: It may not listen here.
            TooManyRequestsError: It comes too often, or was wrong too often.
        """
        entry = await self.access.admit(credential, client.address)
        client.principal, client.key_id = entry.principal, id_of(credential or "")

    def join(self, client: Client) -> None:
        """Gives a client that is known a session, and greets it; or ends it where its principal has too many."""
        principal = client.principal
        if principal is None:
            return
        try:
            self.admission.enter(principal.name, limited=not self.access.open)  # open: all are one
        except RequestError as error:
            client.finish(Close.TOO_MANY_CLIENTS, str(error))
            return
        client.session = self._hub.open(principal.name, asyncio.get_running_loop())
        client.session.attach(client)
        metrics.WEBSOCKET_CLIENTS.inc()
        client.tell(_greeting(client.session, self.settings, self.clock.now_us()))

    def part(self, client: Client) -> None:
        """Notes that a connection is over; its session may be resumed for a while."""
        session = client.session
        if client.principal is None or session is None:
            return
        client.session = None
        self.admission.leave(client.principal.name)
        metrics.WEBSOCKET_CLIENTS.dec()
        session.detach(client)
        if session.link is None and (not session.seq or not self.settings.resume_seconds):
            self._hub.drop(session)  # there is nothing to resume

    def resume(self, client: Client, request: Resume) -> None:
        """Goes on with a former session, where it is still known, and says honestly where it is not whole.

        Raises:
            RequestError: The client has already subscribed.
        """
        own = _session_of(client)
        if own.subscriptions or own.seq:
            raise RequestError(Fault.RESUME_LATE, "`resume` comes before any `subscribe` of the connection")
        former = self._hub.sessions.get(request.session)
        if former is None or former is own or former.principal != own.principal:
            _tell_gap(client, request, "unknown", "no such session is known any more: subscribe again")
            return
        self._hub.drop(own)
        client.session = former
        former.attach(client)
        if not former.knows(request.seq):
            _tell_gap(client, request, "overrun", "more came than is kept: snapshots follow", seq=former.seq)
            self._mend(former)
            return
        metrics.WEBSOCKET_RESUMES.labels("resumed").inc()
        listed = _listed(former)
        told = {"session": former.id, "seq": request.seq, "through": former.seq, "subscriptions": listed}
        client.tell(message("resumed", request.id, **told))
        former.replay(request.seq)
        former.flush()

    async def subscribe(self, client: Client, request: Subscribe) -> None:
        """Subscribes, in one moment with the snapshot.

        Raises:
            RequestError: A symbol is unknown, or there are too many.
        """
        session = _session_of(client)
        keys = [(channel, symbol) for channel in request.channels for symbol in request.symbols]
        self._check_bounds(session, request)
        await self._loader.check_known(request.symbols)
        complete = not request.snapshot or await self._loader.load(keys, request.history)
        if client.session is not session or session.link is not client:
            return  # it was lost or resumed meanwhile
        self._check_bounds(session, request)
        session.flush()
        session.forget(keys)
        intervals = None if request.intervals is None else frozenset(request.intervals)
        self._hub.subscribe(session, keys, Wish(request.conflate_ms, intervals))
        told = {"symbols": request.symbols, "channels": request.channels, "conflate_ms": request.conflate_ms}
        client.tell(message("subscribed", request.id, **told, seq=session.seq))
        if request.snapshot:
            updates = self._hub.snapshot(keys, request.history, intervals)
            _send_snapshot(session, updates, complete=complete, **({} if request.id is None else {"id": request.id}))

    def unsubscribe(self, client: Client, request: Unsubscribe) -> None:
        """Takes subscriptions back; of `*`, that of `*` alone.

        Raises:
            RequestError: There is none of them.
        """
        session = _session_of(client)
        keys = [(channel, symbol) for channel in request.channels for symbol in request.symbols]
        session.flush()
        taken = self._hub.unsubscribe(session, keys)
        if not taken:
            raise RequestError(Fault.NOT_SUBSCRIBED, "none of this was subscribed to")
        session.forget(taken)
        symbols = list(dict.fromkeys(symbol for _, symbol in taken))
        channels = list(dict.fromkeys(channel for channel, _ in taken))
        client.tell(message("unsubscribed", request.id, symbols=symbols, channels=channels, seq=session.seq))

    def _mend(self, session: Session) -> None:
        """Sends the newest of all that the session wants, each as it wants it."""
        session.flush()
        session.forget(session.subscriptions)
        wanted: dict[frozenset[str] | None, list[Key]] = {}
        for key, wish in session.subscriptions.items():
            wanted.setdefault(wish.intervals, []).append(key)
        newest: dict[int, Update] = {}
        for intervals, keys in wanted.items():
            newest.update((id(update), update) for update in self._hub.snapshot(keys, 1, intervals))
        _send_snapshot(session, list(newest.values()), complete=True)

    def _check_bounds(self, session: Session, request: Subscribe) -> None:
        if WILDCARD in request.symbols and not self.settings.wildcard:
            raise RequestError(Fault.WILDCARD_OFF, "`*` is not allowed here: name the symbols")
        named = {symbol for _, symbol in session.subscriptions} | set(request.symbols)
        if len(named) > self.settings.max_symbols:
            raise RequestError(
                Fault.TOO_MANY_SYMBOLS,
                f"that would make {len(named)} symbols on this connection, where {self.settings.max_symbols} may be. "
                "Nothing of the request was done",
            )
        count = len(self._hub.symbols) if WILDCARD in request.symbols else len(request.symbols)
        if request.snapshot and request.history > 1 and count * request.history > _MOST_HISTORY:
            raise RequestError(
                Fault.TOO_MANY_SYMBOLS,
                f"a history of {request.history} is for at most {_MOST_HISTORY // request.history} symbols at once",
            )


def _greeting(session: Session, settings: WebSocketSettings, now_us: int) -> bytes:
    return message(
        "welcome",
        session=session.id,
        seq=session.seq,
        principal=session.principal,
        time_us=now_us,
        heartbeat_seconds=settings.heartbeat_seconds,
        resume_seconds=settings.resume_seconds,
        limits={
            "symbols": settings.max_symbols,
            "message_bytes": settings.max_message_bytes,
            "requests_per_second": settings.requests_per_second,
            "queue_updates": settings.queue_updates,
            "replay_updates": settings.replay_updates,
        },
    )


def _send_snapshot(session: Session, updates: list[Update], **fields: object) -> None:
    parts = [updates[at : at + _PART_UPDATES] for at in range(0, len(updates), _PART_UPDATES)] or [[]]
    for number, part in enumerate(parts, 1):
        session.send_snapshot(part, **fields, last=number == len(parts))


def _session_of(client: Client) -> Session:
    if client.session is None:
        raise RequestError(Fault.AUTH_REQUIRED, "the connection is ending")
    return client.session


def _tell_gap(client: Client, request: Resume, reason: str, text: str, **fields: object) -> None:
    metrics.WEBSOCKET_RESUMES.labels(reason).inc()
    session = client.session
    client.tell(
        message(
            "gap",
            request.id,
            reason=reason,
            message=text,
            session=session.id if session else None,
            subscriptions=_listed(session) if session else [],
            **fields,
        )
    )


def _listed(session: Session) -> list[dict[str, object]]:
    """Subscriptions as clients read them, by channel."""
    by_channel: dict[str, list[str]] = {}
    for channel, symbol in session.subscriptions:
        by_channel.setdefault(channel, []).append(symbol)
    return [{"channel": channel, "symbols": symbols} for channel, symbols in by_channel.items()]

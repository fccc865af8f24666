"""Access to one serving process: the gate, the limits and the audit log behind one door.

Whoever comes by HTTP goes through `enter`; a WebSocket that sends its credential as a message goes through `admit`.
"""

import asyncio
import hashlib
import ipaddress
from collections import OrderedDict
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from marketstream.domain.errors import AccessDeniedError, Denial
from marketstream.observability.metrics import ACCESS_REFUSED
from marketstream.serving.access.audit import AuditDesk
from marketstream.serving.access.gates import LockedGate
from marketstream.serving.access.limits import Allowance, Limiter, Policy, TooManyRequestsError, address_name
from marketstream.serving.access.principal import Gate, OpenGate, Part, Principal, Role
from marketstream.serving.access.refusals import BadCredentialsError, CrossSiteError
from marketstream.serving.access.sessions import Sessions

__all__ = [
    "Access",
    "Entry",
    "Part",
    "check_local",
    "check_same_site",
    "credential_of",
    "current_principal",
    "is_loopback",
    "speaking",
]

_MOST_REMEMBERED = 10_000
_CHECKS_AT_ONCE = 4

_current: ContextVar[Principal | None] = ContextVar("principal", default=None)


def current_principal() -> Principal | None:
    """Who asks, within a request; None outside of one, or where nobody was asked."""
    return _current.get()


@contextmanager
def speaking(principal: Principal | None) -> Iterator[None]:
    """Makes somebody the one who asks, for the block."""
    token = _current.set(principal)
    try:
        yield
    finally:
        _current.reset(token)


@dataclass(frozen=True, slots=True)
class Entry:
    """Somebody who came in (None where nobody was asked), and what they may still ask (None: as much as they like)."""

    principal: Principal | None
    allowance: Allowance | None


class Access:
    """Who may use one process. Its limits are an event loop's own.

    Args:
        part: Which part of the platform this is; keys may be for some parts only.
        gate: Open, or locked.
        audit: Where changes are recorded.
        limits: How much a principal may ask, and how often an address may be wrong.
        sessions: For screens: who is signed in.
    """

    def __init__(
        self,
        part: Part,
        gate: OpenGate | LockedGate,
        audit: AuditDesk,
        limits: tuple[Policy, Policy],
        sessions: Sessions | None = None,
    ) -> None:
        self.part = part
        self.audit = audit
        self.sessions = sessions
        self.pages: Collection[str] = ()  # other hosts whose pages may act at an open door, and open WebSockets
        self._gate = gate
        self._requests, self._failures = map(Limiter, limits)
        self._good: OrderedDict[bytes, None] = OrderedDict()
        self._checks = ThreadPoolExecutor(_CHECKS_AT_ONCE, thread_name_prefix="access")

    @property
    def open(self) -> bool:
        """Whether everybody is an admin, which only this machine may be."""
        return isinstance(self._gate, OpenGate)

    @property
    def gate(self) -> Gate:
        """Tells who somebody is; knows no limits."""
        return self._gate

    async def enter(self, headers: Headers, address: str, part: Part | None = None) -> Entry:
        """Lets somebody in by what their request brings, into this part of the platform or the process' own.

        Raises:
            AccessDeniedError: They may not come in.
            TooManyRequestsError: They ask too much, or were wrong too often.
            BadCredentialsError: They bring several credentials.
        """
        if isinstance(self._gate, OpenGate):
            return Entry(self._gate.admit(None), None)
        return await self.admit(credential_of(headers), address, part)

    async def admit(self, credential: str | None, address: str, part: Part | None = None) -> Entry:
        """Lets somebody in by a credential, as `enter` does; counts wrong ones by address, and requests by principal.

        Raises:
            AccessDeniedError: They may not come in.
            TooManyRequestsError: They ask too much, or were wrong too often.
        """
        if isinstance(self._gate, OpenGate):
            return Entry(self._gate.admit(None), None)
        name = address_name(address)
        try:
            self._refuse_guessing(credential, name)
            principal = await self._principal(self._gate, credential)
            principal.require(Role.VIEWER, part or self.part)
        except AccessDeniedError as error:
            ACCESS_REFUSED.labels(part or self.part, error.denial).inc()
            if error.denial is Denial.INVALID:
                self._failures.take(name)
            elif error.denial is Denial.MISSING:
                self.spend(name)
            raise
        self._remember(credential or "")
        return Entry(principal, self.spend(principal.name))

    def ended(self, key_id: str) -> AccessDeniedError | None:
        """Why an API key does not let anybody in any more; never waits: for connections that stay open."""
        if not isinstance(self._gate, LockedGate) or self._gate.keys is None:
            return None
        return self._gate.keys.ended(key_id)

    def spend(self, name: str) -> Allowance | None:
        """Counts one request of a principal or an address.

        Raises:
            TooManyRequestsError: It is one too many.
        """
        if self.open:
            return None
        allowance = self._requests.take(name)
        if not allowance.allowed:
            ACCESS_REFUSED.labels(self.part, "rate").inc()
            raise TooManyRequestsError("that is more than you may ask", allowance)
        return allowance

    def visitor(self, address: str) -> Allowance | None:
        """Counts one request of whoever nobody asks who they are."""
        return self.spend(address_name(address))

    def close(self) -> None:
        """Stores what is remembered of keys, and ends the threads."""
        if isinstance(self._gate, LockedGate) and self._gate.keys is not None:
            self._gate.keys.close()
        self._checks.shutdown(wait=False, cancel_futures=True)

    async def _principal(self, gate: LockedGate, credential: str | None) -> Principal:
        known = gate.recall(credential)
        if known is not None:
            return known
        return await asyncio.get_running_loop().run_in_executor(self._checks, gate.admit, credential)

    def _refuse_guessing(self, credential: str | None, name: str) -> None:
        """Nothing new is tried from an address that was wrong too often; what was right before still is."""
        if credential is None or _fingerprint(credential) in self._good:
            return
        allowance = self._failures.look(name)
        if not allowance.allowed:
            ACCESS_REFUSED.labels(self.part, "guessing").inc()
            raise TooManyRequestsError("too many wrong credentials came from your address", allowance)

    def _remember(self, credential: str) -> None:
        self._good[_fingerprint(credential)] = None
        self._good.move_to_end(_fingerprint(credential))
        if len(self._good) > _MOST_REMEMBERED:
            self._good.popitem(last=False)


def credential_of(headers: Headers) -> str | None:
    """The one credential of a request; None where it brings none.

    Raises:
        BadCredentialsError: It brings several, or one by another scheme.
    """
    authorizations, keys = headers.getlist("authorization"), headers.getlist("x-api-key")
    if len(authorizations) + len(keys) > 1:
        raise BadCredentialsError("bring one credential, in Authorization or in X-API-Key")
    if keys:
        return keys[0].strip() or None
    if not authorizations:
        return None
    scheme, _, credential = authorizations[0].strip().partition(" ")
    if scheme.lower() != "bearer":
        raise BadCredentialsError("of Authorization only the scheme Bearer is known")
    return credential.strip() or None


def check_local(headers: Headers, *, changes: bool, pages: Collection[str] = ()) -> None:
    """Keeps pages of other sites away from a server that asks nobody who they are.

    A page can make its own name point at this machine (DNS rebinding), and can send forms and open WebSockets to any
    address; a browser tells on it in `Host`, `Origin` and `Sec-Fetch-Site`.

    Args:
        headers: The request's.
        changes: Whether the request may change something, or opens a WebSocket.
        pages: Hosts whose pages may, besides this machine's.

    Raises:
        CrossSiteError: The request is not this machine's own.
    """
    if not is_loopback(_host_of(f"//{headers.get('host', '')}")[0]):
        raise CrossSiteError("without authentication only names of this machine are served, such as 127.0.0.1")
    if changes:
        check_same_site(headers, pages, local=True)


def check_same_site(headers: Headers, pages: Collection[str] = (), *, local: bool = False) -> None:
    """Refuses a request that a page of another site is behind.

    Args:
        headers: The request's.
        pages: Hosts that a page may be of besides the server's own.
        local: Whether it may be of any server on this machine, too.

    Raises:
        CrossSiteError: It is one.
    """
    if headers.get("sec-fetch-site") in ("same-origin", "none"):
        return
    origin = headers.get("origin")
    if origin is None:
        if "sec-fetch-site" in headers:
            raise CrossSiteError("a page of another site may not do this")
        return  # no browser: they all send one of the two
    name, place = _host_of(origin)
    if local and is_loopback(name):
        return
    if not place or (place != headers.get("host") and place not in pages):
        raise CrossSiteError("a page of another site may not do this")


def is_loopback(host: str) -> bool:
    """Whether a name or an address can only mean this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _host_of(url: str) -> tuple[str, str]:
    """The name in a URL, and the name with its port; empty where it is no URL."""
    try:
        parts = urlsplit(url)
        return parts.hostname or "", parts.netloc
    except ValueError:
        return "", ""


def _fingerprint(credential: str) -> bytes:
    return hashlib.blake2b(credential.encode("utf-8", "surrogateescape"), digest_size=16).digest()

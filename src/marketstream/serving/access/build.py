"""Builds the access of a serving process from the settings and the stores that it is handed."""

from collections.abc import Sequence
from urllib.parse import urlsplit

from marketstream.contracts.access import AccessStore
from marketstream.domain.errors import ConfigurationError
from marketstream.ports import Clock
from marketstream.serving.access.access import Access, Part, is_loopback
from marketstream.serving.access.audit import AuditDesk
from marketstream.serving.access.gates import KeyGate, LockedGate
from marketstream.serving.access.key_ring import KeyRing, RingLimits
from marketstream.serving.access.limits import Policy
from marketstream.serving.access.principal import OpenGate
from marketstream.serving.access.sessions import Sessions
from marketstream.serving.access.tokens import TokenGate
from marketstream.settings import AccessSettings, ServingSettings


def build_access(
    part: Part, settings: AccessSettings, store: AccessStore, clock: Clock, origins: Sequence[str] = ()
) -> Access:
    """The access of one process; nothing connects before somebody comes.

    Args:
        part: Which part of the platform the process is.
        settings: Who may.
        store: Where API keys are, and where changes are recorded.
        clock: For the end of keys and sessions.
        origins: Whose pages may change something where nobody is asked, and open WebSockets, besides those of this
            machine.
    """
    limits = (
        Policy("requests", settings.burst, settings.burst / settings.requests_per_second),
        Policy("failures", settings.failures, settings.failure_seconds),
    )
    gate, sessions = _gate(part, settings, store, clock) if settings.required else (OpenGate(), None)
    access = Access(part, gate, AuditDesk(store, clock), limits, sessions)
    access.pages = frozenset(urlsplit(origin).netloc for origin in origins)
    return access


def _gate(part: Part, settings: AccessSettings, store: AccessStore, clock: Clock) -> tuple[LockedGate, Sessions | None]:
    pepper = settings.pepper.get_secret_value()
    ring = KeyRing(store, clock, RingLimits(settings.cache_seconds, settings.outage_seconds))
    key_gate = KeyGate(ring, pepper, clock) if pepper else None
    token_gate = TokenGate(settings) if settings.jwt != "off" else None
    sessions = Sessions(pepper, settings.session_hours, key_gate, clock) if part == "dashboard" else None
    return LockedGate(key_gate, token_gate), sessions


def check_host(serving: ServingSettings, access: AccessSettings | None = None) -> None:
    """Refuses to serve strangers where nothing asks who they are.

    Args:
        serving: Where the process would listen.
        access: Who may; None where nothing asks.

    Raises:
        ConfigurationError: The host is not loopback.
    """
    if is_loopback(serving.host) or serving.allow_remote or (access is not None and access.required):
        return
    raise ConfigurationError(
        f"MARKETSTREAM_SERVING__HOST={serving.host} would open the data to the network, and nothing asks who is there: "
        "set MARKETSTREAM_ACCESS__REQUIRED=true and make a key with `marketstream keys create`, or use 127.0.0.1"
    )

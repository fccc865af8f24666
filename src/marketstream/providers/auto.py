"""Decides which feeds to use: expands `auto` to Binance where it can be reached, else to the bundled replay server."""

import socket
import ssl
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from urllib.parse import urlsplit

from pydantic import SecretStr

from marketstream.observability.logs import get_logger
from marketstream.settings import ProviderSettings, ReplaySettings, Settings

_REACH_SECONDS = 3.0
_SECURE = {"wss", "https"}
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_ANY_KEY = SecretStr("replay")  # the bundled server takes any but an empty one
_logger = get_logger("feeds")


@dataclass(frozen=True, slots=True)
class Feed:
    """One feed to connect to.

    Attributes:
        provider: The adapter's name.
        endpoint: Where it is.
        bundled: Whether that is the bundled replay server, which must then be started.
    """

    provider: str
    endpoint: ProviderSettings
    bundled: bool


def resolve_feeds(settings: Settings, *, reachable: Callable[[str], bool] | None = None) -> list[Feed]:
    """The feeds in failover order, each once. Takes up to 3 s where `auto` has to try the network.

    Args:
        settings: The platform's settings.
        reachable: Tells whether a WebSocket address answers; a TCP and TLS handshake unless given.
    """
    feeds = []
    for name in settings.providers:
        if name == "auto":
            feeds.append(_automatic(settings, reachable or can_reach))
        else:
            feeds.append(_named(name, settings))
    return list(dict.fromkeys(feeds))


def replay_endpoint(replay: ReplaySettings) -> ProviderSettings:
    """Where the bundled replay server listens."""
    authority = f"{replay.host}:{replay.port}"
    return ProviderSettings(websocket_url=f"ws://{authority}", rest_url=f"http://{authority}")


def is_bundled(endpoint: ProviderSettings, replay: ReplaySettings) -> bool:
    """Whether the endpoint is the bundled replay server's."""
    address = urlsplit(endpoint.websocket_url or endpoint.rest_url)
    same_host = address.hostname == replay.host or {address.hostname, replay.host} <= _LOOPBACK
    return same_host and address.port == replay.port


def can_reach(url: str) -> bool:
    """Whether a TCP connection, and for `wss` a TLS handshake, succeeds within 3 s, the name's look-up included."""
    answer: Future[bool] = Future()
    # A thread that nobody waits for, because a look-up of a name can't be given a time limit.
    threading.Thread(target=lambda: answer.set_result(_handshake(url)), daemon=True).start()
    try:
        return answer.result(timeout=_REACH_SECONDS)
    except TimeoutError:
        return False


def _handshake(url: str) -> bool:
    address = urlsplit(url)
    secure = address.scheme in _SECURE
    target = (address.hostname or "", address.port or (443 if secure else 80))
    try:
        with socket.create_connection(target, timeout=_REACH_SECONDS) as connection:
            if secure:
                ssl.create_default_context().wrap_socket(connection, server_hostname=target[0]).close()
    except OSError as error:
        _logger.info("not reachable", host=target[0], why=str(error))
        return False
    return True


def _named(name: str, settings: Settings) -> Feed:
    endpoint: ProviderSettings = getattr(settings, name)
    bundled = is_bundled(endpoint, settings.replay)
    if bundled and not endpoint.api_key.get_secret_value():
        endpoint = endpoint.model_copy(update={"api_key": _ANY_KEY})
    return Feed(name, endpoint, bundled)


def _automatic(settings: Settings, reachable: Callable[[str], bool]) -> Feed:
    endpoint: ProviderSettings = settings.binance
    if not reachable(endpoint.websocket_url):
        endpoint = replay_endpoint(settings.replay)
    return Feed("binance", endpoint, is_bundled(endpoint, settings.replay))

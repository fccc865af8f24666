"""Decides which feeds to use: expands `auto` to Binance where it can be reached, else to the bundled replay server."""

import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from urllib.parse import urlsplit

from pydantic import SecretStr

from marketstream.observability.logs import get_logger
from marketstream.settings import FmpSettings, ProviderSettings, ReplaySettings, Settings

_REACH_SECONDS = 3.0
_SECURE = {"wss", "https"}
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_ANY_KEY = SecretStr("replay")  # the bundled server takes any but an empty one
_logger = get_logger("feeds")

# What follows the bundled server's address in each provider's WebSocket URL; None where it has no stream.
REPLAY_PATHS: Mapping[str, str | None] = {
    "polygon": "/stocks",
    "finage": "/finage",
    "alpha_vantage": None,
    "fmp": "/fmp",
    "finazon": "/v1",
    "binance": "",
    "binance_usdm": "",
}


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
    return [feed for index, feed in enumerate(feeds) if feed not in feeds[:index]]


def replay_endpoint(settings: Settings, provider: str) -> ProviderSettings:
    """A provider's settings with the bundled replay server's addresses."""
    endpoint: ProviderSettings = getattr(settings, provider)
    authority = f"{settings.replay.host}:{settings.replay.port}"
    path = REPLAY_PATHS[provider]
    stream = "" if path is None else f"ws://{authority}{path}"
    urls = {"websocket_url": stream, "rest_url": f"http://{authority}", **_further_urls(endpoint, stream)}
    return endpoint.model_copy(update=urls)


def is_bundled(endpoint: ProviderSettings, replay: ReplaySettings) -> bool:
    """Whether any of the endpoint's addresses is the bundled replay server's."""
    urls = (getattr(endpoint, name) for name in type(endpoint).model_fields if name.endswith("_url"))
    return any(_is_replay(url, replay) for url in urls)


def _is_replay(url: str, replay: ReplaySettings) -> bool:
    address = urlsplit(url)
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
    return Feed(name, _opened(endpoint, settings.replay) if bundled else endpoint, bundled)


def _opened(endpoint: ProviderSettings, replay: ReplaySettings) -> ProviderSettings:
    """The endpoint with keys where it has none, and with all its streams at the replay server if the first is."""
    keys = {
        name: _ANY_KEY
        for name in type(endpoint).model_fields
        if name.endswith("api_key") and not getattr(endpoint, name).get_secret_value()
    }
    stream = endpoint.websocket_url
    further = _further_urls(endpoint, stream) if _is_replay(stream, replay) else {}
    away = {name: url for name, url in further.items() if not _is_replay(getattr(endpoint, name), replay)}
    return endpoint.model_copy(update={**keys, **away})


def _further_urls(endpoint: ProviderSettings, stream: str) -> dict[str, str]:
    if not isinstance(endpoint, FmpSettings):
        return {}
    base = stream.rstrip("/")
    return {"crypto_websocket_url": f"{base}/crypto", "forex_websocket_url": f"{base}/forex"}


def _automatic(settings: Settings, reachable: Callable[[str], bool]) -> Feed:
    endpoint: ProviderSettings = settings.binance
    if not reachable(endpoint.websocket_url):
        endpoint = replay_endpoint(settings, "binance")
    return Feed("binance", endpoint, is_bundled(endpoint, settings.replay))

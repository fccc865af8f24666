"""What every HTTP process shares: request ids, timing, metrics, security headers, compression, and how it is served."""

import gc
import re
import time
import uuid
from collections.abc import MutableMapping, Sequence
from functools import lru_cache

import structlog
import uvicorn
from prometheus_client import Counter, Histogram
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from marketstream.observability.logs import get_logger
from marketstream.observability.metrics import REQUEST_SECONDS, REQUESTS
from marketstream.serving.access.access import is_loopback
from marketstream.serving.access.build import check_host
from marketstream.settings import AccessSettings, ServingSettings

__all__ = ["Envelope", "announce", "check_host", "enveloped", "serve"]

REQUEST_ID = "X-Request-ID"
_SAFE_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_COMMON_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}

_LONGEST_MESSAGE = 65_536  # bytes that a WebSocket's client may send at once
_REQUEST_ID_HEADER = REQUEST_ID.lower().encode()
_SLOW_SECONDS = 0.1  # from here on an exemplar says which request it was
_HSTS = ((b"strict-transport-security", b"max-age=31536000"),)
_EXPOSED_HEADERS = (
    *("Content-Disposition", "ETag", "Link", "RateLimit", "RateLimit-Policy", "Retry-After", "WWW-Authenticate"),
    REQUEST_ID,
    *("X-Data-Source", "X-Data-Stale", "X-Data-Degraded"),
)
_COMPRESSED_ALREADY = (  # a short list: it is gone through for every request
    "application/vnd.apache.parquet",
    "application/vnd.apache.arrow.stream",
    "image/png",
    "font/woff2",
)

_log = get_logger("http")


class Envelope:
    """ASGI middleware around a whole application.

    Gives every request an id (the caller's, if it is a short plain word), counts and times it by route template, tells
    the server's share of the time in `Server-Timing`, and adds the security headers.

    Args:
        app: The application.
        content_security_policy: Where the pages may load from.
    """

    def __init__(self, app: ASGIApp, content_security_policy: str) -> None:
        self._app = app
        headers = _COMMON_HEADERS | {"Content-Security-Policy": content_security_policy}
        self._headers = [(name.lower().encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        status = 500

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                milliseconds = (time.perf_counter() - started) * 1_000
                given = {name for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    *(header for header in self._headers if header[0] not in given),
                    (_REQUEST_ID_HEADER, request_id.encode()),
                    (b"server-timing", f"app;dur={milliseconds:.2f}".encode()),
                    *(_HSTS if scope["scheme"] == "https" else ()),
                ]
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, send_with_headers)
            finally:
                _record(scope, status, time.perf_counter() - started, request_id)


def enveloped(app: Starlette, content_security_policy: str, cors_origins: Sequence[str] = ()) -> ASGIApp:
    """The application as it is served: answers above 1 kB compressed, and the envelope around everything.

    The envelope is outside the application, not one of its middlewares, so that crashes get it too; so is what lets
    other origins' pages read the answers, where any are named.
    """
    # Level 4 costs a third of level 9's time for nearly its size.
    app.add_middleware(GZipMiddleware, minimum_size=1_024, compresslevel=4, exclude_content_types=_COMPRESSED_ALREADY)
    if not cors_origins:
        return Envelope(app, content_security_policy)
    shared = CORSMiddleware(
        app,
        allow_origins=cors_origins,
        allow_methods=("GET", "POST", "PUT", "PATCH", "DELETE"),
        allow_headers=("Authorization", "Content-Type", "If-None-Match", "X-API-Key", REQUEST_ID),
        expose_headers=_EXPOSED_HEADERS,
    )
    return Envelope(shared, content_security_policy)


def serve(app: ASGIApp, settings: ServingSettings, port: int, access: AccessSettings | None = None) -> None:
    """Serves until SIGTERM or SIGINT, then finishes open requests for up to 5 seconds.

    Args:
        app: What is served.
        settings: Where, and with which certificate.
        port: At which port.
        access: Who may; None where nothing asks.

    Raises:
        ConfigurationError: The host is not loopback, and nothing asks who is there.
    """
    check_host(settings, access)
    gc.collect()
    gc.freeze()  # what is loaded now stays; no collection need look at it again while requests wait
    announce(settings, port)
    uvicorn.run(
        app,
        host=settings.host,
        port=port,
        loop="uvloop",
        http="httptools",
        ws_max_size=_LONGEST_MESSAGE,
        ws_per_message_deflate=False,  # a client's own window of 32 kB and more
        log_config=None,  # our own is configured
        access_log=False,  # the envelope counts requests, and failures are logged
        server_header=False,
        forwarded_allow_ips=settings.trusted_proxies,
        ssl_certfile=settings.tls_certificate,
        ssl_keyfile=settings.tls_key,
        timeout_graceful_shutdown=5,
    )


def announce(settings: ServingSettings, port: int, scheme: str = "http") -> None:
    """Says in the log where a process serves, and warns where credentials could be read on their way."""
    if settings.tls_certificate is None and not is_loopback(settings.host):
        _log.warning("credentials cross the network in clear: set a certificate, or put a proxy with one in front")
    _log.info("serving", url=f"{scheme}{'s' if settings.tls_certificate else ''}://{settings.host}:{port}")


def _request_id(scope: Scope) -> str:
    offered = next((value.decode("latin-1") for name, value in scope["headers"] if name == _REQUEST_ID_HEADER), None)
    return offered if offered and _SAFE_REQUEST_ID.fullmatch(offered) else uuid.uuid4().hex


@lru_cache(maxsize=1_000)  # to look up what carries these labels costs more than to count
def _measures(route: str, method: str, status: int) -> tuple[Counter, Histogram]:
    return REQUESTS.labels(route, method, status), REQUEST_SECONDS.labels(route)


def _record(scope: MutableMapping[str, object], status: int, seconds: float, request_id: str) -> None:
    route = getattr(scope.get("route"), "path", None) or "unmatched"
    count, duration = _measures(route, str(scope["method"]), status)
    count.inc()
    duration.observe(seconds, {"request_id": request_id} if seconds > _SLOW_SECONDS else None)
    if status >= 500:
        _log.warning("request failed", path=scope["path"], status=status, milliseconds=round(seconds * 1_000, 1))

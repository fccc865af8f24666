"""What every HTTP process shares: request ids, timing, metrics, security headers, compression, and how it is served."""

import re
import time
import uuid
from collections.abc import Mapping, MutableMapping

import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from marketstream.observability.logs import get_logger
from marketstream.observability.metrics import REQUEST_SECONDS, REQUESTS
from marketstream.serving.access.access import is_loopback
from marketstream.serving.access.build import check_host
from marketstream.settings import AccessSettings, ServingSettings

__all__ = ["Envelope", "check_host", "enveloped", "serve"]

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
        self._headers: Mapping[str, str] = _COMMON_HEADERS | {"Content-Security-Policy": content_security_policy}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        request_id = _request_id(Headers(scope=scope).get(REQUEST_ID))
        scope.setdefault("state", {})["request_id"] = request_id
        status = 500

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
                if scope["scheme"] == "https":
                    headers.setdefault("Strict-Transport-Security", "max-age=31536000")
                headers[REQUEST_ID] = request_id
                headers["Server-Timing"] = f"app;dur={(time.perf_counter() - started) * 1_000:.2f}"
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, send_with_headers)
            finally:
                _record(scope, status, time.perf_counter() - started)


def enveloped(app: Starlette, content_security_policy: str) -> ASGIApp:
    """The application as it is served: answers above 1 kB compressed, and the envelope around everything.

    The envelope is outside the application, not one of its middlewares, so that crashes get it too.
    """
    # Level 4 costs a third of level 9's time for nearly its size.
    app.add_middleware(GZipMiddleware, minimum_size=1_024, compresslevel=4)
    return Envelope(app, content_security_policy)


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
    scheme = "https" if settings.tls_certificate else "http"
    if scheme == "http" and not is_loopback(settings.host):
        _log.warning("credentials cross the network in clear: set a certificate, or put a proxy with one in front")
    _log.info("serving", url=f"{scheme}://{settings.host}:{port}")
    uvicorn.run(
        app,
        host=settings.host,
        port=port,
        loop="uvloop",
        http="httptools",
        log_config=None,  # our own is configured
        access_log=False,  # the envelope counts requests, and failures are logged
        server_header=False,
        forwarded_allow_ips=settings.trusted_proxies,
        ssl_certfile=settings.tls_certificate,
        ssl_keyfile=settings.tls_key,
        timeout_graceful_shutdown=5,
    )


def _request_id(offered: str | None) -> str:
    return offered if offered and _SAFE_REQUEST_ID.fullmatch(offered) else uuid.uuid4().hex


def _record(scope: MutableMapping[str, object], status: int, seconds: float) -> None:
    route = getattr(scope.get("route"), "path", None) or "unmatched"
    REQUESTS.labels(route, scope["method"], status).inc()
    REQUEST_SECONDS.labels(route).observe(seconds)
    if status >= 500:
        _log.warning("request failed", path=scope["path"], status=status, milliseconds=round(seconds * 1_000, 1))

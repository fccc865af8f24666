"""Asks everybody who looks at the screens who they are: a sign-in page, and a session in a cookie after it."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from urllib.parse import parse_qs, quote

from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from marketstream.domain.errors import AccessDeniedError, Denial
from marketstream.observability.metrics import ACCESS_REFUSED
from marketstream.serving.access.access import Access, check_local, check_same_site, speaking
from marketstream.serving.access.limits import TooManyRequestsError
from marketstream.serving.access.middleware import REFUSALS, WEBSOCKET_REFUSED, address_of, origin_of
from marketstream.serving.access.pages import POLICY, SCRIPT, STYLE, sign_in_page
from marketstream.serving.access.principal import Principal, Role
from marketstream.serving.access.refusals import no_route, refusal
from marketstream.serving.access.rules import SAFE_METHODS
from marketstream.serving.access.sessions import Sessions

_PUBLIC = ("/health/live", "/health/ready")
_MOST_FORM_BYTES = 16_384
_PLAIN_COOKIE = "marketstream_session"
_TLS_COOKIE = f"__Host-{_PLAIN_COOKIE}"


class ScreenGuard:
    """ASGI middleware around the screens.

    Browsers that are not signed in are sent to the sign-in page, programs are told 401. Whoever brings an API key or a
    token with each request needs no session.

    Args:
        app: The screens.
        access: The door, with its sessions.
        role: The least role.
    """

    def __init__(self, app: ASGIApp, access: Access, role: Role = Role.VIEWER) -> None:
        self._app = app
        self._access = access
        self._role = role
        self._own: dict[tuple[str, str], Callable[[Request, Sessions], Awaitable[Response]]] = {
            ("GET", "/login"): self._show,
            ("POST", "/login"): self._sign_in,
            ("POST", "/logout"): self._sign_out,
            ("GET", "/login/login.css"): _style,
            ("GET", "/login/scheme.js"): _script,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request, or refuses it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        request = Request({**scope, "type": "http", "method": scope.get("method", "GET")}, receive)
        try:
            await self._serve(request, scope, receive, send)
        except REFUSALS as error:
            if scope["type"] == "websocket":
                await receive()
                await send({"type": "websocket.close", "code": WEBSOCKET_REFUSED, "reason": "not allowed"})
                return
            answer = _to_sign_in(request) if _wants_page(request, error) else refusal(scope, error, self._role)
            await answer(scope, receive, send)

    async def _serve(self, request: Request, scope: Scope, receive: Receive, send: Send) -> None:
        state = scope.setdefault("state", {})
        state["principal"] = None
        changes = scope["type"] == "websocket" or request.method not in SAFE_METHODS
        if self._access.open:
            check_local(request.headers, changes=changes)
            state["principal"] = (await self._access.enter(request.headers, "")).principal
        elif request.url.path in _PUBLIC:
            self._access.visitor(address_of(scope))
        elif (request.url.path + "/").startswith(("/login/", "/logout/")):
            await (await self._answer(request))(scope, receive, send)
            return
        else:
            if changes:
                check_same_site(request.headers)
            state["principal"] = await self._principal(request)
        with speaking(state["principal"]):
            await self._app(scope, receive, send)

    async def _principal(self, request: Request) -> Principal:
        cookie, sessions = _cookie(request), self._access.sessions
        if cookie is None or sessions is None:
            principal = (await self._access.enter(request.headers, address_of(request.scope))).principal
            assert principal is not None  # noqa: S101  # a locked gate admits nobody unknown
        else:
            try:
                principal = await asyncio.to_thread(sessions.principal_of, cookie)
            except AccessDeniedError as error:
                ACCESS_REFUSED.labels(self._access.part, error.denial).inc()
                self._access.visitor(address_of(request.scope))
                raise
            self._access.spend(principal.name)
        principal.require(self._role, self._access.part)
        return principal

    async def _answer(self, request: Request) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        handler, sessions = self._own.get((method, request.url.path)), self._access.sessions
        allowed = {each: None for each, path in self._own if path == request.url.path}
        if handler is None or sessions is None:
            return no_route(request.scope, allowed)
        self._access.visitor(address_of(request.scope))
        if method not in SAFE_METHODS:
            check_same_site(request.headers)
        return await handler(request, sessions)

    async def _show(self, request: Request, sessions: Sessions) -> Response:
        following = _own_path(request.query_params.get("next"))
        cookie = _cookie(request)
        if cookie is not None:
            try:
                await asyncio.to_thread(sessions.principal_of, cookie)
                return RedirectResponse(following, 303)
            except AccessDeniedError:
                pass
        return _page(sign_in_page(following))

    async def _sign_in(self, request: Request, sessions: Sessions) -> Response:
        form = await _form(request)
        following, credential = _own_path(form.get("next")), form.get("credential", "").strip()
        try:
            entry = await self._access.admit(credential, address_of(request.scope))
            assert entry.principal is not None  # noqa: S101  # a locked gate admits nobody unknown
            entry.principal.require(self._role, self._access.part)
        except AccessDeniedError as error:
            status = 503 if error.denial is Denial.UNCHECKED else 401
            return _page(sign_in_page(following, f"That did not work: {error}."), status)
        except TooManyRequestsError as error:
            fault = f"Too many tries: wait {error.retry_after_seconds} s."
            return _page(sign_in_page(following, fault), 429, {"Retry-After": str(error.retry_after_seconds)})
        value, seconds = sessions.begin(entry.principal, credential)
        await self._record(request, entry.principal.name, "sign-in")
        answer = RedirectResponse(following, 303, {"Cache-Control": "no-store"})
        _set_cookie(request, answer, value, seconds)
        return answer

    async def _sign_out(self, request: Request, sessions: Sessions) -> Response:
        cookie = _cookie(request)
        who = sessions.end(cookie) if cookie else None
        if who is not None:
            await self._record(request, who, "sign-out")
        answer = RedirectResponse("/login", 303, {"Cache-Control": "no-store", "Clear-Site-Data": '"cache"'})
        _set_cookie(request, answer, "", 0)
        return answer

    async def _record(self, request: Request, who: str, action: str) -> None:
        record = partial(self._access.audit.record, who, action, "dashboard", "done", origin_of(request.scope))
        await asyncio.to_thread(record)


async def _style(_request: Request, _sessions: Sessions) -> Response:
    return Response(STYLE, media_type="text/css", headers={"Cache-Control": "public, max-age=3600"})


async def _script(_request: Request, _sessions: Sessions) -> Response:
    return Response(SCRIPT, media_type="text/javascript", headers={"Cache-Control": "public, max-age=3600"})


async def _form(request: Request) -> dict[str, str]:
    body = b""
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > _MOST_FORM_BYTES:
                return {}
    except ClientDisconnect:
        return {}
    fields = parse_qs(body.decode("ascii", "replace"), max_num_fields=8)
    return {name: values[0] for name, values in fields.items()}


def _page(html: str, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return HTMLResponse(
        html, status, {"Cache-Control": "no-store", "Content-Security-Policy": POLICY, **(headers or {})}
    )


def _own_path(following: str | None) -> str:
    """A path of this server; anything that a browser could take for another address is the first page."""
    plain = following is not None and following.isascii() and following.isprintable()
    if not following or not plain or not following.startswith("/") or following[1:2] in ("/", "\\"):
        return "/"
    return "/" if following.startswith(("/login", "/logout")) else following[:1_000]


def _wants_page(request: Request, error: Exception) -> bool:
    navigates = request.method == "GET" and "text/html" in request.headers.get("accept", "")
    return navigates and isinstance(error, AccessDeniedError) and error.denial not in (Denial.ROLE, Denial.SCOPE)


def _to_sign_in(request: Request) -> Response:
    query = f"?{request.url.query}" if request.url.query else ""
    following = _own_path(f"{request.url.path}{query}")
    return RedirectResponse(f"/login?next={quote(following, safe='')}", 303, {"Cache-Control": "no-store"})


def _cookie(request: Request) -> str | None:
    return request.cookies.get(_TLS_COOKIE if request.url.scheme in ("https", "wss") else _PLAIN_COOKIE)


def _set_cookie(request: Request, answer: Response, value: str, seconds: int) -> None:
    secure = request.url.scheme == "https"
    name = _TLS_COOKIE if secure else _PLAIN_COOKIE
    answer.set_cookie(name, value, max_age=seconds, path="/", secure=secure, httponly=True, samesite="strict")

"""Asks everybody who they are before an application hears of them: ASGI middleware for REST, GraphQL and the like."""

import asyncio
from collections.abc import Iterable, Mapping
from functools import partial

from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from marketstream.contracts.access import Outcome
from marketstream.domain.errors import AccessDeniedError
from marketstream.observability.metrics import ACCESS_REFUSED
from marketstream.serving.access.access import Access, Entry, check_local, speaking
from marketstream.serving.access.audit import Origin
from marketstream.serving.access.limits import Allowance, TooManyRequestsError
from marketstream.serving.access.principal import Part, Principal
from marketstream.serving.access.refusals import BadCredentialsError, CrossSiteError, no_route, refusal
from marketstream.serving.access.rules import SAFE_METHODS, Rule, Rules

REFUSALS = (AccessDeniedError, TooManyRequestsError, BadCredentialsError, CrossSiteError)
WEBSOCKET_REFUSED = 4_401
_ANYBODY = Rule(None)


def guard(app: Starlette, access: Access, rules: Rules) -> None:
    """Puts the guard next to the routes, inside every other middleware, so that these dress its refusals too.

    Call it when every route is there.

    Raises:
        ConfigurationError: A route has no rule.
    """
    rules.check(app.routes)
    app.user_middleware.append(Middleware(Guard, access=access, rules=rules))


class Guard:
    """ASGI middleware: no rule, no route; and past it only those with the rule's role.

    Puts the `Principal` into `scope["state"]["principal"]` (None where nobody was asked), tells what is left of the
    principal's rate, and records changes in the audit log before their answer is sent; a route adds to the record by
    putting a mapping into `scope["state"]["audit"]`.

    Args:
        app: What is guarded.
        access: The door.
        rules: Which route needs which role.
    """

    def __init__(self, app: ASGIApp, access: Access, rules: Rules) -> None:
        self._app = app
        self._access = access
        self._rules = rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request, or refuses it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        rules = self._rules.of(scope["path"])
        rule = _rule(scope, rules)
        try:
            entry = await self._enter(scope, rule)
            if rule is None:
                await _refuse(no_route(scope, rules), scope, receive, send)
                return
            self._require(entry.principal, rule)
        except REFUSALS as error:
            await self._tell_refused(scope, rule, error)
            await _refuse(refusal(scope, error, rule.role if rule else None), scope, receive, send)
            return
        await self._pass(scope, receive, partial(_dressed, send, scope, entry.allowance), rule)

    async def _enter(self, scope: Scope, rule: Rule | None) -> Entry:
        headers, address = Headers(scope=scope), address_of(scope)
        changes = scope["type"] == "websocket" or scope["method"] not in SAFE_METHODS
        if self._access.open:
            check_local(headers, changes=changes, pages=self._access.pages)
        state = scope.setdefault("state", {})
        state["principal"] = None
        if rule is not None and rule.role is None:
            return await self._visit(headers, address, state, rule.part)
        entry = await self._access.enter(headers, address, rule.part if rule else None)
        state["principal"] = entry.principal
        return entry

    async def _visit(self, headers: Headers, address: str, state: dict[str, object], part: Part | None) -> Entry:
        """Somebody nobody asks who they are; whoever says so all the same is known to the route."""
        if self._access.open or "authorization" in headers or "x-api-key" in headers:
            try:
                entry = await self._access.enter(headers, address, part)
            except (AccessDeniedError, BadCredentialsError):
                pass
            else:
                state["principal"] = entry.principal
                return entry
        return Entry(None, self._access.visitor(address))

    def _require(self, principal: Principal | None, rule: Rule) -> None:
        if rule.role is None or principal is None:
            return
        part = rule.part or self._access.part
        try:
            principal.require(rule.role, part)
        except AccessDeniedError as error:
            ACCESS_REFUSED.labels(part, error.denial).inc()
            raise

    async def _pass(self, scope: Scope, receive: Receive, send: Send, rule: Rule) -> None:
        principal = scope["state"]["principal"]
        with speaking(principal):
            if rule.audited and principal is not None:
                await self._app(scope, receive, partial(self._audited, scope, send))
            else:
                await self._app(scope, receive, send)

    async def _audited(self, scope: Scope, send: Send, message: Message) -> None:
        if message["type"] == "http.response.start":
            await self._record(scope, "done" if message["status"] < 400 else "failed", message["status"])
        await send(message)

    async def _tell_refused(self, scope: Scope, rule: Rule | None, error: Exception) -> None:
        """Of changes, those are recorded that somebody known was refused; strangers are only counted."""
        known = scope.get("state", {}).get("principal") is not None
        if rule is not None and rule.audited and known and isinstance(error, AccessDeniedError):
            await self._record(scope, "refused", 403)

    async def _record(self, scope: Scope, outcome: Outcome, status: int) -> None:
        action = f"{scope['method']} {scope['path']}"
        detail = {"status": status, **scope["state"].get("audit", {})}
        record = partial(self._access.audit.record, **detail)
        await asyncio.to_thread(
            record, scope["state"]["principal"].name, action, scope["path"], outcome, origin_of(scope)
        )


def _rule(scope: Scope, rules: Mapping[str, Rule]) -> Rule | None:
    if scope["type"] == "websocket":
        return rules.get("WS")
    method = scope["method"]
    if method == "OPTIONS" and rules:
        return _ANYBODY  # a browser asks before it brings credentials; no route answers it, only CORS does
    return rules.get("GET" if method == "HEAD" else method)


async def _refuse(answer: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()  # the request to connect
        await send({"type": "websocket.close", "code": WEBSOCKET_REFUSED, "reason": "not allowed"})
        return
    await answer(scope, receive, send)


async def _dressed(send: Send, scope: Scope, allowance: Allowance | None, message: Message) -> None:
    """Tells what is left, and keeps what was answered to one out of caches that others read."""
    if message["type"] == "http.response.start" and allowance is not None:
        headers = MutableHeaders(scope=message)
        headers.update(allowance.headers)
        if scope["state"].get("principal") is not None:
            headers.add_vary_header("Authorization, X-API-Key")
            parts = [part.strip() for part in headers.get("cache-control", "no-cache").split(",")]
            if "no-store" not in parts:
                kept: Iterable[str] = (part for part in parts if part not in ("public", "private"))
                headers["Cache-Control"] = ", ".join(["private", *kept])
    await send(message)


def address_of(scope: Scope) -> str:
    """Where a request came from; a trusted proxy's word for it is taken by the server."""
    client = scope.get("client")
    return str(client[0]) if client else ""


def origin_of(scope: Scope) -> Origin:
    """The same for the audit log, with the request's id."""
    return Origin(address=address_of(scope), request_id=str(scope.get("state", {}).get("request_id", "")))

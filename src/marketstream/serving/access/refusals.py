"""What somebody who may not is told: problem details (RFC 9457) with `WWW-Authenticate` (RFC 6750, RFC 9110)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson
from starlette.responses import Response
from starlette.types import Scope

from marketstream.domain.errors import AccessDeniedError, Denial
from marketstream.serving.access.limits import TooManyRequestsError
from marketstream.serving.access.principal import Role

MEDIA_TYPE = "application/problem+json"
QUOTA_EXCEEDED = "https://iana.org/assignments/http-problem-types#quota-exceeded"
RETRY_AFTER_SECONDS = 2
_REALM = 'Bearer realm="marketstream"'
_TITLES = {
    Denial.MISSING: "Authentication required",
    Denial.INVALID: "Credential not valid",
    Denial.EXPIRED: "Credential expired",
    Denial.REVOKED: "Credential revoked",
    Denial.ROLE: "Role too low",
    Denial.SCOPE: "Key for something else",
    Denial.UNCHECKED: "Credentials can't be checked",
}
_HINT = "Send `Authorization: Bearer <key or token>` or `X-API-Key: <key>`."


class BadCredentialsError(Exception):
    """A request brings several credentials, or one in a way that is not supported."""


class CrossSiteError(Exception):
    """A page of another site is behind a request, or it was sent to a name that is not this server's."""


def refusal(scope: Scope, error: Exception, needed: Role | None = None) -> Response:
    """The answer to whoever may not.

    Args:
        scope: Of the request.
        error: Why not.
        needed: The role that would be enough, where that is the reason.
    """
    if isinstance(error, TooManyRequestsError):
        return _too_many(scope, error)
    if isinstance(error, BadCredentialsError):
        headers = {"WWW-Authenticate": _challenge("invalid_request", str(error))}
        return problem(
            scope, 400, Words("/problems/bad-credentials", "Credentials not understood", str(error)), headers
        )
    if isinstance(error, CrossSiteError):
        return problem(scope, 403, Words("/problems/cross-site", "Request of another site", str(error)))
    assert isinstance(error, AccessDeniedError)  # noqa: S101  # there is no other kind
    return _denied(scope, error, needed)


def _denied(scope: Scope, error: AccessDeniedError, needed: Role | None) -> Response:
    detail = f"{str(error)[:1].upper()}{str(error)[1:]}."
    words = Words(f"/problems/access-{error.denial}", _TITLES[error.denial], detail)
    if error.denial is Denial.UNCHECKED:
        return problem(scope, 503, words, {"Retry-After": str(RETRY_AFTER_SECONDS)})
    if error.denial in (Denial.ROLE, Denial.SCOPE):
        wanted = f', scope="{needed.word}"' if needed and error.denial is Denial.ROLE else ""
        headers = {"WWW-Authenticate": _challenge("insufficient_scope", str(error)) + wanted}
        return problem(scope, 403, words, headers)
    if error.denial is Denial.MISSING:  # RFC 6750: a request without credentials is told no error code
        return problem(scope, 401, replace(words, detail=f"{detail} {_HINT}"), {"WWW-Authenticate": _REALM})
    return problem(scope, 401, words, {"WWW-Authenticate": _challenge("invalid_token", str(error))})


def _too_many(scope: Scope, error: TooManyRequestsError) -> Response:
    headers = {"Retry-After": str(error.retry_after_seconds), **error.allowance.headers}
    detail = f"{error}; try again in {error.retry_after_seconds} s."
    names = {"violated-policies": [error.allowance.policy.name]}
    return problem(scope, 429, Words(QUOTA_EXCEEDED, "Too many requests", detail), headers, **names)


def no_route(scope: Scope, allowed: Mapping[str, object]) -> Response:
    """404 for an address that is none, 405 for a method that it has not."""
    if allowed:
        methods = ", ".join(sorted(set(allowed) - {"WS"}))
        words = Words("/problems/method-not-allowed", "Method Not Allowed", f"Use {methods}.")
        return problem(scope, 405, words, {"Allow": methods})
    return problem(scope, 404, Words("/problems/not-found", "Not Found", "No such address; /docs lists them."))


@dataclass(frozen=True, slots=True)
class Words:
    """What a problem says: its `type`, its `title`, and what went wrong this time."""

    kind: str
    title: str
    detail: str


def problem(
    scope: Scope, status: int, words: Words, headers: Mapping[str, str] | None = None, **extra: object
) -> Response:
    """A problem as the rest of REST tells them; never kept by a cache."""
    body: dict[str, Any] = {
        "type": words.kind,
        "title": words.title,
        "status": status,
        "detail": words.detail,
        "instance": scope["path"],
        "request_id": scope.get("state", {}).get("request_id", ""),
        **extra,
    }
    return Response(orjson.dumps(body), status, {"Cache-Control": "no-store", **(headers or {})}, MEDIA_TYPE)


def _challenge(error: str, description: str) -> str:
    plain = "".join(c if " " <= c <= "~" and c not in '"\\' else "'" for c in description)
    return f'{_REALM}, error="{error}", error_description="{plain}"'

"""Who is signed in to the screens: a signed cookie, which says with which key or token the session began.

The cookie is a JWT of our own, signed under a secret that nothing else uses. A session that began with an API key ends
with it; one that began with a token ends when the token would have.
"""

import hashlib
import hmac
import secrets
from collections import OrderedDict
from typing import Any

import jwt

from marketstream.domain.errors import AccessDeniedError, Denial
from marketstream.ports import Clock
from marketstream.serving.access.gates import KeyGate
from marketstream.serving.access.keys import id_of
from marketstream.serving.access.principal import Principal, Role

_ALGORITHM = "HS256"
_AUDIENCE = "marketstream-dashboard"
_MOST_ENDED = 10_000
_MOST_CHARACTERS = 4_096


class Sessions:
    """Begins, checks and ends sessions.

    Args:
        pepper: What the signing secret is derived from; without one, sessions end with the process.
        hours: How long a session holds.
        keys: Tells whether the API key of a session still holds.
        clock: For their end.
    """

    def __init__(self, pepper: str, hours: float, keys: KeyGate | None, clock: Clock) -> None:
        secret = pepper.encode() or secrets.token_bytes(32)
        self._secret = hmac.digest(secret, b"marketstream dashboard session", hashlib.sha256)
        self._seconds = round(hours * 3_600)
        self._keys = keys
        self._clock = clock
        self._ended: OrderedDict[str, None] = OrderedDict()

    def begin(self, principal: Principal, credential: str) -> tuple[str, int]:
        """A session's cookie value, and for how many seconds it holds."""
        now = self._clock.now_us() // 1_000_000
        seconds = self._seconds
        if principal.expires_us is not None:
            seconds = min(seconds, principal.expires_us // 1_000_000 - now)
        claims = {
            "sub": principal.name,
            "role": principal.role.word,
            "scopes": sorted(principal.scopes),
            "key": id_of(credential),
            "aud": _AUDIENCE,
            "exp": now + seconds,
            "jti": secrets.token_urlsafe(12),
        }
        return jwt.encode(claims, self._secret, _ALGORITHM), seconds

    def principal_of(self, cookie: str) -> Principal:
        """Whose session it is; may wait for the database once, where its key is not known.

        Raises:
            AccessDeniedError: It is none, or it is over.
        """
        claims = self._claims(cookie)
        if claims["key"] is not None and self._keys is not None:
            return self._keys.still(claims["key"])
        return Principal(
            claims["sub"], Role.parse(claims["role"]), frozenset(claims["scopes"]), claims["exp"] * 1_000_000
        )

    def end(self, cookie: str) -> str | None:
        """Ends a session for good and returns whose it was; None where it was none."""
        try:
            claims = self._claims(cookie)
        except AccessDeniedError:
            return None
        self._ended[claims["jti"]] = None
        if len(self._ended) > _MOST_ENDED:
            self._ended.popitem(last=False)
        return str(claims["sub"])

    def _claims(self, cookie: str) -> dict[str, Any]:
        if len(cookie) > _MOST_CHARACTERS:
            raise AccessDeniedError("this is no session", Denial.INVALID)
        try:
            claims: dict[str, Any] = jwt.decode(
                cookie,
                self._secret,
                algorithms=[_ALGORITHM],
                audience=_AUDIENCE,
                options={"require": ["exp", "aud", "sub", "jti"], "verify_exp": False},
            )
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise AccessDeniedError("this is no session", Denial.INVALID) from None
        if claims["exp"] * 1_000_000 <= self._clock.now_us():  # by the clock that is passed in
            raise AccessDeniedError("your session is over; sign in again", Denial.EXPIRED)
        if claims["jti"] in self._ended:
            raise AccessDeniedError("you have signed out; sign in again", Denial.REVOKED)
        return claims

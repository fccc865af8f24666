"""JSON Web Tokens (RFC 7519) that somebody else issues, checked as RFC 8725 recommends.

The one algorithm is a setting, never the token's own word: so `none` is no algorithm, and a public key is no secret.
"""

from typing import Any

import jwt

from marketstream.domain.errors import AccessDeniedError, Denial
from marketstream.serving.access.key_set import KeySet
from marketstream.serving.access.principal import Principal, Role
from marketstream.settings import AccessSettings

MAX_CHARACTERS = 8_192
_SCOPE = "marketstream:"  # of the claim `scope`, what is meant for us
_MAX_NAME = 100
_MOST_SECONDS = 10**11  # in the year 5138


class TokenGate:
    """Admits whoever brings a token that the settings' issuer signed for the settings' audience.

    Args:
        settings: Algorithm, secret or key set, issuer, audience, role claim and leeway.
    """

    def __init__(self, settings: AccessSettings) -> None:
        self._settings = settings
        self._key_set = (
            KeySet(settings.jwt_keys, settings.jwt, settings.jwt_keys_seconds)
            if settings.jwt in ("RS256", "ES256")
            else None
        )

    def recall(self, credential: str) -> Principal | None:
        """As `admit`, or None where the key set would have to be read first: never waits.

        Raises:
            AccessDeniedError: The token does not let anybody in.
        """
        kid = self._kid(credential)
        key = self._key_set.recall(kid) if self._key_set else self._settings.jwt_secret.get_secret_value()
        return None if key is None else self._principal(credential, key)

    def admit(self, credential: str) -> Principal:
        """Whom the token names; may read the key set.

        Raises:
            AccessDeniedError: The token does not let anybody in.
        """
        kid = self._kid(credential)
        if self._key_set is None:
            return self._principal(credential, self._settings.jwt_secret.get_secret_value())
        try:
            key = self._key_set.find(kid)
        except OSError:
            raise AccessDeniedError("tokens can't be checked now; try again", Denial.UNCHECKED) from None
        if key is None:
            raise AccessDeniedError("no key with the token's kid is known", Denial.INVALID)
        return self._principal(credential, key)

    def _kid(self, credential: str) -> str | None:
        if len(credential) > MAX_CHARACTERS:
            raise AccessDeniedError(f"the token has more than {MAX_CHARACTERS} characters", Denial.INVALID)
        try:
            header = jwt.get_unverified_header(credential)
        except (jwt.InvalidTokenError, ValueError, RecursionError):
            raise AccessDeniedError("this is no token", Denial.INVALID) from None
        if header.get("alg") != self._settings.jwt:
            raise AccessDeniedError(f"tokens must be signed by {self._settings.jwt}", Denial.INVALID)
        if "crit" in header:  # RFC 7515: whoever does not understand an extension must refuse it, and we know none
            raise AccessDeniedError("the token needs an extension that is not supported", Denial.INVALID)
        kid = header.get("kid")
        return kid if isinstance(kid, str) else None

    def _principal(self, credential: str, key: Any) -> Principal:
        claims = self._claims(credential, key)
        if not 0 < int(claims["exp"]) < _MOST_SECONDS:
            raise AccessDeniedError("the token's exp is no time", Denial.INVALID)
        return Principal(
            name=f"jwt:{_plain(claims['sub'])}",
            role=self._role(claims),
            scopes=_scopes(claims),
            expires_us=int(claims["exp"]) * 1_000_000,
        )

    def _claims(self, credential: str, key: Any) -> dict[str, Any]:
        settings = self._settings
        try:
            return jwt.decode(
                credential,
                key,
                algorithms=[settings.jwt],
                issuer=settings.jwt_issuer,
                audience=settings.jwt_audience,
                leeway=settings.jwt_leeway_seconds,
                options={"require": ["exp", "iss", "aud", "sub"], "enforce_minimum_key_length": True},
            )
        except jwt.ExpiredSignatureError:
            raise AccessDeniedError("the token has expired", Denial.EXPIRED) from None
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
            # The library's words name the claim at fault, never its value.
            fault = str(error) if isinstance(error, jwt.PyJWTError) else "it is malformed"
            raise AccessDeniedError(f"the token does not hold: {_plain(fault)}", Denial.INVALID) from None

    def _role(self, claims: dict[str, Any]) -> Role:
        value: Any = claims
        for part in self._settings.jwt_role_claim.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        words = value if isinstance(value, list) else [value]
        roles = [role for role in Role if role.word in words]
        if not roles:
            claim = self._settings.jwt_role_claim
            raise AccessDeniedError(f"the token's claim {claim} has no role of ours", Denial.ROLE)
        return max(roles)


def _scopes(claims: dict[str, Any]) -> frozenset[str]:
    text = claims.get("scope")
    words = text.split() if isinstance(text, str) else ()
    return frozenset(word.removeprefix(_SCOPE) for word in words if word.startswith(_SCOPE))


def _plain(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)[:_MAX_NAME]

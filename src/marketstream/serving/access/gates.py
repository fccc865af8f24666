"""The gate of a process that lets nobody in unknown: API keys and tokens, each by its own rules."""

import hmac
from typing import Protocol

from marketstream.contracts.access import ApiKey
from marketstream.domain.errors import AccessDeniedError, Denial
from marketstream.ports import Clock
from marketstream.serving.access.key_ring import KeyRing
from marketstream.serving.access.keys import PREFIX, digest_of, id_of
from marketstream.serving.access.principal import Principal, Role
from marketstream.serving.access.tokens import TokenGate


class CredentialGate(Protocol):
    """A gate that mostly knows without waiting."""

    def recall(self, credential: str) -> Principal | None:
        """As `admit`, or None where something would have to be read first: never waits.

        Raises:
            AccessDeniedError: The credential does not let anybody in.
        """

    def admit(self, credential: str) -> Principal:
        """Whom the credential stands for.

        Raises:
            AccessDeniedError: The credential does not let anybody in.
        """


class KeyGate:
    """Admits API keys.

    Args:
        ring: The keys.
        pepper: What they are hashed with.
        clock: For their end.
    """

    def __init__(self, ring: KeyRing, pepper: str, clock: Clock) -> None:
        self._ring = ring
        self._pepper = pepper
        self._clock = clock

    def recall(self, credential: str) -> Principal | None:
        """Whose key it is; None where nobody is known to have it."""
        key = self._ring.find(_id(credential))
        return self._check(credential, key) if key and self._ring.known else None

    def admit(self, credential: str) -> Principal:
        """Whose key it is; looks again for one that is not known, since it may be new."""
        key = self._ring.find_anew(_id(credential))
        if not self._ring.known:
            raise AccessDeniedError("API keys can't be checked now; try again", Denial.UNCHECKED)
        if key is None:
            raise AccessDeniedError("there is no such API key", Denial.INVALID)
        return self._check(credential, key)

    def still(self, key_id: str) -> Principal:
        """Who has the key with this id, if it still holds: for sessions that began with it.

        Raises:
            AccessDeniedError: It does not hold any more.
        """
        key = self._ring.find(key_id) or self._ring.find_anew(key_id)
        if not self._ring.known:
            raise AccessDeniedError("API keys can't be checked now; try again", Denial.UNCHECKED)
        if key is None:
            raise AccessDeniedError("the API key of this session is gone", Denial.REVOKED)
        return self._alive(key)

    def ended(self, key_id: str) -> AccessDeniedError | None:
        """Why a key that was good is not any more; None where it still is. Never waits."""
        if not self._ring.known:
            return AccessDeniedError("API keys can't be checked now; try again", Denial.UNCHECKED)
        key = self._ring.find(key_id)
        if key is None:
            return AccessDeniedError("this API key is gone", Denial.REVOKED)
        try:
            self._alive(key)
        except AccessDeniedError as error:
            return error
        return None

    def close(self) -> None:
        """Stores what is remembered of keys, and ends their thread."""
        self._ring.close()

    def _check(self, credential: str, key: ApiKey) -> Principal:
        if not hmac.compare_digest(digest_of(credential, self._pepper), key.digest):
            raise AccessDeniedError("there is no such API key", Denial.INVALID)
        return self._alive(key)

    def _alive(self, key: ApiKey) -> Principal:
        if key.revoked_us is not None:
            raise AccessDeniedError("this API key was revoked", Denial.REVOKED)
        if key.expires_us is not None and key.expires_us <= self._clock.now_us():
            raise AccessDeniedError("this API key has expired", Denial.EXPIRED)
        self._ring.note_use(key.key_id)
        return Principal(f"key:{key.name}", Role.parse(key.role), key.scopes, key.expires_us)


class LockedGate:
    """Admits API keys and tokens, whichever are configured.

    Args:
        keys: The gate for API keys.
        tokens: The gate for tokens.
    """

    def __init__(self, keys: KeyGate | None, tokens: TokenGate | None) -> None:
        self.keys = keys
        self._tokens = tokens

    def recall(self, credential: str | None) -> Principal | None:
        """As `admit`, or None where something would have to be read first: never waits."""
        return self._gate(credential).recall(credential or "")

    def admit(self, credential: str | None) -> Principal:
        """Whom the credential stands for; may wait for the database or the key set for some seconds.

        Raises:
            AccessDeniedError: It lets nobody in.
        """
        gate = self._gate(credential)
        return gate.recall(credential or "") or gate.admit(credential or "")

    def _gate(self, credential: str | None) -> CredentialGate:
        if not credential:
            raise AccessDeniedError("bring an API key or a token", Denial.MISSING)
        if credential.startswith(PREFIX):
            if self.keys:
                return self.keys
        elif self._tokens and credential.count(".") == 2:
            return self._tokens
        raise AccessDeniedError("this is neither an API key nor a token", Denial.INVALID)


def _id(credential: str) -> str:
    key_id = id_of(credential)
    if key_id is None:
        raise AccessDeniedError("there is no such API key", Denial.INVALID)
    return key_id

"""API keys: what they look like, how they are made and how they are hashed.

A key is `msk_<id>_<secret>`: twelve characters that are shown everywhere, and 256 random bits that are shown once. Only
an HMAC-SHA-256 of the whole is kept, under a secret that the database does not have (the pepper). A slow hash such as
Argon2 makes guessing dear where people choose the secret; nobody can guess 256 random bits, so it would only make every
request dear. The pepper makes a stolen table worthless even to somebody who can put a row into another.
"""

import hashlib
import hmac
import re
import secrets
import string
from dataclasses import dataclass

from marketstream.contracts.access import ApiKey
from marketstream.serving.access.principal import Role

PREFIX = "msk_"
SCOPES = ("rest", "graphql", "websocket", "dashboard")
_KEY = re.compile(r"msk_([a-z0-9]{12})_[A-Za-z0-9_-]{43}", re.ASCII)
_ID_CHARACTERS = string.ascii_lowercase + string.digits
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._@-]{0,62}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a key is to be.

    Args:
        name: Whose it is: a letter or digit, then up to 62 of letters, digits, blanks and `. _ @ -`.
        role: What it may.
        scopes: What it opens; empty for all.
        expires_us: When it ends, µs UTC; None for never.

    Raises:
        ValueError: The name is none, or a scope is unknown.
    """

    name: str
    role: Role
    scopes: frozenset[str] = frozenset()
    expires_us: int | None = None

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"{self.name[:70]!r} is no name: up to 63 letters, digits, blanks and . _ @ -")
        if unknown := self.scopes - set(SCOPES):
            raise ValueError(f"{', '.join(sorted(unknown))} is none of the scopes {', '.join(SCOPES)}")


def make_key(wish: Wish, pepper: str, *, by: str, now_us: int) -> tuple[str, ApiKey]:
    """A new key: itself, to be shown once, and what is stored of it."""
    key_id = "".join(secrets.choice(_ID_CHARACTERS) for _ in range(12))
    key = f"{PREFIX}{key_id}_{secrets.token_urlsafe(32)}"
    return key, ApiKey(
        key_id=key_id,
        name=wish.name,
        digest=digest_of(key, pepper),
        role=wish.role.word,
        scopes=wish.scopes,
        created_us=now_us,
        created_by=by,
        expires_us=wish.expires_us,
    )


def id_of(credential: str) -> str | None:
    """The id of what looks like an API key; None for anything else."""
    match = _KEY.fullmatch(credential)
    return match[1] if match else None


def digest_of(key: str, pepper: str) -> bytes:
    """What is stored instead of the key."""
    return hmac.digest(pepper.encode(), key.encode(), hashlib.sha256)


def shown(key_id: str) -> str:
    """A key as it may be shown."""
    return f"{PREFIX}{key_id}_…"

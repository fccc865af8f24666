"""What the tests of access share: a locked door over keys in memory, and one credential of every kind."""

import uuid
from dataclasses import dataclass, field
from typing import Any

import jwt

from marketstream.contracts.access import ApiKey, AuditEntry
from marketstream.serving.access.access import Access, Part
from marketstream.serving.access.build import build_access
from marketstream.serving.access.keys import Wish, make_key
from marketstream.serving.access.principal import Role
from marketstream.settings import AccessSettings
from marketstream.testing.fake_access import InMemoryAccess
from marketstream.testing.fakes import FakeClock

PEPPER = "pepper-" * 6
SECRET = "a secret of more than thirty-two bytes, for tests"
ISSUER, AUDIENCE = "https://issuer.test", "marketstream"
NOW_US = (
    1_900_000_000_000_000  # in the future of every clock that runs these tests, for a token's `exp` is checked by one
)
HOUR_US = 3_600_000_000
LOCKED: dict[str, Any] = {
    "required": True,
    "pepper": PEPPER,
    "jwt": "HS256",
    "jwt_secret": SECRET,
    "jwt_issuer": ISSUER,
    "jwt_audience": AUDIENCE,
}


def entry(action: str = "keys.create", time_us: int = NOW_US, **changes: Any) -> AuditEntry:
    fields = {"entry_id": str(uuid.uuid4()), "who": "cli:test", "target": "x", "outcome": "done"}
    return AuditEntry(**{**fields, "action": action, "time_us": time_us, **changes})


@dataclass
class Door:
    """A locked door, and what is behind it."""

    store: InMemoryAccess = field(default_factory=InMemoryAccess)
    clock: FakeClock = field(default_factory=lambda: FakeClock(NOW_US))

    built: list[Access] = field(default_factory=list)
    origins: list[str] = field(default_factory=lambda: ["https://charts.example"])

    def access(self, part: Part = "rest", **settings: Any) -> Access:
        access = build_access(part, AccessSettings(**{**LOCKED, **settings}), self.store, self.clock, self.origins)
        self.built.append(access)
        return access

    def close(self) -> None:
        for access in self.built:
            access.close()

    def key(self, role: Role = Role.VIEWER, *scopes: str, name: str = "desk", expires_us: int | None = None) -> str:
        return self.stored_key(Wish(name=name, role=role, scopes=frozenset(scopes), expires_us=expires_us))[0]

    def stored_key(self, wish: Wish) -> tuple[str, ApiKey]:
        key, stored = make_key(wish, PEPPER, by="test", now_us=NOW_US)
        self.store.add(stored, entry())
        return key, stored

    def revoked(self) -> str:
        key, stored = self.stored_key(Wish(name="gone", role=Role.ADMIN))
        self.store.revoke(stored.key_id, entry("keys.revoke"))
        return key

    def expired(self) -> str:
        return self.key(Role.ADMIN, name="old", expires_us=NOW_US - 1)


def token(role: Any = "viewer", *, secret: Any = SECRET, algorithm: str = "HS256", **changes: Any) -> str:
    claims = {"sub": "alice", "iss": ISSUER, "aud": AUDIENCE, "exp": 4_000_000_000, "role": role, **changes}
    headers = claims.pop("headers", None)
    present = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(present, secret, algorithm, headers=headers)

"""Who asks and what they may: what every serving process codes against."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal, Protocol

from marketstream.domain.errors import AccessDeniedError, Denial

Part = Literal["rest", "graphql", "websocket", "dashboard"]


class Role(IntEnum):
    """What somebody may do; each may do what the ones before it may."""

    VIEWER = 1  # look at everything that is market data
    TRADER = 2  # make and change alert rules, run strategies
    ADMIN = 3  # change the platform: dead letters, keys, the audit log

    @property
    def word(self) -> str:
        """The name as keys, tokens and settings have it, such as `viewer`."""
        return self.name.lower()

    @classmethod
    def parse(cls, word: str) -> "Role":
        """The role with that name, in any case.

        Raises:
            ValueError: There is none.
        """
        try:
            return cls[word.strip().upper()]
        except KeyError:
            raise ValueError(f"{word[:40]!r} is none of {', '.join(role.word for role in cls)}") from None


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody who was let in.

    Args:
        name: Who, for logs, limits and the audit log, such as `key:grafana` or `jwt:alice`; holds no secret.
        role: What they may at most.
        scopes: The parts they may use, such as `rest`; empty for all.
        expires_us: When they must come with a new credential, in µs since 1970; None for never. Whoever keeps a
            connection open must end it then.
    """

    name: str
    role: Role
    scopes: frozenset[str] = frozenset()
    expires_us: int | None = None

    def may(self, role: Role, scope: str | None = None) -> bool:
        """Whether they have at least this role, and the scope where one is asked for."""
        return self.role >= role and (scope is None or not self.scopes or scope in self.scopes)

    def require(self, role: Role, scope: str | None = None) -> None:
        """Goes on only with at least this role, and the scope where one is asked for.

        Raises:
            AccessDeniedError: With `Denial.ROLE` or `Denial.SCOPE`.
        """
        if self.role < role:
            raise AccessDeniedError(f"this needs the role {role.word}, and yours is {self.role.word}", Denial.ROLE)
        if not self.may(role, scope):
            raise AccessDeniedError(f"your key is not for {scope}", Denial.SCOPE)


class Gate(Protocol):
    """Tells who somebody is by what they bring."""

    def admit(self, credential: str | None) -> Principal:
        """Whoever this credential stands for.

        May read the database once for a key it has not seen for some seconds: call it in a thread from async code.

        Args:
            credential: The bearer token or API key as it came; None where nothing came.

        Raises:
            AccessDeniedError: They may not come in; its `denial` says why.
        """


class OpenGate:
    """Lets everybody in as an admin: only for a server that nobody but this machine can reach."""

    def admit(self, credential: str | None) -> Principal:
        """The one principal there is, whatever is brought."""
        del credential
        return Principal("open", Role.ADMIN)

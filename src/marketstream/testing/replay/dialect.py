"""How one provider's protocol plugs into the replay server: over WebSocket, over REST, or both."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Literal

from marketstream.testing.replay.conversation import Conversation
from marketstream.testing.replay.history import PlayedHistory

# What a provider refuses because of who asks or how much, each in its own words.
Quota = Literal["burst", "daily", "bandwidth", "plan", "ban"]


@dataclass(slots=True)
class Rules:
    """Who is let in at present; shared by all conversations, changed by commands.

    Attributes:
        refused_keys: API keys that are no good; any other non-empty one is.
        refuse_all_keys: No key is good.
        quota: Everything asked for is refused as this.
        retry_after_seconds: What refusals for a quota tell, where the provider tells it.
        weights: Request weight spent, by minute since the epoch, where the protocol counts it.
    """

    refused_keys: Sequence[str] = ()
    refuse_all_keys: bool = False
    quota: Quota | None = None
    retry_after_seconds: float = 1.0
    weights: dict[int, int] = field(default_factory=dict)

    def accepts_key(self, key: str) -> bool:
        """Whether an API key is good."""
        return bool(key) and not self.refuse_all_keys and key not in self.refused_keys


@dataclass(frozen=True, slots=True)
class RestRequest:
    """A GET request.

    Attributes:
        path: Without the query.
        query: The query's last value by name.
        headers: By lower-case name.
        now_us: The server's wall clock.
    """

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    now_us: int


@dataclass(frozen=True, slots=True)
class RestReply:
    """What it is answered with."""

    body: bytes
    status: HTTPStatus = HTTPStatus.OK
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """One provider's protocol, server side.

    Attributes:
        provider: The provider's name, as in settings.
        speaks: Whether a WebSocket request's path (with query) is this protocol's.
        converse: Begins the conversation with a client that came by this path.
        serves: Whether a REST request's path is this provider's.
        reply: Answers a REST request from what has been played.
    """

    provider: str
    speaks: Callable[[str], bool]
    converse: Callable[[str, Rules], Conversation]
    serves: Callable[[str], bool]
    reply: Callable[[RestRequest, PlayedHistory, Rules], RestReply]

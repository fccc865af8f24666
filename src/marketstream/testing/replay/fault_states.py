"""What goes wrong for as long as it is set."""

from dataclasses import dataclass, fields
from typing import Any, Self

from marketstream.testing.replay.dialect import Quota

# Frames that no protocol here has a meaning for. Text must be UTF-8, else the client's own library ends the connection.
MALFORMED = (
    b"not json",
    b"{",
    b"[]",
    b"{}",
    b"null",
    b"[null]",
    b"0",
    b'"text"',
    b'[{"ev":"T","sym":null}]',
    b'{"e":"aggTrade","s":[]}',
    b'{"s":{"a":[1,',
    b'{"s":"AAPL","p":"NaN","v":-1,"t":-9}',
    b"\x00" * 64,
    b"[" * 2_000,
)


@dataclass(slots=True)
class FaultStates:
    """Set and unset at any time, for all providers or for one.

    Attributes:
        silent: Connections stay open and acknowledge, but no trade is sent. At a pace the market moves on unheard; as
            fast as taken it waits if nobody else listens.
        delay_seconds: At a pace, every trade is sent this much later than it was played, and than REST tells of it.
        duplicate: Every frame is sent twice.
        reorder: Frames are sent in reverse within windows of this many; 0 or 1 for none. Meanwhile each trade is a
            frame of its own, and a window that has not filled within 0.25 s goes as it is.
        garbage_every: A malformed frame follows every so many good ones; 0 for none.
        refuse_auth: Every API key is refused, over WebSocket and REST.
        refuse_connections: WebSocket handshakes are answered with HTTP status 503.
        quota: Everything asked for is refused as this, and nothing is sent.
        retry_after_seconds: What refusals for a quota tell, where the provider tells it.
        rest_away: REST requests are answered with HTTP status 503.
        rest_delay_seconds: REST requests are answered this much later.
    """

    silent: bool = False
    delay_seconds: float = 0.0
    duplicate: bool = False
    reorder: int = 0
    garbage_every: int = 0
    refuse_auth: bool = False
    refuse_connections: bool = False
    quota: Quota | None = None
    retry_after_seconds: float = 1.0
    rest_away: bool = False
    rest_delay_seconds: float = 0.0

    def states(self) -> dict[str, Any]:
        """Every state by name."""
        return {each.name: getattr(self, each.name) for each in fields(FaultStates)}

    def clear(self) -> None:
        """Nothing goes wrong any more."""
        for name, default in _DEFAULTS.items():
            setattr(self, name, default)

    @classmethod
    def both(cls, everyones: "FaultStates", own: "FaultStates") -> Self:
        """The states of a provider: its own where set, else everyone's."""
        joined = cls()
        for name, default in _DEFAULTS.items():
            value = getattr(own, name)
            setattr(joined, name, getattr(everyones, name) if value == default else value)
        return joined


_DEFAULTS = FaultStates().states()

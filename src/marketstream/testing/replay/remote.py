"""Injects faults into a replay server from another process, over its `/admin` and `/played`."""

import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import orjson
from pydantic import BaseModel, ConfigDict
from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

from marketstream.domain.errors import MarketstreamError
from marketstream.testing.replay.addresses import ADMIN_PATH
from marketstream.testing.replay.rest import PLAYED_PATH

_RETRY_SECONDS = 0.1
_ANSWER_SECONDS = 10.0


class ReplayControlError(MarketstreamError):
    """The replay server could not be reached, or refused a command: is `replay.admin` on, and the address right?"""


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class SymbolPlayed(_Answer):
    """What was played of a symbol.

    Attributes:
        played: Trades.
        first: Lowest sequence.
        highest: Highest sequence.
    """

    played: int
    first: int
    highest: int


class ProviderStatus(_Answer):
    """How a provider's protocol fares.

    Attributes:
        clients: Connected clients.
        faults: `FaultStates` at present.
        tally: What faults did so far; see `Tally`.
    """

    clients: int
    faults: dict[str, Any]
    tally: dict[str, int]


class ReplayStatus(_Answer):
    """How the server fares.

    Attributes:
        played: Trades played, heard or not.
        ended: Whether the market has ended.
        clients: Connected clients.
        symbols: What was played, by symbol.
        providers: By provider.
    """

    played: int
    ended: bool
    clients: int
    symbols: dict[str, SymbolPlayed]
    providers: dict[str, ProviderStatus]


class ReplayControl:
    """Commands a replay server whose `replay.admin` is on; opens nothing until told to, and blocks until answered.

    Every method that takes a `provider` concerns all where none is named; those that return a number return how many
    connected clients it concerned. `ReplayControlError` is raised where the server refuses, or is away for longer than
    the patience.

    Args:
        url: The server's address, `ws://` or `http://`; a path is ignored.
        patience_seconds: How long to try again while it doesn't listen, as during a restart.
    """

    def __init__(self, url: str, patience_seconds: float = 30.0) -> None:
        authority = urlsplit(url).netloc
        self._admin = f"ws://{authority}{ADMIN_PATH}"
        self._rest = f"http://{authority}"
        self._patience_seconds = patience_seconds

    def status(self, provider: str | None = None) -> ReplayStatus:
        """How it fares; `clients` of one provider or of all."""
        return ReplayStatus.model_validate(self._tell("status", provider))

    def played(self, symbol: str) -> set[int]:
        """The sequences played of a symbol, those that the server still remembers."""
        return set(self._played(symbol))

    def set_states(self, provider: str | None = None, *, seconds: float | None = None, **states: Any) -> int:
        """Sets fields of `FaultStates`, for so many seconds if given."""
        return self._clients("faults", provider, seconds=seconds, **states)

    def clear(self, provider: str | None = None) -> int:
        """Unsets all states and ends stalls."""
        return self._clients("clear", provider)

    def drop(self, provider: str | None = None) -> int:
        """Breaks connections off, without a closing handshake."""
        return self._clients("drop", provider)

    def stall(self, seconds: float, provider: str | None = None) -> int:
        """Sends nothing for so many seconds, then all of it at once."""
        return self._clients("stall", provider, seconds=seconds)

    def resume(self, provider: str | None = None) -> int:
        """Ends stalls."""
        return self._clients("resume", provider)

    def half_open(self, provider: str | None = None) -> int:
        """Leaves connections open, and neither reads from them nor writes to them again."""
        return self._clients("half_open", provider)

    def gap(self, trades: int, symbol: str | None = None, provider: str | None = None) -> int:
        """Leaves out the next so many trades that each client would have been sent."""
        return self._clients("gap", provider, trades=trades, symbol=symbol)

    def repeat(self, frames: int = 1, provider: str | None = None) -> int:
        """Sends each client's last frames again."""
        return self._clients("repeat", provider, frames=frames)

    def garbage(self, frames: int = 1, provider: str | None = None) -> int:
        """Sends malformed frames."""
        return self._clients("garbage", provider, frames=frames)

    def inject(self, text: str, provider: str | None = None) -> int:
        """Sends any text frame."""
        return self._clients("frame", provider, text=text)

    def announce_stop(self, provider: str | None = None) -> int:
        """Sends what a protocol says before it stops, and goes on."""
        return self._clients("announce_stop", provider)

    def cancel(self, symbol: str, provider: str | None = None) -> int | None:
        """Takes a symbol's newest trade back; returns its sequence, None where the symbol has not traded."""
        sequence: int | None = self._tell("cancel", provider, symbol=symbol)["sequence"]
        return sequence

    def restart(self, seconds: float) -> int:
        """Breaks all connections off and listens again after so many seconds; returns before that."""
        return self._clients("restart", None, seconds=seconds)

    def _clients(self, command: str, provider: str | None, **details: Any) -> int:
        return int(self._tell(command, provider, **details)["clients"])

    def _tell(self, command: str, provider: str | None, **details: Any) -> dict[str, Any]:
        try:
            with self._connection() as socket:
                socket.send(orjson.dumps({"command": command, "provider": provider, **details}), text=True)
                answer: Any = orjson.loads(socket.recv(timeout=_ANSWER_SECONDS))
        except (WebSocketException, TimeoutError) as error:
            raise ReplayControlError(f"{self._admin}: {command}: {error}") from error
        if not isinstance(answer, dict) or not answer.get("ok"):
            raise ReplayControlError(f"{self._admin}: {command}: {answer}")
        return answer

    def _connection(self) -> ClientConnection:
        """A connection; only this is tried again, as a command must not be carried out twice."""
        give_up = time.monotonic() + self._patience_seconds
        while True:
            try:
                return connect(self._admin, proxy=None, max_size=None)
            except (OSError, WebSocketException) as error:
                if time.monotonic() > give_up:
                    raise ReplayControlError(f"{self._admin}: {error}") from error
                time.sleep(_RETRY_SECONDS)

    def _played(self, symbol: str) -> Iterator[int]:
        first: int | None = 0
        with httpx.Client(base_url=self._rest, trust_env=False, timeout=_ANSWER_SECONDS) as client:
            while first is not None:
                response = client.get(PLAYED_PATH + quote(symbol, safe=""), params={"from": first})
                if response.is_error:
                    raise ReplayControlError(f"{self._rest}: {response.status_code} {response.text}")
                page = response.json()
                yield from page["sequences"]
                first = page["next"]

"""Faults by command from another process: one JSON object per message on the replay server's `/admin`.

`{"command": "faults", "silent": true, "provider": "polygon", "seconds": 5}` sets states, `{"command": "gap", "trades":
5}` and its like happen once; without `provider` they concern all. Each is answered with `{"ok": ...}`. `remote.py` is
the client.
"""

import base64
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from websockets.asyncio.server import ServerConnection

from marketstream.testing.replay.dialect import Quota
from marketstream.testing.replay.dialects import PROVIDERS

if TYPE_CHECKING:
    from marketstream.testing.replay.server import ReplayServer

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]


class _Command(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    provider: str | None = None

    def carry_out(self, server: "ReplayServer") -> dict[str, Any]:
        """Does it; returns what is answered."""
        raise NotImplementedError


class _Status(_Command):
    command: Literal["status"]

    def carry_out(self, server: "ReplayServer") -> dict[str, Any]:
        return {
            "played": server.played,
            "ended": server.ended.is_set(),
            "clients": len(server.listeners(self.provider)),
            "faults": server.faults_of(self.provider).states(),
            "symbols": server.history.summary(),
            "providers": {
                name: {
                    "clients": len(server.listeners(name)),
                    "faults": server.desk.states(name).states(),
                    "tally": asdict(server.desk.tallies[name]),
                }
                for name in PROVIDERS
            },
        }


class _Frame(_Command):
    command: Literal["frame"]
    text: str = ""
    base64: str | None = None
    binary: bool = False
    repeat: int = Field(default=1, ge=1, le=100_000_000)

    def carry_out(self, server: "ReplayServer") -> dict[str, Any]:
        once = self.text.encode() if self.base64 is None else base64.b64decode(self.base64, validate=True)
        return {"clients": server.inject(once * self.repeat, self.provider, text=not self.binary)}


class _Faults(_Command):
    command: Literal["faults"]
    seconds: Seconds | None = None
    silent: bool = False
    delay_seconds: Seconds = 0
    duplicate: bool = False
    reorder: int = Field(default=0, ge=0, le=10_000)
    garbage_every: int = Field(default=0, ge=0)
    refuse_auth: bool = False
    refuse_connections: bool = False
    quota: Quota | None = None
    retry_after_seconds: Seconds = 1
    rest_away: bool = False
    rest_delay_seconds: Annotated[Seconds, Field(le=60)] = 0

    def carry_out(self, server: "ReplayServer") -> dict[str, Any]:
        states = self.model_dump(include=self.model_fields_set - {"command", "provider", "seconds"})
        faults = server.faults_of(self.provider)
        faults.set_states(states, self.seconds)
        return {"clients": len(server.listeners(self.provider)), "faults": faults.states()}


class _Clear(_Command):
    command: Literal["clear"]

    def carry_out(self, server: "ReplayServer") -> dict[str, Any]:
        if self.provider is None:
            server.desk.clear()
        else:
            server.faults_of(self.provider).clear()
        return {"clients": len(server.listeners(self.provider))}


class _Once(_Command):
    command: Literal["drop", "resume", "half_open", "announce_stop"]

    def carry_out(self, server: "ReplayServer") -> dict[str, Any]:
        return {"clients": getattr(server.faults_of(self.provider), self.command)()}


class _Stall(_Command):
    command: Literal["stall"]
    seconds: Seconds

    def carry_out(self, server: "ReplayServer") -> dict[str, Any]:
        return {"clients": server.faults_of(self.provider).stall(self.seconds)}


class _Gap(_Command):
    command: Literal["gap"]
    trades: Count
    symbol: str | None = None

    def carry_out(self, server: "ReplayServer") -> dict[str, Any]:
        return {"clients": server.faults_of(self.provider).gap(self.trades, self.symbol)}


class _Frames(_Command):
    command: Literal["repeat", "garbage"]
    frames: Annotated[Count, Field(le=10_000)] = 1

    def carry_out(self, server: "ReplayServer") -> dict[str, Any]:
        return {"clients": getattr(server.faults_of(self.provider), self.command)(self.frames)}


class _Cancel(_Command):
    command: Literal["cancel"]
    symbol: str

    def carry_out(self, server: "ReplayServer") -> dict[str, Any]:
        trade = server.cancel(self.symbol, self.provider)
        return {"sequence": trade.sequence if trade else None}


class _Restart(_Command):
    command: Literal["restart"]
    provider: None = None
    seconds: Seconds = 1.0

    def carry_out(self, server: "ReplayServer") -> dict[str, Any]:
        clients = len(server.listeners())
        server.begin_restart(self.seconds)
        return {"clients": clients}


_AnyCommand = _Status | _Frame | _Faults | _Clear | _Once | _Stall | _Gap | _Frames | _Cancel | _Restart
_COMMANDS: TypeAdapter[_AnyCommand] = TypeAdapter(Annotated[_AnyCommand, Field(discriminator="command")])


async def serve_commands(connection: ServerConnection, server: "ReplayServer") -> None:
    """Carries out commands until the client leaves."""
    async for message in connection:
        try:
            answer = {"ok": True, **_COMMANDS.validate_json(message).carry_out(server)}
        except (ValidationError, ValueError) as error:
            answer = {"ok": False, "error": str(error)}
        except KeyError as error:
            answer = {"ok": False, "error": f"no provider is called {error}"}
        await connection.send(orjson.dumps(answer), text=True)

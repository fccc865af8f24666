"""Faults by command from another process: one JSON object per message on the replay server's `/admin`.

`{"command": "status"}` · `{"command": "frame", "text": "x", "repeat": 1, "provider": "polygon"}` (or `"base64"` for any
bytes, with `"binary": true` for a binary frame) · `{"command": "drop"}` · `{"command": "faults", "silent": true,
"refuse_auth": false, "delay_seconds": 0.5}`. Each is answered with `{"ok": …}`.
"""

import base64
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from websockets.asyncio.server import ServerConnection

if TYPE_CHECKING:
    from marketstream.testing.replay.server import ReplayServer


class _Command(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    provider: str | None = None


class _Status(_Command):
    command: Literal["status"]


class _Frame(_Command):
    command: Literal["frame"]
    text: str = ""
    base64: str | None = None
    binary: bool = False
    repeat: int = Field(default=1, ge=1, le=100_000_000)

    def content(self) -> bytes:
        once = self.text.encode() if self.base64 is None else base64.b64decode(self.base64, validate=True)
        return once * self.repeat


class _Drop(_Command):
    command: Literal["drop"]


class _Faults(_Command):
    command: Literal["faults"]
    silent: bool | None = None
    refuse_auth: bool | None = None
    delay_seconds: float | None = Field(default=None, ge=0)


_COMMANDS: TypeAdapter[_Status | _Frame | _Drop | _Faults] = TypeAdapter(_Status | _Frame | _Drop | _Faults)


async def serve_commands(connection: ServerConnection, server: "ReplayServer") -> None:
    """Carries out commands until the client leaves."""
    async for message in connection:
        try:
            answer = {"ok": True, **_carry_out(_COMMANDS.validate_json(message), server)}
        except (ValidationError, ValueError) as error:
            answer = {"ok": False, "error": str(error)}
        await connection.send(orjson.dumps(answer), text=True)


def _carry_out(command: _Status | _Frame | _Drop | _Faults, server: "ReplayServer") -> dict[str, Any]:
    match command:
        case _Frame():
            return {"clients": server.inject(command.content(), command.provider, text=not command.binary)}
        case _Drop():
            return {"clients": server.drop_connections(command.provider)}
        case _Faults():
            for name in ("silent", "refuse_auth", "delay_seconds"):
                if (value := getattr(command, name)) is not None:
                    setattr(server.faults, name, value)
            return {"faults": asdict(server.faults)}
        case _Status():
            return {
                "played": server.played,
                "ended": server.ended.is_set(),
                "clients": len(server.listeners(command.provider)),
                "faults": asdict(server.faults),
            }

"""Polygon / Massive over its WebSocket: wait for the greeting, authenticate, subscribe, read.

The server greets with a status, then each step is answered by another, a subscription by one for each channel. It cuts
off slow consumers, so frames must be taken promptly.
"""

import re
from collections.abc import AsyncGenerator
from contextlib import suppress
from functools import partial

from marketstream.domain.errors import Fault, ProviderError
from marketstream.ports import Clock, Frame, History
from marketstream.providers.polygon.config import CAPABILITIES, PolygonConfig
from marketstream.providers.polygon.history import PolygonHistory
from marketstream.providers.polygon.parse import NAME, Status, parse_frame, read_statuses
from marketstream.providers.polygon.refusals import plan_refuses
from marketstream.providers.states import StateListener, ignore_state
from marketstream.providers.websocket import FeedSocket
from marketstream.settings import ProviderSettings, Settings

_CHANNEL = re.compile(r"\b(?:T|Q|AM|A)\.[\x21-\x2b\x2d-\x7e]+")
_ENDINGS = {"auth_timeout", "max_connections", "force_disconnect", "disconnected"}
_ADVICE = {
    Fault.BAD_KEY: "; check MARKETSTREAM_POLYGON__API_KEY",
    Fault.PLAN: "; check what the plan covers, and MARKETSTREAM_POLYGON__WEBSOCKET_URL where it covers delayed data",
}


class PolygonProvider:
    """US stocks' trades, quotes and bars.

    Args:
        config: Where and what.
        clock: Stamps frames.
        on_state: Told of `connected`, `subscribed` and every `refused_symbol`.
    """

    def __init__(self, config: PolygonConfig, clock: Clock, on_state: StateListener = ignore_state) -> None:
        self.name = NAME
        self.capabilities = CAPABILITIES
        self.symbols = config.names.symbols
        self._config = config
        self._clock = clock
        self._on_state = on_state
        self.history: History = PolygonHistory(config, clock)

    async def stream(self) -> AsyncGenerator[Frame, None]:
        """Yields frames that hold trades, quotes, bars or refusals until the connection ends.

        Raises:
            ProviderError: The key or every channel was refused, the handshake stalled or the connection broke.
            OSError: The network failed.
        """
        async with FeedSocket(self._config.socket, self._clock) as socket:
            await self._on_state("connected", socket.address)
            socket.expect_within(self._config.handshake_seconds)
            conversation = _Conversation(self._config, socket, self._on_state)
            try:
                async for frame in socket.frames(partial(parse_frame, names=self._config.names)):
                    if statuses := read_statuses(frame.raw):
                        await conversation.take(statuses)
                    if frame.outcomes:
                        yield frame
            except ProviderError as error:
                raise conversation.explained(error) from None


class _Conversation:
    """The handshake, and what has become of each channel."""

    def __init__(self, config: PolygonConfig, socket: FeedSocket, on_state: StateListener) -> None:
        self._config = config
        self._socket = socket
        self._on_state = on_state
        self._waiting: dict[str, None] = {}  # channels asked for and not yet answered, in order
        self._granted = False
        self._refusal = ""

    async def take(self, statuses: list[Status]) -> None:
        """Takes a frame's statuses; raises what ends the conversation."""
        refused: dict[str, list[str]] = {}
        for status in statuses:
            if status.status == "connected":
                await self._send("auth", self._config.socket.secret.get_secret_value())
            elif status.status == "auth_success":
                await self._subscribe()
            elif status.status == "success":
                await self._grant(status.message)
            else:
                channel = self._refused_channel(status)
                refused.setdefault(status.message, []).append(channel)
        for message, channels in refused.items():
            await self._on_state("refused_symbol", f"{', '.join(channels)}: {self._socket.clean(message)}")
        if refused and not self._granted and not self._waiting:
            raise self._all_refused()

    def explained(self, error: ProviderError) -> ProviderError:
        """The error, or where some channels were refused and the others never answered, what the former tells."""
        return self._all_refused() if error.fault is Fault.SILENT and self._refusal else error

    async def _subscribe(self) -> None:
        for channels in self._config.requests():
            self._waiting |= dict.fromkeys(channels)
            await self._send("subscribe", ",".join(channels))

    async def _send(self, action: str, params: str) -> None:
        """Sends a request; a connection that has ended meanwhile is left to be read, which may tell why."""
        with suppress(ProviderError):
            await self._socket.send({"action": action, "params": params})

    async def _grant(self, message: str) -> None:
        for channel in _CHANNEL.findall(message):
            self._waiting.pop(channel, None)
        if not self._granted:
            self._granted = True
            self._socket.expect_within(None)
            await self._on_state("subscribed", f"{len(self._config.names.symbols)} symbols")

    def _refused_channel(self, status: Status) -> str:
        """The channel that an error means; where it names none, the first that has no answer yet.

        Raises:
            ProviderError: It means no channel.
        """
        named = _CHANNEL.search(status.message)
        channel = named[0] if named else next(iter(self._waiting), None)
        if status.status != "error" or channel is None:
            raise self._ended_by(status)
        self._waiting.pop(channel, None)
        self._refusal = status.message
        return channel

    def _ended_by(self, status: Status) -> ProviderError:
        fault = Fault.PROTOCOL
        if status.status in ("auth_failed", "not_authorized") or plan_refuses(status.message):
            fault = Fault.PLAN if plan_refuses(status.message) else Fault.BAD_KEY
        elif status.status in _ENDINGS or "slow" in status.message.lower():
            fault = Fault.NETWORK
        return self._socket.error(f"{status.status}: {status.message}{_ADVICE.get(fault, '')}", fault)

    def _all_refused(self) -> ProviderError:
        fault = Fault.PLAN if plan_refuses(self._refusal) else Fault.UNKNOWN_SYMBOL
        return self._socket.error(f"refused every channel: {self._refusal}{_ADVICE.get(fault, '')}", fault)


def create(
    endpoint: ProviderSettings, settings: Settings, clock: Clock, on_state: StateListener = ignore_state
) -> PolygonProvider:
    """The adapter for these settings; opens nothing."""
    return PolygonProvider(PolygonConfig.of(endpoint, settings), clock, on_state)

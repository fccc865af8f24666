"""Polygon / Massive over its WebSocket: wait for the greeting, authenticate, subscribe, read.

The server greets with a status, then each step is answered by another. It cuts off slow consumers, so frames must be
taken promptly.
"""

from collections.abc import AsyncGenerator
from functools import partial

from marketstream.domain.errors import Fault
from marketstream.ports import Capabilities, Clock, Frame, History
from marketstream.providers.history import NoHistory
from marketstream.providers.polygon.config import PolygonConfig
from marketstream.providers.polygon.parse import NAME, Status, parse_frame, read_statuses
from marketstream.providers.states import StateListener, ignore_state
from marketstream.providers.websocket import FeedSocket
from marketstream.settings import ProviderSettings, Settings

CAPABILITIES = Capabilities(channels=frozenset({"trades"}), asset_classes=frozenset({"equity"}), sequenced=True)
_SYMBOLS_PER_REQUEST = 200
_KEY_REFUSED = {"auth_failed", "not_authorized"}
_BROKEN = {"auth_timeout", "error", "max_connections", "force_disconnect"}


class PolygonProvider:
    """US stocks' trades.

    Args:
        config: Where and what.
        clock: Stamps frames.
        on_state: Told of `connected` and `subscribed`.
    """

    def __init__(self, config: PolygonConfig, clock: Clock, on_state: StateListener = ignore_state) -> None:
        self._config = config
        self._clock = clock
        self._on_state = on_state
        self._history = NoHistory(NAME)

    @property
    def name(self) -> str:
        """`polygon`."""
        return NAME

    @property
    def capabilities(self) -> Capabilities:
        """What it can give."""
        return CAPABILITIES

    @property
    def symbols(self) -> tuple[str, ...]:
        """The configured symbols that it carries."""
        return self._config.names.symbols

    @property
    def history(self) -> History:
        """Its past."""
        return self._history

    async def stream(self) -> AsyncGenerator[Frame, None]:
        """Yields frames that hold trades or refusals until the connection ends.

        Raises:
            ProviderError: The key was refused, the handshake stalled or the connection broke.
            OSError: The network failed.
        """
        async with FeedSocket(self._config.socket, self._clock) as socket:
            await self._on_state("connected", socket.address)
            socket.expect_within(self._config.handshake_seconds)
            subscribed = False
            async for frame in socket.frames(partial(parse_frame, names=self._config.names)):
                for status in read_statuses(frame.raw):
                    await self._answer(socket, status)
                    if status.status == "success" and not subscribed:
                        subscribed = True
                        socket.expect_within(None)
                        await self._on_state("subscribed", f"{len(self.symbols)} symbols")
                if frame.outcomes:
                    yield frame

    async def _answer(self, socket: FeedSocket, status: Status) -> None:
        if status.status == "connected":
            await socket.send({"action": "auth", "params": self._config.socket.secret.get_secret_value()})
        elif status.status == "auth_success":
            await self._subscribe(socket)
        elif status.status in _KEY_REFUSED or "not authorized" in status.message.lower():
            advice = "check MARKETSTREAM_POLYGON__API_KEY and what its plan covers"
            raise socket.error(f"{status.status}: {status.message}; {advice}", Fault.BAD_KEY)
        elif status.status in _BROKEN:
            raise socket.error(f"{status.status}: {status.message}")

    async def _subscribe(self, socket: FeedSocket) -> None:
        symbols = list(self._config.names.wire_names.values())
        for first in range(0, len(symbols), _SYMBOLS_PER_REQUEST):
            batch = symbols[first : first + _SYMBOLS_PER_REQUEST]
            await socket.send({"action": "subscribe", "params": ",".join(f"T.{symbol}" for symbol in batch)})


def create(
    endpoint: ProviderSettings, settings: Settings, clock: Clock, on_state: StateListener = ignore_state
) -> PolygonProvider:
    """The adapter for these settings; opens nothing."""
    return PolygonProvider(PolygonConfig.of(endpoint, settings), clock, on_state)

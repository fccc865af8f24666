"""The imaginary provider over its WebSocket: connect, subscribe, read."""

from collections.abc import AsyncGenerator

from marketstream.ports import Clock, Frame
from marketstream.providers._template.config import TemplateConfig
from marketstream.providers._template.parse import NAME, parse_frame, read_controls
from marketstream.providers.states import StateListener, ignore_state
from marketstream.providers.websocket import FeedSocket
from marketstream.settings import ProviderSettings, Settings


class TemplateProvider:
    """The imaginary provider's trades.

    Args:
        config: Where and what.
        clock: Stamps frames.
        on_state: Told of `connected` once the socket is open, and of `subscribed` once trades may come.
    """

    def __init__(self, config: TemplateConfig, clock: Clock, on_state: StateListener = ignore_state) -> None:
        self._config = config
        self._clock = clock
        self._on_state = on_state

    @property
    def name(self) -> str:
        """The provider's name, as in settings and messages."""
        return NAME

    async def stream(self) -> AsyncGenerator[Frame, None]:
        """Yields frames that hold trades or refusals until the connection ends.

        Raises:
            ProviderError: The subscription was refused, not answered in time, or the connection broke. Say `retriable`
                False where connecting again can't help.
            OSError: The network failed.
        """
        async with FeedSocket(self._config.socket, self._clock) as socket:
            await self._on_state("connected", socket.address)
            await socket.send({"type": "subscribe", "symbols": self._config.symbols})
            socket.expect_within(self._config.handshake_seconds)
            async for frame in socket.frames(parse_frame):
                if frame.outcomes:
                    yield frame
                    continue  # this provider sends control messages in frames of their own
                for control in read_controls(frame.raw):
                    if control.type == "error":
                        raise socket.error(f"refused the subscription: {control.message}", retriable=False)
                    socket.expect_within(None)
                    await self._on_state("subscribed", f"{len(self._config.symbols)} symbols")


def create(
    endpoint: ProviderSettings, settings: Settings, clock: Clock, on_state: StateListener = ignore_state
) -> TemplateProvider:
    """The adapter for these settings; opens nothing. `providers/registry.py` lists it under its name."""
    return TemplateProvider(TemplateConfig.of(endpoint, settings), clock, on_state)

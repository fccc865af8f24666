"""The imaginary provider over its WebSocket: connect, subscribe, read."""

from collections.abc import AsyncGenerator
from functools import partial

from marketstream.domain.errors import Fault
from marketstream.ports import Capabilities, Clock, Frame, History
from marketstream.providers._template.config import TemplateConfig
from marketstream.providers._template.parse import NAME, parse_frame, read_controls
from marketstream.providers.history import NoHistory
from marketstream.providers.states import StateListener, ignore_state
from marketstream.providers.websocket import FeedSocket
from marketstream.settings import ProviderSettings, Settings

CAPABILITIES = Capabilities(channels=frozenset({"trades"}), asset_classes=frozenset({"equity"}), sequenced=True)


class TemplateProvider:
    """The imaginary provider's trades.

    Args:
        config: Where and what.
        clock: Stamps frames.
        on_state: Told of `connected` once the socket is open, and of `subscribed` once trades may come.
    """

    def __init__(self, config: TemplateConfig, clock: Clock, on_state: StateListener = ignore_state) -> None:
        self.name = NAME
        self.capabilities = CAPABILITIES
        self.symbols = config.names.symbols
        self._config = config
        self._clock = clock
        self._on_state = on_state
        self.history: History = NoHistory(NAME)

    async def stream(self) -> AsyncGenerator[Frame, None]:
        """Yields frames that hold trades or refusals until the connection ends.

        Raises:
            ProviderError: The subscription was refused, not answered in time, or the connection broke. Name the
                fault: it decides whether connecting again can help.
            OSError: The network failed.
        """
        async with FeedSocket(self._config.socket, self._clock) as socket:
            await self._on_state("connected", socket.address)
            await socket.send({"type": "subscribe", "symbols": list(self._config.names.wire_names.values())})
            socket.expect_within(self._config.handshake_seconds)
            async for frame in socket.frames(partial(parse_frame, names=self._config.names)):
                if frame.outcomes:
                    yield frame
                    continue  # this provider sends control messages in frames of their own
                for control in read_controls(frame.raw):
                    if control.type == "error":
                        raise socket.error(f"refused the subscription: {control.message}", Fault.UNSUPPORTED)
                    socket.expect_within(None)
                    await self._on_state("subscribed", f"{len(self.symbols)} symbols")


def create(
    endpoint: ProviderSettings, settings: Settings, clock: Clock, on_state: StateListener = ignore_state
) -> TemplateProvider:
    """The adapter for these settings; opens nothing. `providers/registry.py` lists it under its name."""
    return TemplateProvider(TemplateConfig.of(endpoint, settings), clock, on_state)

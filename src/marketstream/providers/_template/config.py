"""What the imaginary provider's adapter needs to know: the address, the symbols as it spells them, its limits."""

from dataclasses import dataclass
from typing import Self

from marketstream.providers._template.parse import NAME
from marketstream.providers.websocket import SocketConfig
from marketstream.settings import ProviderSettings, Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateConfig:
    """The adapter's settings.

    Attributes:
        socket: The connection; a key goes into its `secret`, so that it is never shown.
        symbols: Symbols as the provider spells them; here the canonical ones in lower case.
        handshake_seconds: How long the answer to the subscription may take.
    """

    socket: SocketConfig
    symbols: tuple[str, ...]
    handshake_seconds: float = 10.0

    @classmethod
    def of(cls, endpoint: ProviderSettings, settings: Settings) -> Self:
        """Takes the platform's settings."""
        socket = SocketConfig(
            provider=NAME,
            url=endpoint.websocket_url,
            max_frame_bytes=settings.ingest.max_frame_bytes,
            secret=endpoint.api_key,
        )
        return cls(socket=socket, symbols=tuple(symbol.lower() for symbol in settings.symbols))

"""What the Polygon / Massive adapter needs to know."""

from dataclasses import dataclass
from typing import Self

from marketstream.providers.polygon.parse import NAME
from marketstream.providers.websocket import SocketConfig
from marketstream.settings import ProviderSettings, Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class PolygonConfig:
    """Polygon's settings.

    Attributes:
        socket: The connection; its secret is the API key.
        symbols: Canonical symbols, which are Polygon's own.
        handshake_seconds: How long authentication and subscription may take together.
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
        return cls(socket=socket, symbols=tuple(settings.symbols))

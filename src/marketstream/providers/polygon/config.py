"""What the Polygon / Massive adapter needs to know."""

from dataclasses import dataclass
from typing import Self

from marketstream.domain.market import AssetClass
from marketstream.providers.polygon.parse import NAME
from marketstream.providers.symbology import Symbology
from marketstream.providers.websocket import SocketConfig
from marketstream.settings import ProviderSettings, Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class PolygonConfig:
    """Polygon's settings.

    Attributes:
        socket: The connection; its secret is the API key.
        names: The symbols; canonical ones are Polygon's own.
        handshake_seconds: How long authentication and subscription may take together.
    """

    socket: SocketConfig
    names: Symbology
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
        names = Symbology.of(NAME, settings.symbols, endpoint.symbol_names, _wire_name)
        return cls(socket=socket, names=names)


def _wire_name(symbol: str, asset_class: AssetClass) -> str | None:
    return symbol if asset_class == "equity" else None

"""What the imaginary provider's adapter needs to know: the address, the symbols as it spells them, its limits."""

from dataclasses import dataclass
from typing import Self

from marketstream.domain.market import AssetClass
from marketstream.providers._template.parse import NAME
from marketstream.providers.symbology import Symbology
from marketstream.providers.websocket import SocketConfig
from marketstream.settings import ProviderSettings, Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateConfig:
    """The adapter's settings.

    Attributes:
        socket: The connection; a key goes into its `secret`, so that it is never shown.
        names: Symbols as the provider spells them; here the canonical ones in lower case.
        handshake_seconds: How long the answer to the subscription may take.
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
    return symbol.lower() if asset_class == "equity" else None

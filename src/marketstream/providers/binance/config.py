"""What the Binance spot adapter needs to know."""

from dataclasses import dataclass, replace
from typing import Self
from urllib.parse import urlsplit

from marketstream.domain.market import AssetClass
from marketstream.domain.symbols import PERPETUAL
from marketstream.providers.binance.parse import NAME
from marketstream.providers.symbology import Symbology
from marketstream.providers.websocket import SocketConfig
from marketstream.settings import ProviderSettings, Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class BinanceConfig:
    """Binance's settings and limits.

    Attributes:
        socket: The connection, without a path.
        names: The symbols; canonical ones such as BTCUSDT are Binance's own.
        streams_per_connection: Binance allows 1,024; more symbols are spread over connections.
        streams_per_request: How many are named in the address, and in each SUBSCRIBE for the rest.
        request_pause_seconds: Between two SUBSCRIBEs; Binance allows 5 incoming messages a second, pongs included.
        handshake_seconds: How long the reply to a SUBSCRIBE may take.
    """

    socket: SocketConfig
    names: Symbology
    streams_per_connection: int = 1_024
    streams_per_request: int = 200
    request_pause_seconds: float = 0.35
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

    def shards(self) -> list[tuple[str, ...]]:
        """Stream names by connection."""
        streams = tuple(f"{symbol.lower()}@aggTrade" for symbol in self.names.wire_names.values())
        size = self.streams_per_connection
        return [streams[first : first + size] for first in range(0, len(streams), size)]

    def address(self, streams: tuple[str, ...]) -> SocketConfig:
        """The combined stream of these."""
        base = urlsplit(self.socket.url)
        url = base._replace(path=base.path.rstrip("/") + "/stream", query=f"streams={'/'.join(streams)}")
        return replace(self.socket, url=url.geturl())


def _wire_name(symbol: str, _asset_class: AssetClass) -> str | None:
    return None if symbol.endswith(PERPETUAL) else symbol

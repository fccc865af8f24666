"""What the Binance spot adapter needs to know."""

from dataclasses import dataclass, replace
from typing import Self
from urllib.parse import urlsplit

from marketstream.providers.binance.parse import NAME
from marketstream.providers.websocket import SocketConfig
from marketstream.settings import ProviderSettings, Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class BinanceConfig:
    """Binance's settings and limits.

    Attributes:
        socket: The connection, without a path.
        symbols: Canonical symbols, such as BTCUSDT.
        streams_per_connection: Binance allows 1,024; more symbols are spread over connections.
        streams_per_request: How many are named in the address, and in each SUBSCRIBE for the rest.
        request_pause_seconds: Between two SUBSCRIBEs; Binance allows 5 incoming messages a second, pongs included.
        handshake_seconds: How long the reply to a SUBSCRIBE may take.
    """

    socket: SocketConfig
    symbols: tuple[str, ...]
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
        return cls(socket=socket, symbols=tuple(settings.symbols))

    def shards(self) -> list[tuple[str, ...]]:
        """Stream names by connection."""
        streams = tuple(f"{symbol.lower()}@aggTrade" for symbol in self.symbols)
        size = self.streams_per_connection
        return [streams[first : first + size] for first in range(0, len(streams), size)]

    def address(self, streams: tuple[str, ...]) -> SocketConfig:
        """The combined stream of these."""
        base = urlsplit(self.socket.url)
        url = base._replace(path=base.path.rstrip("/") + "/stream", query=f"streams={'/'.join(streams)}")
        return replace(self.socket, url=url.geturl())

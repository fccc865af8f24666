"""What the Financial Modeling Prep adapter needs to know."""

from dataclasses import dataclass
from typing import Self

from pydantic import SecretStr

from marketstream.domain.market import AssetClass
from marketstream.domain.symbols import PERPETUAL
from marketstream.ports import Channel
from marketstream.providers.fmp.parse import NAME
from marketstream.providers.markets import Connection, connections
from marketstream.providers.symbology import Symbology
from marketstream.providers.websocket import SocketConfig
from marketstream.settings import FmpSettings, ProviderSettings, Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class FmpConfig:
    """FMP's settings.

    Attributes:
        connections: One for each market's host.
        names: Symbols as FMP spells them on the stream: `aapl`, `btcusd`, `eurusd`; a class of shares as `brk-b`.
        wanted: Channels asked for.
        key: Opens the stream and REST.
        rest_url: Where its REST API is.
        requests_per_minute: REST requests allowed.
        symbols_per_request: How many are named in one subscription.
        handshake_seconds: How long the answer to the login may take.
    """

    connections: tuple[Connection, ...]
    names: Symbology
    wanted: tuple[Channel, ...]
    key: SecretStr
    rest_url: str
    requests_per_minute: int
    symbols_per_request: int = 200
    handshake_seconds: float = 10.0

    @classmethod
    def of(cls, endpoint: ProviderSettings, settings: Settings) -> Self:
        """Takes the platform's settings; an endpoint that tells one address has every market there."""
        urls: dict[AssetClass, str] = {}
        if isinstance(endpoint, FmpSettings):
            urls = {"crypto": endpoint.crypto_websocket_url, "forex": endpoint.forex_websocket_url}
            urls["commodity"] = urls["forex"]
        own = endpoint if isinstance(endpoint, FmpSettings) else settings.fmp
        names = Symbology.of(NAME, settings.symbols, endpoint.symbol_names, _wire_name)
        url = endpoint.websocket_url
        socket = SocketConfig(
            provider=NAME, url=url, max_frame_bytes=settings.ingest.max_frame_bytes, secret=endpoint.api_key
        )
        return cls(
            connections=connections(names, socket, lambda kind: urls.get(kind) or url),
            names=names,
            wanted=tuple(settings.ingest.channels),
            key=endpoint.api_key,
            rest_url=endpoint.rest_url,
            requests_per_minute=own.requests_per_minute,
        )


def _wire_name(symbol: str, asset_class: AssetClass) -> str | None:
    # Of commodities FMP streams the metals that are quoted like currencies; perpetuals it has none.
    if symbol.endswith(PERPETUAL) or (asset_class == "commodity" and len(symbol) != 6):
        return None
    return symbol.replace(".", "-").lower()

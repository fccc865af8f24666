"""What the Finage adapter needs to know."""

from dataclasses import dataclass
from typing import Self
from urllib.parse import quote, urlsplit

from pydantic import SecretStr

from marketstream.domain.market import AssetClass
from marketstream.domain.symbols import PERPETUAL
from marketstream.ports import Channel
from marketstream.providers.finage.parse import NAME
from marketstream.providers.markets import Connection, connections
from marketstream.providers.symbology import Symbology
from marketstream.providers.websocket import SocketConfig
from marketstream.settings import FinageSettings, ProviderSettings, Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class FinageConfig:
    """Finage's settings.

    Attributes:
        connections: One for each address; their secret is the socket key, which is in the address too.
        names: Symbols as Finage spells them: `AAPL`, `BTCUSD`, and `GBP/USD` on the stream.
        wanted: Channels asked for.
        rest_url: Where its REST API is.
        rest_key: Opens REST.
        requests_per_minute: REST requests allowed.
        symbols_per_request: How many are named in one subscription.
        handshake_seconds: How long the server may take to let us in.
    """

    connections: tuple[Connection, ...]
    names: Symbology
    wanted: tuple[Channel, ...]
    rest_url: str
    rest_key: SecretStr
    requests_per_minute: int
    symbols_per_request: int = 200
    handshake_seconds: float = 10.0

    @classmethod
    def of(cls, endpoint: ProviderSettings, settings: Settings) -> Self:
        """Takes the platform's settings; where no REST key is set, the socket's is tried."""
        own = FinageSettings.model_validate(endpoint.model_dump(include=set(FinageSettings.model_fields)))
        url, key = own.websocket_url, own.api_key
        urls: dict[AssetClass, str] = {"crypto": own.crypto_websocket_url, "forex": own.forex_websocket_url}
        urls["commodity"] = urls["forex"]
        names = Symbology.of(NAME, settings.symbols, own.symbol_names, _wire_name)
        socket = SocketConfig(
            provider=NAME, url=url, max_frame_bytes=settings.ingest.max_frame_bytes, secret=own.api_key
        )
        return cls(
            connections=connections(names, socket, lambda kind: _with_token(urls.get(kind) or url, key)),
            names=names,
            wanted=tuple(settings.ingest.channels),
            rest_url=own.rest_url,
            rest_key=own.rest_api_key if own.rest_api_key.get_secret_value() else key,
            requests_per_minute=own.requests_per_minute,
        )


def _with_token(url: str, key: SecretStr) -> str:
    address = urlsplit(url)
    return address._replace(path=address.path or "/", query=f"token={quote(key.get_secret_value(), safe='')}").geturl()


def _wire_name(symbol: str, asset_class: AssetClass) -> str | None:
    if symbol.endswith(PERPETUAL):
        return None
    if asset_class in ("forex", "commodity"):
        # Metals are quoted like currencies; Finage has no oil or gas by names of this kind.
        return f"{symbol[:3]}/{symbol[3:]}" if len(symbol) == 6 else None
    return symbol

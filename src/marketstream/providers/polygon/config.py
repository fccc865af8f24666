"""What the Polygon / Massive adapter needs to know."""

from dataclasses import dataclass
from typing import Self

from marketstream.domain.market import AssetClass
from marketstream.ports import Capabilities
from marketstream.providers.channels import chosen_channels
from marketstream.providers.limits import RateLimit
from marketstream.providers.polygon.parse import INTERVALS, NAME
from marketstream.providers.polygon.refusals import find_refusal
from marketstream.providers.rest import RestConfig
from marketstream.providers.symbology import Symbology
from marketstream.providers.websocket import SocketConfig
from marketstream.settings import PolygonSettings, ProviderSettings, Settings

CAPABILITIES = Capabilities(
    channels=frozenset({"trades", "quotes", "bars"}),
    asset_classes=frozenset({"equity"}),
    sequenced=True,
    past_trades=True,
    past_bars=True,
    last_trade=True,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PolygonConfig:
    """Polygon's settings.

    Attributes:
        socket: The connection; its secret is the API key.
        rest: The REST API.
        names: The symbols; canonical ones are Polygon's own.
        kinds: The events subscribed to, by Polygon's names.
        symbols_per_request: Named in one message.
        handshake_seconds: How long authentication and subscription may take together.
    """

    socket: SocketConfig
    rest: RestConfig
    names: Symbology
    kinds: tuple[str, ...] = ("T",)
    symbols_per_request: int = 200
    handshake_seconds: float = 10.0

    @classmethod
    def of(cls, endpoint: ProviderSettings, settings: Settings) -> Self:
        """Takes the platform's settings; the limit is the endpoint's, else `settings.polygon`'s."""
        own = endpoint if isinstance(endpoint, PolygonSettings) else settings.polygon
        socket = SocketConfig(
            provider=NAME,
            url=endpoint.websocket_url,
            max_frame_bytes=settings.ingest.max_frame_bytes,
            secret=endpoint.api_key,
        )
        names = Symbology.of(NAME, settings.symbols, endpoint.symbol_names, _wire_name)
        return cls(socket=socket, rest=_rest(endpoint, own.requests_per_minute), names=names, kinds=_kinds(settings))

    def requests(self) -> list[tuple[str, ...]]:
        """The channels to subscribe to, by request, such as `T.AAPL`."""
        symbols, size = list(self.names.wire_names.values()), self.symbols_per_request
        return [
            tuple(f"{kind}.{symbol}" for symbol in symbols[first : first + size])
            for kind in self.kinds
            for first in range(0, len(symbols), size)
        ]


def _rest(endpoint: ProviderSettings, requests_per_minute: int) -> RestConfig:
    return RestConfig(
        provider=NAME,
        url=endpoint.rest_url,
        secret=endpoint.api_key,
        find_refusal=find_refusal,
        limit=RateLimit(requests_per_minute),
        headers={"Authorization": f"Bearer {endpoint.api_key.get_secret_value()}"},
    )


def _kinds(settings: Settings) -> tuple[str, ...]:
    """Bars of a minute come with the channel, those of a second only where the platform has bars so short."""
    channels = chosen_channels(settings.ingest.channels, CAPABILITIES)
    seconds = INTERVALS["A"] in settings.intervals
    wanted = {"T": "trades" in channels, "Q": "quotes" in channels, "AM": "bars" in channels}
    wanted["A"] = wanted["AM"] and seconds
    return tuple(kind for kind, is_wanted in wanted.items() if is_wanted)


def _wire_name(symbol: str, asset_class: AssetClass) -> str | None:
    return symbol if asset_class == "equity" else None

"""What the Binance adapters need to know."""

from dataclasses import dataclass, replace
from typing import Self
from urllib.parse import urlsplit

from marketstream.ports import Channel
from marketstream.providers.binance.market import CAPABILITIES, SPOT, STREAM_NAMES, BinanceMarket
from marketstream.providers.binance.refusals import find_refusal
from marketstream.providers.channels import chosen_channels
from marketstream.providers.symbology import Symbology
from marketstream.providers.websocket import SocketConfig
from marketstream.settings import BinanceSettings, ProviderSettings, Settings

# What a configured WebSocket address may end in, by mistake or by habit.
_STREAM_ENDS = ("/ws", "/stream")
_ROUTES = ("/market", "/public", "/private")


@dataclass(frozen=True, slots=True)
class Shard:
    """What one connection carries.

    Attributes:
        route: The path below the host.
        streams: Stream names.
    """

    route: str
    streams: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BinanceConfig:
    """An adapter's settings and limits.

    Attributes:
        socket: The connection, without a path.
        names: The symbols.
        market: Spot or futures.
        channels: What is subscribed to.
        rest_url: Where its REST API is.
        weight_per_minute: REST request weight this client allows itself.
        rotate_seconds: Age at which a connection is replaced; Binance ends it at 24 h.
        overlap_seconds: How long both connections deliver then.
        streams_per_connection: More are spread over connections.
        streams_per_request: How many are named in the address, and in each SUBSCRIBE for the rest.
        request_pause_seconds: Between two SUBSCRIBEs.
        handshake_seconds: How long the replies to the SUBSCRIBEs may take.
    """

    socket: SocketConfig
    names: Symbology
    market: BinanceMarket = SPOT
    channels: frozenset[Channel] = frozenset({"trades"})
    rest_url: str = ""
    weight_per_minute: int = 1_000
    rotate_seconds: float = 23 * 3_600.0
    overlap_seconds: float = 2.0
    streams_per_connection: int = SPOT.streams_per_connection
    streams_per_request: int = 200
    request_pause_seconds: float = SPOT.request_pause_seconds
    handshake_seconds: float = 10.0

    @classmethod
    def of(cls, endpoint: ProviderSettings, settings: Settings, market: BinanceMarket = SPOT) -> Self:
        """Takes the platform's settings."""
        own: BinanceSettings = endpoint if isinstance(endpoint, BinanceSettings) else getattr(settings, market.name)
        socket = SocketConfig(
            provider=market.name,
            url=_base(endpoint.websocket_url),
            max_frame_bytes=settings.ingest.max_frame_bytes,
            secret=endpoint.api_key,
            find_refusal=find_refusal,
        )
        return cls(
            socket=socket,
            names=Symbology.of(market.name, settings.symbols, endpoint.symbol_names, market.naming(settings)),
            market=market,
            channels=chosen_channels(settings.ingest.channels, CAPABILITIES),
            rest_url=endpoint.rest_url,
            weight_per_minute=own.weight_per_minute,
            rotate_seconds=own.rotate_seconds,
            streams_per_connection=market.streams_per_connection,
            request_pause_seconds=market.request_pause_seconds,
        )

    def shards(self) -> list[Shard]:
        """What each connection carries: streams of one route, at most `streams_per_connection`."""
        chosen = [channel for channel in STREAM_NAMES if channel in self.channels]
        shards = []
        for route in dict.fromkeys(self.market.routes[channel] for channel in chosen):
            kinds = [STREAM_NAMES[channel] for channel in chosen if self.market.routes[channel] == route]
            streams = [f"{name.lower()}@{kind}" for name in self.names.wire_names.values() for kind in kinds]
            size = self.streams_per_connection
            shards += [Shard(route, tuple(streams[first : first + size])) for first in range(0, len(streams), size)]
        return shards

    def address(self, shard: Shard) -> SocketConfig:
        """The combined stream of the first of a connection's streams; the rest must be subscribed to."""
        base = urlsplit(self.socket.url)
        first = "/".join(shard.streams[: self.streams_per_request])
        url = base._replace(path=f"{base.path.rstrip('/')}{shard.route}/stream", query=f"streams={first}")
        return replace(self.socket, url=url.geturl())


def _base(url: str) -> str:
    """The address without a route and without what kind of stream it is; those are the adapter's to add."""
    address = urlsplit(url)
    path = address.path.rstrip("/")
    for ends in (_STREAM_ENDS, _ROUTES):
        path = next((path.removesuffix(end) for end in ends if path.endswith(end)), path)
    return address._replace(path=path, query="").geturl()

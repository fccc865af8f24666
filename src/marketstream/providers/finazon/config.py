"""What the Finazon adapter needs to know."""

from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlencode, urlsplit

from marketstream.domain.errors import ConfigurationError
from marketstream.domain.interval import Interval
from marketstream.domain.market import AssetClass
from marketstream.domain.symbols import PERPETUAL
from marketstream.providers.finazon.parse import INTERVALS, NAME
from marketstream.providers.finazon.refusals import find_refusal
from marketstream.providers.limits import RateLimit
from marketstream.providers.rest import RestConfig
from marketstream.providers.symbology import Symbology
from marketstream.providers.websocket import SocketConfig
from marketstream.settings import FinazonSettings, ProviderSettings, Settings

# Who publishes which dataset; a dataset of an exchange has the exchange's own name.
_PUBLISHERS = {"us_stocks_essential": "finazon", "forex": "finazon", "crypto": "finazon"}
_QUOTES = ("FDUSD", "USDT", "USDC", "BUSD", "TUSD", "USD", "EUR", "GBP", "BTC", "ETH", "BNB", "DAI")


@dataclass(frozen=True, slots=True, kw_only=True)
class FinazonConfig:
    """Finazon's settings and limits.

    Attributes:
        socket: The connection, its key in the query. One is enough, so that two of the three that a workspace may have
            stay free for others.
        rest: The REST API.
        names: The symbols, as the dataset spells them.
        dataset: What is subscribed to.
        frequency: How often a bar's newest state comes.
        aggregation: Bar length, as Finazon names it.
        asset_classes: What the dataset is of.
        tickers_per_request: Named in one message, which may have 100 kB.
        messages_per_minute: Sent at most; with `messages_burst` below the 100 that Finazon allows in any minute.
        messages_burst: Of these, how many at once.
        heartbeat_seconds: Between heartbeats.
        handshake_seconds: How long the first answer to a subscription may take.
    """

    socket: SocketConfig
    rest: RestConfig
    names: Symbology
    dataset: str
    frequency: str
    aggregation: str
    asset_classes: frozenset[AssetClass]
    tickers_per_request: int = 200
    messages_per_minute: int = 60
    messages_burst: int = 30
    heartbeat_seconds: float = 30.0
    handshake_seconds: float = 10.0

    @classmethod
    def of(cls, endpoint: ProviderSettings, settings: Settings) -> Self:
        """Takes the platform's settings; the dataset and its like are the endpoint's, else `settings.finazon`'s.

        Raises:
            ConfigurationError: The dataset has none of the symbols, or bars can't come less often than they end.
        """
        own = endpoint if isinstance(endpoint, FinazonSettings) else settings.finazon
        if INTERVALS[own.frequency] > INTERVALS[own.aggregation]:
            raise ConfigurationError("MARKETSTREAM_FINAZON__FREQUENCY: it must not be longer than the aggregation")
        asset_classes = _asset_classes(own.dataset)

        def name(symbol: str, asset_class: AssetClass) -> str | None:
            return _wire_name(symbol, asset_class) if asset_class in asset_classes else None

        return cls(
            socket=_socket(endpoint, settings.ingest.max_frame_bytes),
            rest=_rest(endpoint, own.requests_per_minute),
            names=Symbology.of(NAME, settings.symbols, endpoint.symbol_names, name),
            dataset=own.dataset,
            frequency=own.frequency,
            aggregation=own.aggregation,
            asset_classes=asset_classes,
        )

    @property
    def interval(self) -> Interval:
        """Bar length."""
        return INTERVALS[self.aggregation]

    @property
    def series_path(self) -> str:
        """Where the dataset's past bars are."""
        publisher = "sip" if self.dataset.startswith("sip_") else _PUBLISHERS.get(self.dataset, self.dataset)
        return f"/latest/{publisher}/{self.dataset}/time_series"

    def requests(self) -> list[dict[str, Any]]:
        """The messages that subscribe to every symbol."""
        tickers = list(self.names.wire_names.values())
        size = self.tickers_per_request
        common = {"channel": "bars", "frequency": self.frequency, "aggregation": self.aggregation}
        return [
            {"event": "subscribe", "dataset": self.dataset, "tickers": tickers[first : first + size], **common}
            for first in range(0, len(tickers), size)
        ]


def _socket(endpoint: ProviderSettings, max_frame_bytes: int) -> SocketConfig:
    base = urlsplit(endpoint.websocket_url)
    key = urlencode({"apikey": endpoint.api_key.get_secret_value()})
    url = base._replace(query=f"{base.query}&{key}" if base.query else key).geturl()
    return SocketConfig(provider=NAME, url=url, max_frame_bytes=max_frame_bytes, secret=endpoint.api_key)


def _rest(endpoint: ProviderSettings, requests_per_minute: int) -> RestConfig:
    return RestConfig(
        provider=NAME,
        url=endpoint.rest_url,
        secret=endpoint.api_key,
        find_refusal=find_refusal,
        limit=RateLimit(requests_per_minute),
        headers={"Authorization": f"apikey {endpoint.api_key.get_secret_value()}"},
    )


def _asset_classes(dataset: str) -> frozenset[AssetClass]:
    if dataset.startswith(("us_", "sip_")):
        return frozenset({"equity"})
    return frozenset({"forex", "commodity"}) if dataset == "forex" else frozenset({"crypto"})


def _wire_name(symbol: str, asset_class: AssetClass) -> str | None:
    if asset_class == "equity":
        return symbol
    if symbol.endswith(PERPETUAL):
        return None
    if asset_class == "crypto":
        quote = next((quote for quote in _QUOTES if symbol.endswith(quote) and symbol != quote), None)
        return f"{symbol.removesuffix(quote)}/{quote}" if quote else None
    return f"{symbol[:3]}/{symbol[3:]}" if len(symbol) == 6 else None

"""What the Alpha Vantage adapter needs to know."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from pydantic import SecretStr

from marketstream.domain.interval import Interval
from marketstream.domain.market import AssetClass
from marketstream.providers.alpha_vantage.parse import INTERVALS, NAME
from marketstream.providers.alpha_vantage.quota import QuotaLimit
from marketstream.providers.alpha_vantage.refusals import refusal_of
from marketstream.providers.rest import Refusal, RestConfig
from marketstream.providers.symbology import Symbology
from marketstream.settings import AlphaVantageSettings, ProviderSettings, Settings

PATH = "/query"


@dataclass(frozen=True, slots=True, kw_only=True)
class AlphaVantageConfig:
    """Alpha Vantage's settings and limits.

    Attributes:
        url: The REST API's base address.
        api_key: Goes into every request's query.
        names: The symbols; canonical ones are Alpha Vantage's own. Equities only: pairs have functions of their own,
            whose bars lack a volume.
        interval: Bar length, as Alpha Vantage names it.
        requests_per_minute: The plan's burst limit.
        requests_per_day: The plan's daily quota.
        spacing_seconds: Between two requests.
        round_seconds: The symbols are not asked for all over again sooner than this; a quarter of a bar.
    """

    url: str
    api_key: SecretStr
    names: Symbology
    interval: str
    requests_per_minute: int
    requests_per_day: int
    spacing_seconds: float = 1.0
    round_seconds: float = 15.0

    @classmethod
    def of(cls, endpoint: ProviderSettings, settings: Settings) -> Self:
        """Takes the platform's settings; limits and length are the endpoint's, else `settings.alpha_vantage`'s."""
        own = endpoint if isinstance(endpoint, AlphaVantageSettings) else settings.alpha_vantage
        return cls(
            url=endpoint.rest_url,
            api_key=endpoint.api_key,
            names=Symbology.of(NAME, settings.symbols, endpoint.symbol_names, _wire_name),
            interval=own.interval,
            requests_per_minute=own.requests_per_minute,
            requests_per_day=own.requests_per_day,
            round_seconds=INTERVALS[own.interval].seconds / 4,
        )

    def rest(self, limit: QuotaLimit) -> RestConfig:
        """The REST API, within a limit."""

        def find_refusal(status: int, _headers: Mapping[str, str], body: bytes) -> Refusal | None:
            return refusal_of(status, body, limit.until_renewal_seconds)

        return RestConfig(
            provider=NAME,
            url=self.url,
            secret=self.api_key,
            find_refusal=find_refusal,
            limit=limit,
            secret_parameter="apikey",  # noqa: S106  # the parameter's name
        )


def bars_query(symbol_name: str, interval: str) -> dict[str, str]:
    """The query for a symbol's newest bars, prices as traded."""
    return {"function": "TIME_SERIES_INTRADAY", "symbol": symbol_name, "interval": interval, "adjusted": "false"}


def interval_name(interval: Interval) -> str | None:
    """Alpha Vantage's name of a length; None where it has no such bars."""
    return next((name for name, known in INTERVALS.items() if known == interval), None)


def _wire_name(symbol: str, asset_class: AssetClass) -> str | None:
    return symbol if asset_class == "equity" else None

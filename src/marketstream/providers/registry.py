"""The adapters by name: the one list a new provider is added to."""

from collections.abc import Callable

from marketstream.domain.errors import ConfigurationError
from marketstream.ports import Clock, Provider
from marketstream.providers.alpha_vantage import client as alpha_vantage
from marketstream.providers.auto import Feed
from marketstream.providers.binance import client as binance
from marketstream.providers.binance_usdm import client as binance_usdm
from marketstream.providers.finage import client as finage
from marketstream.providers.finazon import client as finazon
from marketstream.providers.fmp import client as fmp
from marketstream.providers.polygon import client as polygon
from marketstream.providers.states import StateListener
from marketstream.settings import ProviderSettings, Settings

Factory = Callable[[ProviderSettings, Settings, Clock, StateListener], Provider]

FACTORIES: dict[str, Factory] = {
    "alpha_vantage": alpha_vantage.create,
    "binance": binance.create,
    "binance_usdm": binance_usdm.create,
    "finazon": finazon.create,
    "finage": finage.create,
    "fmp": fmp.create,
    "polygon": polygon.create,
}


def create_provider(feed: Feed, settings: Settings, clock: Clock, on_state: StateListener) -> Provider:
    """The feed's adapter; opens nothing.

    Raises:
        ConfigurationError: No adapter of this name exists.
    """
    factory = FACTORIES.get(feed.provider)
    if factory is None:
        raise ConfigurationError(f"MARKETSTREAM_PROVIDERS: {feed.provider!r} is none of {', '.join(FACTORIES)}")
    return factory(feed.endpoint, settings, clock, on_state)

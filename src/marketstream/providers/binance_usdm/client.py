"""Binance USD-M over its WebSocket streams: trades and bars on one route, quotes on another; else as spot."""

from marketstream.ports import Clock
from marketstream.providers.binance.client import BinanceProvider
from marketstream.providers.binance.config import BinanceConfig
from marketstream.providers.binance_usdm.config import USDM
from marketstream.providers.states import StateListener, ignore_state
from marketstream.settings import ProviderSettings, Settings


def create(
    endpoint: ProviderSettings, settings: Settings, clock: Clock, on_state: StateListener = ignore_state
) -> BinanceProvider:
    """The adapter for these settings; opens nothing."""
    return BinanceProvider(BinanceConfig.of(endpoint, settings, USDM), clock, on_state)

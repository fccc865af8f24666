"""The `dashboard` process: Dash over uvicorn."""

from marketstream.serving.dashboard.app import create_app
from marketstream.serving.http import check_host, serve
from marketstream.serving.market_data import MarketData
from marketstream.settings import Settings


def run(settings: Settings, market_data: MarketData) -> None:
    """Serves the screens on `serving.host:dashboard_port` until SIGTERM or SIGINT.

    Raises:
        ConfigurationError: The host is not loopback.
    """
    check_host(settings.serving)
    serve(create_app(market_data, settings), settings.serving, settings.serving.dashboard_port)

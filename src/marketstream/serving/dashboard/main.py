"""The `dashboard` process: Dash over uvicorn."""

from contextlib import closing

from marketstream.serving.access.access import Access
from marketstream.serving.dashboard.app import create_app
from marketstream.serving.http import check_host, serve
from marketstream.serving.market_data import MarketData
from marketstream.settings import Settings


def run(settings: Settings, access: Access, market_data: MarketData) -> None:
    """Serves the screens on `serving.host:dashboard_port` until SIGTERM or SIGINT.

    Raises:
        ConfigurationError: The host is not loopback, and nothing asks who is there.
    """
    check_host(settings.serving, settings.access)
    app = create_app(market_data, settings, access)
    with closing(access):
        serve(app, settings.serving, settings.serving.dashboard_port, settings.access)

"""The `api` process: REST over uvicorn."""

from marketstream.serving.api.app import Extras, create_app
from marketstream.serving.feed_data import FeedData
from marketstream.serving.http import check_host, serve
from marketstream.serving.market_data import MarketData
from marketstream.settings import Settings


def run(settings: Settings, market_data: MarketData, feed_data: FeedData, extras: Extras) -> None:
    """Serves REST on `serving.host:api_port` until SIGTERM or SIGINT.

    Raises:
        ConfigurationError: The host is not loopback.
    """
    check_host(settings.serving)
    serve(create_app(market_data, feed_data, extras), settings.serving, settings.serving.api_port)

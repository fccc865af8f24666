"""The `api` process: REST over uvicorn."""

from contextlib import closing

from marketstream.serving.access.access import Access
from marketstream.serving.api.app import Extras, create_app
from marketstream.serving.feed_data import FeedData
from marketstream.serving.http import check_host, serve
from marketstream.serving.market_data import MarketData
from marketstream.settings import Settings


def run(settings: Settings, access: Access, market_data: MarketData, feed_data: FeedData, extras: Extras) -> None:
    """Serves REST on `serving.host:api_port` until SIGTERM or SIGINT.

    Raises:
        ConfigurationError: The host is not loopback, and nothing asks who is there.
    """
    check_host(settings.serving, settings.access)
    app = create_app(market_data, feed_data, extras, access)
    with closing(access):
        serve(app, settings.serving, settings.serving.api_port, settings.access)

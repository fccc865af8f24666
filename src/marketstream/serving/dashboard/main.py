"""The `dashboard` process: Dash over uvicorn."""

from contextlib import closing

from marketstream.serving.access.access import Access
from marketstream.serving.dashboard.app import create_app
from marketstream.serving.dashboard.sources import Sources
from marketstream.serving.http import check_host, serve
from marketstream.settings import Settings


def run(settings: Settings, access: Access, sources: Sources) -> None:
    """Serves the screens on `serving.host:dashboard_port` until SIGTERM or SIGINT.

    Raises:
        ConfigurationError: The host is not loopback, and nothing asks who is there.
    """
    check_host(settings.serving, settings.access)
    app = create_app(sources, access)
    with closing(access):
        serve(app, settings.serving, settings.serving.dashboard_port, settings.access)

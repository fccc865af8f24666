"""Builds the Dash application, on Dash's FastAPI backend, so that it is served, counted and guarded as REST is."""

from dash import Dash
from fastapi import FastAPI
from starlette.types import ASGIApp

from marketstream.serving.access.access import Access
from marketstream.serving.access.screen_guard import ScreenGuard
from marketstream.serving.api.exports import export_router
from marketstream.serving.api.listings import Listings
from marketstream.serving.api.problems import install
from marketstream.serving.dashboard import shell
from marketstream.serving.dashboard.registry import pages_for
from marketstream.serving.dashboard.sources import Sources
from marketstream.serving.health import health_router
from marketstream.serving.http import enveloped

# Dash starts from inline scripts; beyond those, everything is this server's own.
_CONTENT_SECURITY_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
# Sets the colours before the first paint, so that nobody is flashed by the other scheme.
_INDEX = """<!DOCTYPE html>
<html lang="en" data-mantine-color-scheme="dark">
<head>{%metas%}<meta name="color-scheme" content="dark light"><title>{%title%}</title>{%favicon%}{%css%}
<script>document.documentElement.dataset.mantineColorScheme =
  localStorage.getItem("mantine-color-scheme-value") === "light" ? "light" : "dark";</script></head>
<body>{%app_entry%}<footer>{%config%}{%scripts%}{%renderer%}</footer></body>
</html>"""


def create_app(sources: Sources, access: Access | None = None) -> ASGIApp:
    """The screens as an ASGI application.

    Without `access` nobody is asked who they are: for tests of what is shown, never for a process that serves.
    """
    server = _server(sources)
    if access is not None:
        server.add_middleware(ScreenGuard, access=access)
    app = Dash(
        "marketstream.serving.dashboard",
        server=server,  # type: ignore[arg-type]  # Dash infers its backend from it, which its annotation leaves out
        title="marketstream",
        update_title="",
        index_string=_INDEX,
        meta_tags=[{"name": "theme-color", "content": "#0b0e13"}],
        add_log_handler=False,
        suppress_callback_exceptions=True,  # a page's components are there while the page is
    )
    app.backend.websocket_capability = False  # no callback uses it, so browsers need not keep a socket open
    pages = pages_for(sources)
    signs_in = access is not None and not access.open
    app.layout = lambda: shell.frame(pages, signs_in=signs_in)
    shell.register(app, sources, pages)
    for page in pages:
        page.register(app, sources)
    return enveloped(server, _CONTENT_SECURITY_POLICY)


def _server(sources: Sources) -> FastAPI:
    """The HTTP application below Dash: health, and REST's export, so that a download needs no second sign-in."""
    server = FastAPI(title="marketstream dashboard", docs_url=None, redoc_url=None, openapi_url=None)
    server.include_router(health_router(sources.market_data))
    if sources.exports is not None:
        install(server)
        listings = Listings(sources.market_data, sources.parameters.names)
        server.include_router(export_router(sources.exports, sources.market_data, listings))
    return server

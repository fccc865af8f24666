"""Builds the REST application."""

from importlib.metadata import version

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.types import ASGIApp

from marketstream.contracts.dead_letters import DeadLetterDesk
from marketstream.serving.access.access import Access
from marketstream.serving.access.middleware import guard
from marketstream.serving.api.dead_letters import dead_letter_router
from marketstream.serving.api.docs_page import render
from marketstream.serving.api.feeds import feed_router
from marketstream.serving.api.permissions import RULES
from marketstream.serving.api.problems import ProblemBody, install
from marketstream.serving.api.routes import market_router
from marketstream.serving.feed_data import FeedData
from marketstream.serving.health import health_router
from marketstream.serving.http import enveloped
from marketstream.serving.market_data import MarketData

_CONTENT_SECURITY_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'"
_DESCRIPTION = """\
Real-time market data: newest ticks and quotes, ticks, bars and their technical indicators, and how the feeds are that
bring them.

Times are integer microseconds UTC (`…_us`), prices and sizes are exact doubles. Lists are oldest first and ranges are
`[start, end)`. Every answer says where it came from (`source`), whether it is `stale`, and whether a store was away
(`degraded`). Errors are `application/problem+json`.
"""


def create_app(
    market_data: MarketData,
    feed_data: FeedData | None = None,
    dead_letters: DeadLetterDesk | None = None,
    access: Access | None = None,
) -> ASGIApp:
    """The REST application over one `MarketData`, with the feeds and the dead letters where there is a source for them.

    Without `access` nobody is asked who they are: for tests of what is answered, never for a process that serves.

    The usual documentation pages load their scripts from a CDN; `/docs` here is plain HTML and works offline.
    """
    app = FastAPI(
        title="marketstream",
        version=version("marketstream"),
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
    )
    install(app)
    app.include_router(market_router(market_data))
    if feed_data is not None:
        app.include_router(feed_router(feed_data, market_data))
    if dead_letters is not None:
        app.include_router(dead_letter_router(dead_letters))
    app.include_router(health_router(market_data))
    _add_docs(app)
    _add_problem_schema(app)
    if access is not None:
        guard(app, access, RULES)
    return enveloped(app, _CONTENT_SECURITY_POLICY)


def _add_docs(app: FastAPI) -> None:
    @app.get("/", include_in_schema=False)
    def root() -> Response:
        return RedirectResponse("/docs")

    @app.get("/docs", include_in_schema=False)
    def docs(request: Request) -> Response:
        return HTMLResponse(render(app.openapi(), str(request.base_url).rstrip("/")))


def _add_problem_schema(app: FastAPI) -> None:
    schema = app.openapi()  # remembered by the application, so adding to it here is enough
    components = schema.setdefault("components", {}).setdefault("schemas", {})
    components[ProblemBody.__name__] = ProblemBody.model_json_schema()

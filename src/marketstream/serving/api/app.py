"""Builds the REST application."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.types import ASGIApp

from marketstream.contracts.dead_letters import DeadLetterDesk
from marketstream.serving.access.access import Access
from marketstream.serving.access.middleware import guard
from marketstream.serving.api.dead_letters import dead_letter_router
from marketstream.serving.api.docs_page import render
from marketstream.serving.api.examples import exemplify
from marketstream.serving.api.exports import export_router
from marketstream.serving.api.feeds import feed_router
from marketstream.serving.api.listings import Listings
from marketstream.serving.api.permissions import RULES, describe
from marketstream.serving.api.platform import completeness_router, metrics_router
from marketstream.serving.api.problems import install
from marketstream.serving.api.routes import market_router
from marketstream.serving.exports import Exports
from marketstream.serving.feed_data import FeedData
from marketstream.serving.health import health_router
from marketstream.serving.http import enveloped
from marketstream.serving.market_data import MarketData
from marketstream.serving.platform_metrics import PlatformMetrics

if TYPE_CHECKING:
    from marketstream.serving.graphql.context import Services

_CONTENT_SECURITY_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'"
_DESCRIPTION = """\
Real-time market data: newest ticks and quotes, ticks, bars and their technical indicators, and how the feeds are that
bring them.

Times are integer microseconds UTC (`…_us`), prices and sizes are exact doubles. Lists are oldest first and ranges are
`[start, end)`. Every answer says where it came from (`source`), whether it is `stale`, and whether a store was away
(`degraded`). Errors are `application/problem+json`.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extras:
    """What an application serves beside market data and feeds, and how.

    Attributes:
        dead_letters: What was refused.
        exports: Whole datasets.
        metrics: The platform's own figures.
        indicator_names: Indicators that have a column each in tables.
        cors_origins: Origins whose pages may read the answers.
        graphql: What GraphQL tells from.
    """

    dead_letters: DeadLetterDesk | None = None
    exports: Exports | None = None
    metrics: PlatformMetrics | None = None
    indicator_names: Sequence[str] = ()
    cors_origins: Sequence[str] = ()
    graphql: "Services | None" = None


def create_app(
    market_data: MarketData,
    feed_data: FeedData | None = None,
    extras: Extras | None = None,
    access: Access | None = None,
) -> ASGIApp:
    """The REST application over one `MarketData`, with what else there is a source for.

    Without `access` nobody is asked who they are: for tests of what is answered, never for a process that serves.

    The usual documentation pages load their scripts from a CDN; `/docs` here is plain HTML and works offline.
    """
    extras = extras or Extras()
    app = FastAPI(
        title="marketstream",
        version=version("marketstream"),
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=partial(_closing, extras),
    )
    install(app)
    routers = list(_routers(market_data, feed_data, extras))
    for router in routers:
        app.include_router(router)
    _add_docs(app)
    exemplify(app, routers)
    if extras.graphql is not None:
        from marketstream.serving.graphql.router import graphql_router  # takes memory, and can be switched off

        app.include_router(graphql_router(extras.graphql, access))
    if access is not None:
        guard(app, access, RULES)
        if not access.open:
            describe(app.openapi())
    return enveloped(app, _CONTENT_SECURITY_POLICY, extras.cors_origins)


@asynccontextmanager
async def _closing(extras: Extras, _app: FastAPI) -> AsyncIterator[None]:
    yield
    if extras.graphql is not None:
        await extras.graphql.close()


def _routers(market_data: MarketData, feed_data: FeedData | None, extras: Extras) -> Iterator[APIRouter]:
    listings = Listings(market_data, extras.indicator_names)
    yield market_router(market_data, listings)
    if extras.exports is not None:
        yield export_router(extras.exports, market_data, listings)
    if feed_data is not None:
        yield feed_router(feed_data, market_data)
        yield completeness_router(feed_data, market_data)
    if extras.metrics is not None:
        yield metrics_router(extras.metrics)
    if extras.dead_letters is not None:
        yield dead_letter_router(extras.dead_letters)
    yield health_router(market_data)


def _add_docs(app: FastAPI) -> None:
    @app.get("/", include_in_schema=False)
    def root() -> Response:
        return RedirectResponse("/docs")

    @app.get("/docs", include_in_schema=False)
    def docs(request: Request) -> Response:
        return HTMLResponse(render(app.openapi(), str(request.base_url).rstrip("/")))

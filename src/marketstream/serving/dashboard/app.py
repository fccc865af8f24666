"""Builds the Dash application, on Dash's FastAPI backend, so that it is served, counted and guarded as REST is."""

import asyncio
from collections.abc import Sequence
from typing import Any

from dash import ClientsideFunction, Dash, Input, Output, State, no_update
from fastapi import FastAPI
from starlette.types import ASGIApp

from marketstream.domain.errors import StoreUnavailableError
from marketstream.serving.access.access import Access
from marketstream.serving.access.screen_guard import ScreenGuard
from marketstream.serving.dashboard import layout, live, panels
from marketstream.serving.dashboard.figure import blank, draw
from marketstream.serving.dashboard.selection import Selection, from_link
from marketstream.serving.dashboard.snapshot import Snapshot, read
from marketstream.serving.dashboard.theme import Scheme, scheme_of
from marketstream.serving.health import health_router
from marketstream.serving.http import enveloped
from marketstream.serving.market_data import MarketData
from marketstream.settings import Settings

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
_MARKET_OUTPUTS = (
    Output("chart", "figure"),
    Output("drawn", "data"),
    Output("summary", "children"),
    Output("badge", "children"),
    Output("tape", "children"),
    Output("veil", "children"),
    Output("notice", "children"),
    Output("origin", "children"),
    Output("title", "data"),
)


def create_app(market_data: MarketData, settings: Settings, access: Access | None = None) -> ASGIApp:
    """The dashboard as an ASGI application.

    Without `access` nobody is asked who they are: for tests of what is shown, never for a process that serves.
    """
    server = FastAPI(title="marketstream dashboard", docs_url=None, redoc_url=None, openapi_url=None)
    server.include_router(health_router(market_data))
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
        suppress_callback_exceptions=False,
    )
    app.backend.websocket_capability = False  # no callback uses it, so browsers need not keep a socket open
    usual = settings.intervals[0].name
    signs_in = access is not None and not access.open
    app.layout = lambda: _page(market_data, usual, signs_in=signs_in)
    _register_browser_callbacks(app)
    _register_link(app, market_data, usual)
    _register_market(app, market_data)
    return enveloped(server, _CONTENT_SECURITY_POLICY)


def _page(market_data: MarketData, usual: str, *, signs_in: bool = False) -> Any:
    selection, _, symbols, windows = _follow("", market_data, usual)
    return layout.page(selection, symbols, windows, signs_in=signs_in)


def _follow(
    query: str, market_data: MarketData, usual: str
) -> tuple[Selection, str | None, Sequence[str], Sequence[str]]:
    """A link's selection, what is wrong with the link, and what there is to choose from."""
    symbols, windows = market_data.symbols(), [interval.name for interval in market_data.intervals()]
    # The shortest window may be one that a provider sends of few symbols: no good beginning.
    return *from_link(query, symbols, windows, usual), symbols, windows


def _register_browser_callbacks(app: Any) -> None:  # Dash leaves its client-side callbacks untyped
    choices = [Input("symbol", "value"), Input("window", "value"), Input("span", "value")]
    app.clientside_callback(ClientsideFunction("market", "remember"), *choices)
    app.clientside_callback(ClientsideFunction("market", "title"), Input("title", "data"))
    app.clientside_callback(
        ClientsideFunction("market", "fit"),
        Output("chart", "figure", allow_duplicate=True),
        Input("chart", "relayoutData"),
        Input("drawn", "data"),
        State("chart", "figure"),
        prevent_initial_call=True,
    )


def _register_link(app: Dash, market_data: MarketData, usual: str) -> None:
    @app.callback(
        Output("symbol", "data"),
        Output("symbol", "value"),
        Output("window", "value"),
        Output("span", "value"),
        Output("link-notice", "children"),
        Input("url", "search"),
    )
    async def follow_link(query: str | None) -> tuple[Any, ...]:
        selection, fault, symbols, _ = await asyncio.to_thread(_follow, query or "", market_data, usual)
        return symbols, selection.symbol, selection.window, selection.span, fault


def _register_market(app: Dash, market_data: MarketData) -> None:
    @app.callback(
        *_MARKET_OUTPUTS,
        Input("refresh", "n_intervals"),
        Input("symbol", "value"),
        Input("window", "value"),
        Input("span", "value"),
        Input("scheme", "computedColorScheme"),
        State("drawn", "data"),
        # No refresh starts while one is under way, however slow the stores are.
        running=[(Output("refresh", "disabled"), True, False)],
    )
    async def show(
        _refreshes: int, symbol: str, window: str, span: str, scheme: str | None, drawn: dict[str, Any] | None
    ) -> tuple[Any, ...]:
        selection = Selection(symbol, window, span)
        known = live.Drawn(**drawn) if drawn else None
        try:
            snapshot = await asyncio.to_thread(read, market_data, selection)
        except StoreUnavailableError as error:
            return _away(selection, known, scheme_of(scheme), error)
        return _shown(snapshot, known, scheme_of(scheme))


def _shown(snapshot: Snapshot, known: live.Drawn | None, scheme: Scheme) -> tuple[Any, ...]:
    chart, drawn, veil = _chart(snapshot, known, scheme)
    return (
        chart,
        drawn,
        panels.summary(snapshot),
        panels.badge(snapshot),
        panels.tape(snapshot, known.trade if known and known.key == snapshot.selection.key else None),
        veil,
        panels.degraded(snapshot),
        panels.origin(snapshot),
        panels.title(snapshot),
    )


def _chart(snapshot: Snapshot, known: live.Drawn | None, scheme: Scheme) -> tuple[Any, Any, Any]:
    if not snapshot.bars.data:
        return blank(scheme), None, panels.empty(snapshot.selection)
    drawn = live.Drawn.of(snapshot)
    change = live.difference(known, snapshot) if known else None
    if change is None:
        return draw(snapshot, scheme), drawn, None
    return live.patch(change, snapshot, scheme), drawn, None


def _away(selection: Selection, known: live.Drawn | None, scheme: Scheme, error: Exception) -> tuple[Any, ...]:
    """What is on the screen stays there, under a notice, unless it is of another selection."""
    notice = panels.away(error)
    if known is not None and known.key == selection.key:
        return (*(no_update for _ in range(3)), panels.unknown_age(), no_update, None, notice, no_update, no_update)
    return blank(scheme), None, None, panels.unknown_age(), None, None, notice, None, "marketstream"

"""What the page does: every refresh reads the market and sends the browser what has changed."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dash import ClientsideFunction, Dash, Input, Output, State, no_update

from marketstream.analytics.parameters import IndicatorParameters
from marketstream.domain.errors import StoreUnavailableError
from marketstream.domain.interval import Interval
from marketstream.serving.dashboard.market import live, panels
from marketstream.serving.dashboard.market.figure import draw
from marketstream.serving.dashboard.market.recent import RecentBars
from marketstream.serving.dashboard.market.selection import Selection, showable
from marketstream.serving.dashboard.market.snapshot import Snapshot, read
from marketstream.serving.dashboard.market.watchlist import Watchlist
from marketstream.serving.dashboard.plots import blank
from marketstream.serving.dashboard.sources import Sources
from marketstream.serving.dashboard.theme import Scheme, scheme_of

_OUTPUTS = (
    Output("chart", "figure"),
    Output("drawn", "data"),
    Output("summary", "children"),
    Output("legend", "children"),
    Output("badge", "children"),
    Output("tape-data", "data"),
    Output("veil", "children"),
    Output("notice", "children"),
    Output("origin", "children"),
    Output("market-title", "data"),
)


def register(app: Dash, sources: Sources) -> None:
    """Adds the page's callbacks."""
    _register_browser(app)
    _register_chart(app, sources)
    _register_watchlist(app, sources)


def _register_browser(app: Any) -> None:  # Dash leaves its client-side callbacks untyped
    app.clientside_callback(ClientsideFunction("shell", "title"), Input("market-title", "data"))
    app.clientside_callback(ClientsideFunction("market", "tape"), Input("tape-data", "data"))
    app.clientside_callback(
        ClientsideFunction("market", "watch"), Input("watch-data", "data"), Input("symbol", "value")
    )
    app.clientside_callback(
        ClientsideFunction("market", "fit"),
        Output("chart", "figure", allow_duplicate=True),
        Input("chart", "relayoutData"),
        Input("drawn", "data"),
        State("chart", "figure"),
        prevent_initial_call=True,
    )


def _register_chart(app: Dash, sources: Sources) -> None:
    recent, known = RecentBars(sources.market_data), showable(sources.parameters)

    @app.callback(
        *_OUTPUTS,
        Input("market-refresh", "n_intervals"),
        Input("symbol", "value"),
        Input("window", "value"),
        Input("span", "value"),
        Input("show", "value"),
        Input("scheme", "computedColorScheme"),
        State("drawn", "data"),
        # No refresh starts while one is under way, however slow the stores are.
        running=[(Output("market-refresh", "disabled"), True, False)],
    )
    async def show(
        _refreshes: int, symbol: str, window: str, span: str, shown: Sequence[str], *rest: Any
    ) -> tuple[Any, ...]:
        scheme, drawn = rest
        selection = Selection(symbol, window, span, tuple(name for name in known if name in (shown or ())))
        view = _View(scheme_of(scheme), sources.parameters, live.Drawn(**drawn) if drawn else None)
        try:
            snapshot = await asyncio.to_thread(read, sources.market_data, recent, selection)
        except StoreUnavailableError as error:
            return view.away(selection, error)
        return view.of(snapshot)


def _register_watchlist(app: Dash, sources: Sources) -> None:
    watchlist = Watchlist(sources.market_data, Interval.parse(sources.usual_window))

    @app.callback(Output("watch-data", "data"), Input("market-refresh", "n_intervals"))
    async def watch(_refreshes: int) -> Any:
        try:
            return await asyncio.to_thread(watchlist.read)
        except StoreUnavailableError:
            return no_update  # the chart's notice says so


@dataclass(frozen=True, slots=True)
class _View:
    """What one browser shows now, and the answer that makes it current."""

    scheme: Scheme
    parameters: IndicatorParameters
    known: live.Drawn | None

    def of(self, snapshot: Snapshot) -> tuple[Any, ...]:
        """Everything that differs from a snapshot."""
        chart, drawn, veil = self._chart(snapshot)
        same = self.known is not None and self.known.summary == snapshot.selection.market
        seen = self.known.trade if self.known is not None and same else None
        return (
            chart,
            drawn,
            panels.summary(snapshot),
            panels.legend(snapshot, self.parameters),
            panels.badge(snapshot),
            panels.tape(snapshot, seen),
            veil,
            panels.degraded(snapshot),
            panels.origin(snapshot),
            panels.title(snapshot),
        )

    def away(self, selection: Selection, error: Exception) -> tuple[Any, ...]:
        """What is on the screen stays there, under a notice, unless it is of another selection."""
        notice = panels.away(error)
        if self.known is not None and self.known.summary == selection.market:
            kept = (no_update,) * 4
            return (*kept, panels.unknown_age(), no_update, None, notice, no_update, no_update)
        tape = {"fresh": True, "rows": [], "cancelled": []}
        return (blank(self.scheme), None, None, None, panels.unknown_age(), tape, None, notice, None, "marketstream")

    def _chart(self, snapshot: Snapshot) -> tuple[Any, Any, Any]:
        if not snapshot.rows:
            return blank(self.scheme), None, panels.empty(snapshot.selection)
        drawn = live.Drawn.of(snapshot, self.scheme)
        change = live.difference(self.known, snapshot, self.scheme) if self.known else None
        if change is None:
            return draw(snapshot, self.scheme, self.parameters), drawn, None
        return live.patch(change, snapshot, self.scheme, self.parameters), drawn, None

"""What the page does: every refresh asks the exporters; feeds and dead letters are asked less often."""

import asyncio
from collections.abc import Callable
from typing import Any

from dash import Dash, Input, Output, State, no_update

from marketstream.contracts.dead_letters import DeadLetterDesk
from marketstream.domain.errors import BusError, StoreUnavailableError
from marketstream.serving.access.access import current_principal
from marketstream.serving.access.principal import Role
from marketstream.serving.dashboard import parts
from marketstream.serving.dashboard.plots import blank
from marketstream.serving.dashboard.sources import Sources
from marketstream.serving.dashboard.system import charts, panels
from marketstream.serving.dashboard.system.flow import Flow, Rates
from marketstream.serving.dashboard.system.health import Now, feeds_of, letters_of, read_now
from marketstream.serving.dashboard.system.stages import stages
from marketstream.serving.dashboard.theme import Scheme, scheme_of
from marketstream.serving.feed_data import FeedData
from marketstream.serving.platform_metrics import PlatformMetrics


def register(app: Dash, sources: Sources) -> None:
    """Adds the callbacks of the parts there are."""
    if sources.metrics is not None:
        _register_now(app, sources.metrics)
    if sources.feed_data is not None:
        _register_feeds(app, sources.feed_data, sources.market_data.symbols)
    if sources.dead_letters is not None:
        _register_letters(app, sources.dead_letters, sources.market_data.now_us)


def _register_now(app: Dash, metrics: PlatformMetrics) -> None:
    flow = Flow(metrics)

    @app.callback(
        Output("system-figures", "children"),
        Output("system-badge", "children"),
        Output("system-services", "children"),
        Output("system-stages", "children"),
        Output("system-stages-aside", "children"),
        Output("system-lags", "children"),
        Output("flow", "figure"),
        Output("flow", "extendData"),
        Output("flow-drawn", "data"),
        Output("system-notice", "children"),
        Input("system-refresh", "n_intervals"),
        Input("scheme", "computedColorScheme"),
        State("flow-drawn", "data"),
        running=[(Output("system-refresh", "disabled"), True, False)],
    )
    async def show(_refreshes: int, scheme: str | None, drawn: dict[str, Any] | None) -> tuple[Any, ...]:
        try:
            now = await asyncio.to_thread(_look, flow, metrics)
        except StoreUnavailableError as error:
            words = parts.notice("The processes' figures are away.", f"The page keeps trying. {error}")
            return (*(no_update,) * 9, words)
        return _current(now, flow, drawn, scheme_of(scheme))


def _current(now: Now, flow: Flow, drawn: dict[str, Any] | None, scheme: Scheme) -> tuple[Any, ...]:
    timings, seconds = flow.timings()
    rates = flow.rates()
    over = "since the processes started" if seconds is None else f"over the last {seconds:.0f} s"
    return (
        panels.figures(now, rates),
        panels.badge(now),
        panels.services(now),
        panels.stages(stages(timings)),
        over,
        panels.lags(now),
        *_flow(rates, drawn, scheme),
        None,
    )


def _look(flow: Flow, metrics: PlatformMetrics) -> Now:
    flow.look()
    return read_now(metrics)


def _flow(rates: list[Rates], drawn: dict[str, Any] | None, scheme: Scheme) -> tuple[Any, Any, Any]:
    """A new chart, or what the drawn one has to be longer by; and what is drawn then."""
    lines = charts.lines_of(rates)
    if not lines:
        return blank(scheme), no_update, None
    now = {"lines": lines, "scheme": scheme, "at": rates[-1].at}
    if drawn is None or drawn["lines"] != lines or drawn["scheme"] != scheme or drawn["at"] < rates[0].at:
        return charts.flow(rates, lines, scheme), no_update, now
    new = [each for each in rates if each.at > drawn["at"]]
    return no_update, charts.extension(new, lines) if new else no_update, now


def _register_feeds(app: Dash, feed_data: FeedData, symbols: Callable[[], list[str]]) -> None:
    feeds = feeds_of(feed_data, symbols)

    @app.callback(
        Output("completeness", "figure"),
        Output("completeness-aside", "children"),
        Output("system-feeds", "children"),
        Output("system-events", "children"),
        Output("feeds-notice", "children"),
        Input("system-slow", "n_intervals"),
        Input("scheme", "computedColorScheme"),
    )
    async def show_feeds(_refreshes: int, scheme: str | None) -> tuple[Any, ...]:
        try:
            found = await asyncio.to_thread(feeds.get)
        except StoreUnavailableError as error:
            words = parts.notice("How the feeds are is not known.", f"The database does not answer. {error}")
            return (*(no_update,) * 4, words)
        return (
            charts.completeness(found.minutes, scheme_of(scheme)),
            panels.completeness_words(found),
            panels.feeds(found),
            panels.events(found),
            None,
        )


def _register_letters(app: Dash, desk: DeadLetterDesk, now_us: Callable[[], int]) -> None:
    letters = letters_of(desk, now_us)

    @app.callback(
        Output("system-letters", "children"),
        Output("system-letters-aside", "children"),
        Input("system-slow", "n_intervals"),
    )
    async def show_letters(_refreshes: int) -> tuple[Any, Any]:
        principal = current_principal()
        if principal is not None and not principal.may(Role.TRADER):
            words = "What providers sent and was refused is shown to traders and admins."
            return parts.empty("Not for viewers", words), None
        try:
            found = await asyncio.to_thread(letters.get)
        except BusError as error:
            return parts.empty("Kafka is away", f"The page keeps trying. {error}"), None
        total = sum(each.count for each in found.groups)
        return panels.letters(found), f"{total:,} letters{'' if found.complete else ' or more'}" if total else None

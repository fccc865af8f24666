"""What the page does: every refresh reads the figures; the charts are drawn anew only with a newer figure."""

import asyncio
from collections.abc import Sequence
from typing import Any

from dash import Dash, Input, Output, State, no_update

from marketstream.domain.errors import StoreUnavailableError
from marketstream.serving.dashboard import numbers, parts
from marketstream.serving.dashboard.pairs import charts, panels
from marketstream.serving.dashboard.sources import Pairs, SeenPair, Sources
from marketstream.serving.dashboard.theme import scheme_of

_STALE_SECONDS = 300.0
Found = tuple[Sequence[SeenPair], Sequence[SeenPair]]  # the newest of all pairs, one pair's history


def register(app: Dash, sources: Sources) -> None:
    """Adds the page's callbacks."""

    @app.callback(
        Output("pairs-chart", "figure"),
        Output("pairs-map", "figure"),
        Output("pairs-figures", "children"),
        Output("pairs-list", "children"),
        Output("pairs-badge", "children"),
        Output("pairs-drawn", "data"),
        Output("pairs-notice", "children"),
        Input("pairs-refresh", "n_intervals"),
        Input("pairs-pair", "value"),
        Input("pairs-window", "value"),
        Input("pairs-bars", "value"),
        Input("scheme", "computedColorScheme"),
        State("pairs-drawn", "data"),
        running=[(Output("pairs-refresh", "disabled"), True, False)],
    )
    async def show(_refreshes: int, pair: str | None, window: str, length: str, *rest: Any) -> tuple[Any, ...]:
        scheme, drawn = rest
        if sources.pairs is None:
            return (no_update,) * 7
        try:
            latest, history = await asyncio.to_thread(_read, sources.pairs, pair, (window, int(length)))
        except StoreUnavailableError as error:
            words = parts.notice("Pairs are away.", f"The database does not answer; the page keeps trying. {error}")
            return (*(no_update,) * 6, words)
        return _answer((latest, history), [pair, window, length, scheme], drawn, sources.market_data.now_us())


def _answer(found: Found, chosen: Sequence[Any], drawn: Sequence[Any] | None, now_us: int) -> tuple[Any, ...]:
    latest, history = found
    _, window, _, scheme = chosen
    newest = max((each.time_us for each in (*latest, *history)), default=0)
    badge, now = _badge(newest, now_us), [*chosen, newest]
    if now == drawn:
        return (*(no_update,) * 4, badge, no_update, None)
    return (
        charts.course(history, scheme_of(scheme)),
        charts.correlations(latest, scheme_of(scheme)),
        panels.figures(history[-1] if history else None, window),
        panels.every(latest),
        badge,
        now,
        None,
    )


def _read(pairs: Pairs, pair: str | None, stretch: tuple[str, int]) -> Found:
    window, length = stretch
    symbol_a, _, symbol_b = (pair or "").partition("/")
    return pairs.latest(window), pairs.history((symbol_a, symbol_b), window, length) if symbol_b else []


def _badge(newest_us: int, now_us: int) -> Any:
    if not newest_us:
        return parts.badge("No pairs yet", "stale")
    seconds = max(0, now_us - newest_us) / 1e6
    stale = seconds > _STALE_SECONDS
    return parts.badge("Stale" if stale else "Live", "stale" if stale else "live", detail=numbers.age(seconds))

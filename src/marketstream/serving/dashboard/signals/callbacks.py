"""What the page does: every refresh reads the newest signals and anomalies."""

import asyncio
from collections.abc import Sequence
from typing import Any

from dash import Dash, Input, Output, State, no_update

from marketstream.domain.errors import StoreUnavailableError
from marketstream.serving.dashboard import parts
from marketstream.serving.dashboard.signals import panels
from marketstream.serving.dashboard.signals.layout import ALL
from marketstream.serving.dashboard.sources import Detections, SeenAnomaly, SeenSignal, Sources

MOST_ROWS = 100
_MOST_READ = 500
_GRAVER = {"warning": ("warning", "critical"), "critical": ("critical",)}


def register(app: Dash, sources: Sources) -> None:
    """Adds the page's callbacks."""

    @app.callback(
        Output("signals-list", "children"),
        Output("anomalies-list", "children"),
        Output("signals-count", "children"),
        Output("anomalies-count", "children"),
        Output("signals-notice", "children"),
        Input("signals-refresh", "n_intervals"),
        Input("signals-symbol", "value"),
        Input("signals-direction", "value"),
        Input("signals-severity", "value"),
        State("signals-count", "children"),
        running=[(Output("signals-refresh", "disabled"), True, False)],
    )
    async def show(_refreshes: int, symbol: str, direction: str, severity: str, known: str | None) -> tuple[Any, ...]:
        detections = sources.detections
        if detections is None:
            return (no_update,) * 5
        wanted = None if symbol == ALL else symbol
        try:
            signals, anomalies = await asyncio.to_thread(_read, detections, wanted, (direction, severity))
        except StoreUnavailableError as error:
            words = parts.notice("Signals are away.", f"The database does not answer; the page keeps trying. {error}")
            rest = (no_update, no_update) if known else (None, None)
            return (*rest, no_update, no_update, words)
        return _answer(signals, anomalies, sources.market_data.now_us())


def _answer(signals: Sequence[SeenSignal], anomalies: Sequence[SeenAnomaly], now_us: int) -> tuple[Any, ...]:
    lasting = sum(each.ended_us is None for each in anomalies)
    return (
        panels.signals(signals, now_us),
        panels.anomalies(anomalies, now_us),
        f"newest {len(signals)}" if signals else "none",
        f"{lasting} last, newest {len(anomalies)}" if anomalies else "none",
        None,
    )


def _read(
    detections: Detections, symbol: str | None, narrowed: tuple[str, str]
) -> tuple[Sequence[SeenSignal], Sequence[SeenAnomaly]]:
    direction, severity = narrowed
    signals = [each for each in detections.signals(symbol, _MOST_READ) if direction in (ALL, each.direction)]
    graver = _GRAVER.get(severity)
    anomalies = [each for each in detections.anomalies(symbol, _MOST_READ) if not graver or each.severity in graver]
    return signals[-MOST_ROWS:], anomalies[-MOST_ROWS:]

"""What stands around the chart: the summary, the tape of trades, and notices. Pure: data in, components out."""

from collections.abc import Sequence
from typing import Any

from dash import html
from dash.development.base_component import Component

from marketstream.domain.market import Bar, Tick
from marketstream.serving.dashboard import numbers
from marketstream.serving.dashboard.selection import Selection
from marketstream.serving.dashboard.snapshot import Snapshot, trade_key

_SPAN_WORDS = {"1h": "in 1 hour", "4h": "in 4 hours", "1d": "in 1 day", "all": "over all shown"}
_SOURCES = {"cache": "cache", "database": "database", "both": "cache and database"}


def summary(snapshot: Snapshot) -> list[Component]:
    """Last price, its change, freshness, and the span's figures."""
    bars, decimals = snapshot.bars.data, snapshot.decimals
    if not bars:
        return []
    return [
        html.Div(
            [
                html.Span(numbers.price(snapshot.last_price, decimals), className="price", id="last-price"),
                _change(snapshot),
            ],
            className="headline",
        ),
        html.Dl(
            [
                _figure("High", numbers.price(max(bar.high for bar in bars), decimals)),
                _figure("Low", numbers.price(min(bar.low for bar in bars), decimals)),
                _figure("VWAP", numbers.price(_vwap(bars), decimals)),
                _figure("Volume", numbers.amount(sum(bar.volume for bar in bars))),
                _figure("Trades", numbers.count(bars)),
            ],
            className="figures",
        ),
    ]


def badge(snapshot: Snapshot) -> Component:
    """Whether the symbol's newest trade is fresh, and its age."""
    newest = snapshot.ticks if snapshot.ticks.data else snapshot.bars
    if newest.age_seconds is None:
        return html.Span("No trades yet", className="badge badge-stale", id="freshness")
    word, kind = ("Stale", "stale") if newest.stale else ("Live", "live")
    title = f"The last trade was received {numbers.age(newest.age_seconds)} ago"
    children: list[Any] = [html.I(className="dot"), word, html.Small(numbers.age(newest.age_seconds))]
    return html.Span(children, className=f"badge badge-{kind}", id="freshness", title=title)


def unknown_age() -> Component:
    """The badge while nobody can say how fresh the data is."""
    return html.Span([html.I(className="dot"), "No data"], className="badge badge-away", id="freshness")


def tape(snapshot: Snapshot, seen: str | None = None) -> list[Component]:
    """The last trades, newest first; an arrow where the price moved against the trade before.

    Args:
        snapshot: Whose trades.
        seen: The newest trade the tape already shows; those after it are marked as new.
    """
    ticks = snapshot.ticks.data
    if not ticks:
        return [html.P("No trades yet.", className="quiet")]
    before = [None, *(tick.price for tick in ticks[:-1])]
    keys = [trade_key(tick) for tick in ticks]
    first_new = keys.index(seen) + 1 if seen in keys else len(ticks)
    rows = [
        _trade(tick, previous, snapshot.decimals, is_new=index >= first_new)
        for index, (tick, previous) in enumerate(zip(ticks, before, strict=True))
    ]
    head = html.Thead(html.Tr([html.Th("Time"), html.Th("Price"), html.Th("Size")]))
    return [html.Table([head, html.Tbody(rows[::-1])])]


def empty(selection: Selection) -> list[Component]:
    """In place of a chart without bars."""
    return [
        html.Strong(f"No {selection.window} bars of {selection.symbol} yet"),
        html.Span("The chart appears with the first trade. This page looks every 2 seconds."),
    ]


def away(error: Exception) -> list[Component]:
    """Over the page while no store answers."""
    return [
        html.Strong("Market data is away."),
        html.Span(f"Neither the cache nor the database answers; trying again every 2 seconds. {error}"),
    ]


def degraded(snapshot: Snapshot) -> list[Component]:
    """A word on a missing store; nothing where both are there."""
    if not (snapshot.bars.degraded or snapshot.ticks.degraded):
        return []
    missing = "database" if "cache" in (snapshot.bars.source, snapshot.ticks.source) else "cache"
    lacking = "older bars are missing" if missing == "database" else "the newest bar may lag a little"
    return [html.Strong(f"The {missing} is away:"), html.Span(f"{lacking} until it is back.")]


def origin(snapshot: Snapshot) -> str:
    """The footer's sentence on what is shown."""
    bars = snapshot.bars.data
    if not bars:
        return "All times are UTC."
    first, last = numbers.day_and_clock(bars[0].start_us), numbers.day_and_clock(bars[-1].end_us)
    count = f"{len(bars):,} bar{'s' if len(bars) != 1 else ''}"
    makers = sorted({bar.provider for bar in bars if bar.provider})
    made = f" Some made by {' and '.join(makers)}." if makers else ""
    return f"{count}, {first} to {last}.{made} All times are UTC. From {_SOURCES[snapshot.bars.source]}."


def title(snapshot: Snapshot) -> str:
    """The browser tab's title."""
    return f"{numbers.price(snapshot.last_price, snapshot.decimals)} {snapshot.selection.symbol} · marketstream"


def _change(snapshot: Snapshot) -> Component:
    change = snapshot.change
    if change is None:
        return html.Span(numbers.price(None, 0), className="change")
    absolute, percent = change
    direction = "up" if absolute > 0 else "down" if absolute < 0 else "flat"
    return html.Span(
        [
            html.B(numbers.signed(absolute, snapshot.decimals)),
            html.B(numbers.signed(percent, 2, " %")),
            html.Small(_SPAN_WORDS[snapshot.selection.span]),
        ],
        className=f"change {direction}",
    )


def _figure(name: str, value: str) -> Component:
    return html.Div([html.Dt(name), html.Dd(value)])


def _vwap(bars: Sequence[Bar]) -> float | None:
    weighed = [(bar.vwap, bar.volume) for bar in bars if bar.vwap is not None]
    volume = sum(volume for _, volume in weighed)
    return sum(vwap * volume for vwap, volume in weighed) / volume if volume else None


def _trade(tick: Tick, previous: float | None, decimals: int, *, is_new: bool) -> Component:
    moved = 0 if previous is None else (tick.price > previous) - (tick.price < previous)
    kind = {1: "up", -1: "down", 0: "flat"}[moved]
    arrow: dict[str, Any] = {"className": "arrow", "aria-label": {"up": "up", "down": "down", "flat": ""}[kind]}
    cells = [
        html.Td(numbers.clock(tick.event_time_us)),
        html.Td([html.I(**arrow), numbers.price(tick.price, decimals)], className=kind),
        html.Td(numbers.amount(tick.size)),
    ]
    return html.Tr(cells, className="new" if is_new else "", title=_detail(tick))


def _detail(tick: Tick) -> str:
    parts = [f"{tick.size:,} at {tick.price:,}", tick.side, tick.exchange, f"via {tick.provider}"]
    return " · ".join(part for part in parts if part)

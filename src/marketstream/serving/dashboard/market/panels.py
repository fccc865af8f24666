"""What stands around the chart: summary, legend, tape of trades, and notices. Pure: data in, components out."""

from collections.abc import Sequence
from typing import Any

from dash import html
from dash.development.base_component import Component

from marketstream.analytics.parameters import IndicatorParameters
from marketstream.domain.market import Bar, Tick
from marketstream.serving.dashboard import numbers, parts
from marketstream.serving.dashboard.market.selection import PANES, Selection
from marketstream.serving.dashboard.market.snapshot import Snapshot, trade_key
from marketstream.serving.dashboard.market.traces import dash_of, label

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
                parts.figure("High", numbers.price(max(bar.high for bar in bars), decimals)),
                parts.figure("Low", numbers.price(min(bar.low for bar in bars), decimals)),
                parts.figure("VWAP", numbers.price(_vwap(bars), decimals)),
                parts.figure("Volume", numbers.amount(sum(bar.volume for bar in bars))),
                parts.figure("Trades", numbers.count(bars)),
            ],
            className="figures",
        ),
    ]


def legend(snapshot: Snapshot, parameters: IndicatorParameters) -> list[Component]:
    """What is drawn over the candles, each with its stroke and its newest value."""
    found: list[Component] = []
    for name in snapshot.selection.show:
        if name in PANES:
            continue
        value = _newest(snapshot, name)
        kind = name if name.startswith(("vwap", "bollinger")) else name.partition("_")[0]
        stroke = html.I(className=f"stroke stroke-{kind} stroke-{dash_of(name, parameters)}")
        found.append(html.Span([stroke, label(name, parameters), html.B(value)], className="key"))
    return found


def _newest(snapshot: Snapshot, name: str) -> str:
    if name == "bollinger":
        low, high = (snapshot.value(f"bollinger_{side}") for side in ("lower", "upper"))
        return f"{numbers.price(low, snapshot.decimals)} … {numbers.price(high, snapshot.decimals)}"
    value = snapshot.bars.data[-1].vwap if name == "vwap" and snapshot.bars.data else snapshot.value(name)
    return numbers.price(value, snapshot.decimals)


def badge(snapshot: Snapshot) -> Component:
    """Whether the symbol's newest trade is fresh, and its age."""
    newest = snapshot.ticks if snapshot.ticks.data else snapshot.bars
    if newest.age_seconds is None:
        return parts.badge("No trades yet", "stale", name="freshness")
    age = numbers.age(newest.age_seconds)
    title = f"The last trade was received {age} ago"
    if newest.stale:
        return parts.badge("Stale", "stale", detail=age, title=title, name="freshness")
    return parts.badge("Live", "live", detail=age, title=title, name="freshness")


def unknown_age() -> Component:
    """The badge while nobody can say how fresh the data is."""
    return parts.badge("No data", "away", name="freshness")


def tape(snapshot: Snapshot, seen: str | None = None) -> dict[str, Any]:
    """The last trades as the browser adds them to its tape, newest first.

    Args:
        snapshot: Whose trades.
        seen: The newest trade that the tape shows; only those after it are told, unless it is none of them.
    """
    ticks = snapshot.ticks.data
    keys = [trade_key(tick) for tick in ticks]
    fresh = seen not in keys
    first = 0 if fresh else keys.index(seen or "") + 1
    before = [None, *(tick.price for tick in ticks[:-1])]
    rows = [_trade(ticks[index], before[index], snapshot.decimals) for index in range(first, len(ticks))]
    return {"fresh": fresh, "rows": rows[::-1], "cancelled": sorted(snapshot.cancelled)}


def empty(selection: Selection) -> list[Component]:
    """In place of a chart without bars."""
    return [
        html.Strong(f"No {selection.window} bars of {selection.symbol} yet"),
        html.Span("The chart appears with the first trade."),
    ]


def away(error: Exception) -> list[Component]:
    """Over the page while no store answers."""
    return parts.notice(
        "Market data is away.", f"Neither the cache nor the database answers; the page keeps trying. {error}"
    )


def degraded(snapshot: Snapshot) -> list[Component]:
    """A word on a missing store; nothing where both are there."""
    if not (snapshot.bars.degraded or snapshot.ticks.degraded):
        return []
    missing = "database" if "cache" in (snapshot.bars.source, snapshot.ticks.source) else "cache"
    lacking = "older bars are missing" if missing == "database" else "the newest bar may lag a little"
    return parts.notice(f"The {missing} is away:", f"{lacking} until it is back.")


def origin(snapshot: Snapshot) -> str:
    """The footer's sentence on what is shown."""
    bars = snapshot.bars.data
    if not bars:
        return "All times are UTC."
    first, last = numbers.day_and_clock(bars[0].start_us), numbers.day_and_clock(bars[-1].end_us)
    count = f"{len(bars):,} bar{'s' if len(bars) != 1 else ''}"
    makers = sorted({bar.provider for bar in bars if bar.provider})
    made = f" Some made by {' and '.join(makers)}." if makers else ""
    lacking = _lacking(snapshot)
    return f"{count}, {first} to {last}.{made}{lacking} All times are UTC. From {_SOURCES[snapshot.bars.source]}."


def _lacking(snapshot: Snapshot) -> str:
    known = any(row.indicators is not None for row in snapshot.rows)
    return "" if known or not snapshot.selection.needs_indicators else " No indicators of these bars are stored."


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


def _vwap(bars: Sequence[Bar]) -> float | None:
    weighed = [(bar.vwap, bar.volume) for bar in bars if bar.vwap is not None]
    volume = sum(volume for _, volume in weighed)
    return sum(vwap * volume for vwap, volume in weighed) / volume if volume else None


def _trade(tick: Tick, previous: float | None, decimals: int) -> dict[str, Any]:
    moved = 0 if previous is None else (tick.price > previous) - (tick.price < previous)
    return {
        "key": trade_key(tick),
        "received_us": tick.received_time_us,
        "time": numbers.clock(tick.event_time_us),
        "price": numbers.price(tick.price, decimals),
        "size": numbers.amount(tick.size),
        "moved": {1: "up", -1: "down", 0: "flat"}[moved],
        "detail": _detail(tick),
    }


def _detail(tick: Tick) -> str:
    parts = [f"{tick.size:,} at {tick.price:,}", tick.side, tick.exchange, f"via {tick.provider}"]
    return " · ".join(part for part in parts if part)

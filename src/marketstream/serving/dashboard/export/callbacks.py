"""What the page does: every choice makes the file's address anew and looks at the newest rows it would hold."""

import asyncio
from dataclasses import fields
from typing import Any

from dash import Dash, Input, Output, html, no_update
from dash.development.base_component import Component

from marketstream.domain.errors import StoreUnavailableError
from marketstream.domain.indicators import Indicators
from marketstream.domain.interval import Interval
from marketstream.serving.dashboard import numbers, parts
from marketstream.serving.dashboard.export.order import CUSTOM, Order
from marketstream.serving.dashboard.sources import Sources
from marketstream.serving.market_data import MarketData

_ROWS = 25
_MOST_COLUMNS = 14
_HIDDEN: dict[str, str] = {"display": "none"}


def register(app: Dash, sources: Sources) -> None:
    """Adds the page's callbacks."""

    @app.callback(
        Output("export-download", "href"),
        Output("export-download", "className"),
        Output("export-rest", "children"),
        Output("export-fault", "children"),
        Output("export-preview", "children"),
        Output("export-windows", "style"),
        Output("export-custom", "style"),
        Input("export-data", "value"),
        Input("export-symbols", "value"),
        Input("export-window", "value"),
        Input("export-range", "value"),
        Input("export-start", "value"),
        Input("export-end", "value"),
        Input("export-format", "value"),
    )
    async def show(data: str, symbols: list[str] | None, window: str, *rest: str) -> tuple[Any, ...]:
        span, start, end, form = rest
        order = Order(
            data=data,
            symbols=tuple(symbols or ()),
            window=window,
            span=span,
            start=start or "",
            end=end or "",
            form=form,
        )
        return await _answer(order, sources.market_data)


async def _answer(order: Order, market_data: MarketData) -> tuple[Any, ...]:
    shown = (
        _HIDDEN if order.data == "ticks" else {},
        {} if order.span == CUSTOM else _HIDDEN,
    )
    try:
        address = order.address(market_data.now_us())
    except ValueError as error:
        return ("#", "primary off", "", str(error), no_update, *shown)
    try:
        preview = await asyncio.to_thread(look, order, market_data)
    except StoreUnavailableError as error:
        preview = parts.empty("Market data is away", f"Neither the cache nor the database answers. {error}")
    rest = f"curl -OJ 'http://127.0.0.1:8000{address}'"
    return (address, "primary", rest, None, preview, *shown)


def look(order: Order, market_data: MarketData) -> Component:
    """The newest rows that the file would hold, of its first symbol.

    Raises:
        StoreUnavailableError: No store can answer.
    """
    symbols = order.symbols or tuple(market_data.symbols()[:1])
    between: dict[str, Any] = dict(zip(("start_us", "end_us"), order.between(market_data.now_us()), strict=True))
    interval = Interval.parse(order.window)
    found: list[Any]
    if order.data == "ticks":
        found = market_data.ticks(symbols[0], limit=_ROWS, **between).data
    elif order.data == "aggregated":
        found = market_data.bars(symbols[0], interval, limit=_ROWS, **between).data
    else:
        found = market_data.indicators(symbols[0], interval, limit=_ROWS, **between).data
    if not found:
        return parts.empty("Nothing there", f"No such rows of {symbols[0]} are stored in this range.")
    rows = [_flat(each) for each in reversed(found)]
    heads = list(rows[0])[:_MOST_COLUMNS]
    body = [html.Tr([html.Td(_text(row.get(head))) for head in heads]) for row in rows]
    return parts.table(heads, body, name="export-rows", label="The newest rows")


def _flat(item: Any) -> dict[str, Any]:
    """Fields by name, those first that tell rows apart."""
    values = {field.name: getattr(item, field.name) for field in fields(item) if field.name != "values"}
    if isinstance(item, Indicators):
        values = {name: values[name] for name in ("symbol", "start_us", "final", "close")} | dict(item.values)
    return values


def _text(value: object) -> str:
    if value is None:
        return numbers.price(None, 0)
    if isinstance(value, float):
        return f"{value:,.8g}"
    if isinstance(value, tuple):
        return ";".join(map(str, value))
    return str(value)

"""The Market page: one symbol's candles and indicators, its trades, and how the others do."""

from marketstream.serving.dashboard.market.callbacks import register
from marketstream.serving.dashboard.market.layout import page
from marketstream.serving.dashboard.page import Page

PAGE = Page(
    name="market",
    path="/",
    title="Market",
    icon="candles",
    layout=page,
    register=register,
    selections={"symbol": "symbol", "window": "window", "range": "span", "show": "show"},
)

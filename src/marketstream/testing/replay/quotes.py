"""Best bids and offers around a market's trades, made up from nothing but the trade itself."""

from typing import NamedTuple

from marketstream.testing.instruments import instrument
from marketstream.testing.market_trade import MarketTrade


class MarketQuote(NamedTuple):
    """The book's top at a trade's time; the trade took from the side it names."""

    bid_price: float
    bid_size: float
    ask_price: float
    ask_size: float


def quote_at(trade: MarketTrade) -> MarketQuote:
    """The quote a trade leaves behind: one price step wide, the trade's price on the side that was taken from."""
    decimals = instrument(trade.symbol).price_decimals
    step = 10.0**-decimals
    bid, ask = (trade.price, trade.price + step) if trade.side == "sell" else (trade.price - step, trade.price)
    bid = round(bid, decimals) if bid > step / 2 else trade.price
    return MarketQuote(bid, trade.size + 1, max(round(ask, decimals), bid), trade.size + 2)

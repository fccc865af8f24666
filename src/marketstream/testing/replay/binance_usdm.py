"""The Binance USD-M market-stream protocol, server side: spot's, on routes.

`/market/…` has `@aggTrade` and `@kline_<interval>`, `/public/…` has `@bookTicker`. `/private/…`, and a stream on the
wrong route, can be connected and subscribed to and stay silent, as at the provider.
"""

import orjson

from marketstream.testing.market_trade import MarketTrade
from marketstream.testing.replay.binance import dialect_of
from marketstream.testing.replay.binance_venue import INTERVALS_US, Venue, aggregate_of, book_of, event_of


def encode_aggregate(trade: MarketTrade) -> bytes:
    """An `aggTrade` event; none of it was traded as a retail price improvement."""
    body = aggregate_of(trade)
    return orjson.dumps({**event_of("aggTrade", trade), **body, "nq": body["q"]})


def encode_book(trade: MarketTrade) -> bytes:
    """A `bookTicker` event, of the trade's time."""
    return orjson.dumps({**event_of("bookTicker", trade), **book_of(trade), "T": trade.event_time_us // 1_000})


USDM = Venue(
    provider="binance_usdm",
    routes={
        "/market": frozenset({"aggTrade", "kline"}),
        "/public": frozenset({"bookTicker"}),
        "/private": frozenset(),
    },
    encoders={"aggTrade": encode_aggregate, "bookTicker": encode_book},
    futures=True,
    intervals=frozenset(INTERVALS_US) - {"1s"},
    max_streams=200,
    requests_per_second=10,
    rest_path="/fapi/v1",
    weight_limit=2_400,
    trade_weight=20,
    max_bars=1_500,
    window_ms=3_600_000,
    kept_ms=48 * 3_600_000,
)

DIALECT = dialect_of(USDM)

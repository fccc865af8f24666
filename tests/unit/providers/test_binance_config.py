"""Which symbols Binance's two markets carry, under which name, and on which connections."""

from typing import Any

import pytest

from marketstream.domain.errors import ConfigurationError
from marketstream.providers.binance.config import BinanceConfig, Shard
from marketstream.providers.binance.market import SPOT, BinanceMarket
from marketstream.providers.binance_usdm.config import USDM
from marketstream.settings import Settings


def config(market: BinanceMarket, symbols: list[str], providers: list[str] | None = None, **own: Any) -> BinanceConfig:
    channels = own.pop("channels", ["trades"])
    settings = Settings.model_validate(
        {"symbols": symbols, "providers": providers or [market.name], "ingest": {"channels": channels}}
    )
    return BinanceConfig.of(getattr(settings, market.name).model_copy(update=own), settings, market)


def names(market: BinanceMarket, symbols: list[str], *providers: str) -> dict[str, str]:
    return dict(config(market, symbols, list(providers)).names.wire_names)


def test_spot_carries_pairs_and_no_futures_shares_currencies_or_metals() -> None:
    symbols = ["BTCUSDT", "ETHBTC", "RUNEEUR", "BTCUSDT-PERP", "AAPL", "BRK.B", "EURUSD", "XAUUSD"]
    assert names(SPOT, symbols) == {name: name for name in symbols[:3]}
    with pytest.raises(ConfigurationError, match="carries none"):
        names(SPOT, ["BTCUSDT-PERP"])


def test_futures_carry_perpetuals_under_their_pairs_name() -> None:
    assert names(USDM, ["BTCUSDT-PERP", "AAPL", "EURUSD"]) == {"BTCUSDT-PERP": "BTCUSDT"}


def test_futures_carry_plain_pairs_for_who_chose_them_on_purpose() -> None:
    assert names(USDM, ["BTCUSDT", "ETHUSDT-PERP"], "binance_usdm", "polygon") == {
        "BTCUSDT": "BTCUSDT",
        "ETHUSDT-PERP": "ETHUSDT",
    }


@pytest.mark.parametrize("spot", ["binance", "auto"])
def test_a_plain_pair_is_spots_alone_where_spot_is_configured(spot: str) -> None:
    symbols = ["BTCUSDT", "ETHUSDT-PERP"]
    assert names(USDM, symbols, spot, "binance_usdm") == {"ETHUSDT-PERP": "ETHUSDT"}
    assert names(SPOT, symbols, spot, "binance_usdm") == {"BTCUSDT": "BTCUSDT"}
    with pytest.raises(ConfigurationError, match="carries none"):
        names(USDM, ["BTCUSDT"], spot, "binance_usdm")


def test_a_plain_pair_is_not_the_future_where_that_is_configured_too() -> None:
    assert names(USDM, ["BTCUSDT", "BTCUSDT-PERP"]) == {"BTCUSDT-PERP": "BTCUSDT"}


def test_the_users_own_names_win() -> None:
    own = config(USDM, ["BTCUSDT-PERP", "GOLD"], symbol_names={"BTCUSDT-PERP": "BTCUSDT_250627", "GOLD": "XAUUSDT"})
    assert dict(own.names.wire_names) == {"BTCUSDT-PERP": "BTCUSDT_250627", "GOLD": "XAUUSDT"}


def test_spots_streams_share_connections() -> None:
    own = config(SPOT, ["BTCUSDT", "ETHUSDT"], channels=["bars", "trades", "quotes"])
    kinds = ("aggTrade", "bookTicker", "kline_1m")
    assert own.shards() == [Shard("", tuple(f"{name}@{kind}" for name in ("btcusdt", "ethusdt") for kind in kinds))]
    assert own.address(own.shards()[0]).url.startswith("wss://data-stream.binance.vision/stream?streams=btcusdt@aggT")


def test_futures_streams_go_by_route() -> None:
    own = config(USDM, ["BTCUSDT-PERP"], channels=["trades", "quotes", "bars"])
    assert own.shards() == [
        Shard("/market", ("btcusdt@aggTrade", "btcusdt@kline_1m")),
        Shard("/public", ("btcusdt@bookTicker",)),
    ]
    assert [own.address(shard).url for shard in own.shards()] == [
        "wss://fstream.binance.com/market/stream?streams=btcusdt@aggTrade/btcusdt@kline_1m",
        "wss://fstream.binance.com/public/stream?streams=btcusdt@bookTicker",
    ]


@pytest.mark.parametrize(("market", "sizes"), [(SPOT, [1_024, 476]), (USDM, [200] * 7 + [100])])
def test_streams_are_spread_by_what_a_connection_may_have(market: BinanceMarket, sizes: list[int]) -> None:
    own = config(market, [f"S{number}USDT" for number in range(1_500)])
    assert [len(shard.streams) for shard in own.shards()] == sizes
    assert own.address(own.shards()[0]).url.count("@aggTrade") == 200


@pytest.mark.parametrize(
    "url",
    [
        "wss://h:1/base",
        "wss://h:1/base/",
        "wss://h:1/base/ws",
        "wss://h:1/base/stream?streams=x",
        "wss://h:1/base/market",
        "wss://h:1/base/public/ws/",
        "wss://h:1/base/private/stream",
    ],
)
def test_whatever_a_configured_address_ends_in(url: str) -> None:
    own = config(USDM, ["BTCUSDT"], websocket_url=url)
    assert own.address(own.shards()[0]).url == "wss://h:1/base/market/stream?streams=btcusdt@aggTrade"
    own = config(SPOT, ["BTCUSDT"], websocket_url=url)
    assert own.address(own.shards()[0]).url == "wss://h:1/base/stream?streams=btcusdt@aggTrade"


def test_limits_are_the_markets() -> None:
    assert (config(SPOT, ["BTCUSDT"]).request_pause_seconds, config(USDM, ["BTCUSDT"]).request_pause_seconds) == (
        0.35,
        0.15,
    )
    assert (config(SPOT, ["BTCUSDT"]).weight_per_minute, config(USDM, ["BTCUSDT"]).weight_per_minute) == (4_800, 1_800)

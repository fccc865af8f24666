"""Where Binance's USD-M futures differ from spot.

The perpetual future on BTCUSDT is `BTCUSDT-PERP` here and `BTCUSDT` on the wire. For users who chose this market on
purpose, and who therefore configured neither spot nor the perpetual's own name, a plain `BTCUSDT` means the future too.
Where spot is configured a plain symbol is spot's alone: another instrument must never pass for it.
"""

from marketstream.domain.market import AssetClass
from marketstream.domain.symbols import PERPETUAL
from marketstream.providers.binance.events import WIRE_INTERVALS
from marketstream.providers.binance.market import BinanceMarket, is_pair
from marketstream.providers.binance_usdm.parse import NAME
from marketstream.providers.symbology import Naming
from marketstream.settings import Settings

_SPOT = {"binance", "auto"}


def _naming(settings: Settings) -> Naming:
    plain = _SPOT.isdisjoint(settings.providers)

    def wire_name(symbol: str, asset_class: AssetClass) -> str | None:
        if symbol.endswith(PERPETUAL):
            return symbol.removesuffix(PERPETUAL) or None
        shared = symbol + PERPETUAL in settings.symbols
        return symbol if plain and not shared and is_pair(symbol, asset_class) else None

    return wire_name


USDM = BinanceMarket(
    name=NAME,
    naming=_naming,
    routes={"trades": "/market", "bars": "/market", "quotes": "/public"},
    rest_path="/fapi/v1",
    trade_page_weight=20,
    bar_page_weight=5,
    intervals={interval.name: wire for wire, interval in WIRE_INTERVALS.items() if wire != "1s"},
    streams_per_connection=200,
    request_pause_seconds=0.15,  # 10 a second
    window_ms=3_600_000 - 1,  # less than an hour
    trades_kept_ms=48 * 3_600_000,
)

"""What the generated market trades: prices, tick sizes, lots and volatilities of symbols, known or made up by name."""

import hashlib
import math
import re
from dataclasses import dataclass

from marketstream.domain.market import AssetClass

_CRYPTO_NAME = re.compile(r"[A-Z0-9]{2,}(USDT|USDC|FDUSD|BUSD|TUSD|BTC|ETH|EUR)|[A-Z0-9]{3,}[-/]?USD")
_KNOWN_PRICES = {
    "BTCUSDT": 65_000.0,
    "ETHUSDT": 3_200.0,
    "SOLUSDT": 150.0,
    "BNBUSDT": 580.0,
    "XRPUSDT": 0.55,
    "ADAUSDT": 0.45,
    "DOGEUSDT": 0.12,
    "AVAXUSDT": 28.0,
    "LINKUSDT": 14.0,
    "DOTUSDT": 6.0,
    "LTCUSDT": 72.0,
    "TRXUSDT": 0.13,
    "AAPL": 230.0,
    "MSFT": 420.0,
    "GOOGL": 170.0,
    "AMZN": 185.0,
    "TSLA": 250.0,
    "NVDA": 125.0,
    "META": 560.0,
    "IBM": 220.0,
    "BAC": 40.0,
    "JPM": 210.0,
    "GS": 500.0,
    "V": 280.0,
    "WMT": 80.0,
    "DIS": 95.0,
    "NFLX": 700.0,
    "AMD": 155.0,
    "INTC": 22.0,
    "SPY": 570.0,
    "QQQ": 485.0,
}
_SECONDS_PER_YEAR = {"equity": 252 * 6.5 * 3_600, "crypto": 365.0 * 86_400}
_YEARLY_VOLATILITY = {"equity": 0.30, "crypto": 0.60}
_MEDIAN_NOTIONAL = {"equity": 12_000.0, "crypto": 600.0}


@dataclass(frozen=True, slots=True)
class Instrument:
    """One symbol of the generated market.

    Attributes:
        symbol: Canonical symbol.
        asset_class: `equity` or `crypto`; decides curve, lots and venues.
        start_price: Where its price begins, on the tick grid.
        price_decimals: Prices are multiples of `10 ** -price_decimals`.
        size_decimals: Sizes are multiples of `10 ** -size_decimals`; 0 for whole shares.
        volatility: Standard deviation of the log price over one second at the symbol's mean activity.
        loading: Correlation of its log price with the market factor, so that of two symbols is their loadings' product.
        median_size: Median trade size, in units of the symbol.
    """

    symbol: str
    asset_class: AssetClass
    start_price: float
    price_decimals: int
    size_decimals: int
    volatility: float
    loading: float
    median_size: float


def instrument(symbol: str) -> Instrument:
    """The instrument of a symbol; depends on nothing but its name."""
    asset_class: AssetClass = "crypto" if _CRYPTO_NAME.fullmatch(symbol) else "equity"
    chance = _chances(symbol)
    price = _KNOWN_PRICES.get(symbol) or _derived_price(asset_class, chance[0])
    magnitude = math.floor(math.log10(price))
    price_decimals = 2 if asset_class == "equity" else min(8, max(2, 3 - magnitude))
    median_size = _MEDIAN_NOTIONAL[asset_class] / price
    return Instrument(
        symbol=symbol,
        asset_class=asset_class,
        start_price=round(price, price_decimals),
        price_decimals=price_decimals,
        size_decimals=0 if asset_class == "equity" else min(5, max(0, magnitude + 1)),
        volatility=(0.7 + 0.6 * chance[1]) * _YEARLY_VOLATILITY[asset_class] / _SECONDS_PER_YEAR[asset_class] ** 0.5,
        loading=0.45 + 0.4 * chance[2],
        median_size=median_size,
    )


def _derived_price(asset_class: AssetClass, chance: float) -> float:
    low, high = (8.0, 500.0) if asset_class == "equity" else (0.02, 200.0)
    return low * math.pow(high / low, chance)


def _chances(symbol: str) -> tuple[float, float, float]:
    # A digest, not hash(): Python's differs from process to process.
    digest = hashlib.sha256(symbol.encode()).digest()
    first, second, third = (int.from_bytes(digest[start : start + 4], "big") / 2**32 for start in (0, 4, 8))
    return first, second, third

"""What kind of instrument a canonical symbol names.

Canonical symbols are upper case without separators between the parts of a pair: `AAPL`, `BRK.B`, `BTCUSDT`, `EURUSD`,
`XAUUSD`; a perpetual future is its pair with `-PERP`.
"""

from marketstream.domain.market import AssetClass

PERPETUAL = "-PERP"
# ISO 4217, the currencies that trade freely enough to be quoted in pairs.
_CURRENCY_CODES = """
AED ARS AUD BRL CAD CHF CLP CNH CNY COP CZK DKK EUR GBP HKD HUF IDR ILS INR JPY KRW MXN MYR NOK NZD PEN PHP PLN RON RUB
SAR SEK SGD THB TRY TWD USD ZAR
"""
CURRENCIES = frozenset(_CURRENCY_CODES.split())
# ISO 4217's metals, and the usual names of oil and gas.
COMMODITIES = frozenset({"XAU", "XAG", "XPT", "XPD", "XCU", "WTI", "BRENT", "UKOIL", "USOIL", "XBR", "XTI", "XNG"})
_STABLE_COINS = ("USDT", "USDC", "FDUSD", "BUSD", "TUSD", "DAI")
_COIN_CODES = """
BTC ETH SOL BNB XRP ADA DOGE AVAX LINK DOT LTC TRX MATIC POL SHIB UNI ATOM XLM ETC BCH FIL NEAR APT ARB OP SUI TON ICP
AAVE ALGO EOS XMR ZEC PEPE
"""
_COINS = frozenset(_COIN_CODES.split())
_QUOTES = (*_STABLE_COINS, "BTC", "ETH", "BNB")


def asset_class_of(symbol: str) -> AssetClass:
    """The asset class of a canonical symbol, by its name: currencies, commodities and coins are known, the rest trades.

    A pair of currencies is forex, of a commodity and a currency a commodity, of a coin and anything crypto; what ends
    in a stable coin or is a perpetual is crypto too; everything else is an equity.
    """
    if symbol.endswith(PERPETUAL):
        return "crypto"
    base, quote = symbol[:-3], symbol[-3:]
    if symbol in COMMODITIES or (base in COMMODITIES and quote in CURRENCIES):
        return "commodity"
    if base in CURRENCIES and quote in CURRENCIES:
        return "forex"
    if base in _COINS and quote in CURRENCIES:
        return "crypto"
    if any(len(symbol) > len(end) + 1 and symbol.endswith(end) for end in _QUOTES) and len(symbol) >= 6:
        return "crypto"
    return "equity"

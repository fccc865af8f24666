"""Redis keys and their lifetimes. Values are the JSON of the matching Kafka message.

`latest_price:{symbol}` string · `ticks:{symbol}` list, newest first · `aggregated:{symbol}:{interval}` string ·
`message_count:{symbol}` integer · `latest_quote:{symbol}` string · `indicators:{symbol}` hash by interval ·
`cancels:{symbol}` sorted set by the trade's time, of what tells one cancel from another · `cancelled_symbols` set.
"""

LATEST_PRICE_SECONDS = 60
LATEST_QUOTE_SECONDS = 60
BAR_SECONDS = 300
INDICATOR_SECONDS = 300
MESSAGE_COUNT_SECONDS = 60
TICKS_KEPT = 1_000
CANCELS_KEPT = 1_000
CANCELLED_SYMBOLS = "cancelled_symbols"  # those that have any cancel


def latest_price(symbol: str) -> str:
    """Newest tick of a symbol."""
    return f"latest_price:{symbol}"


def ticks(symbol: str) -> str:
    """The last `TICKS_KEPT` ticks of a symbol, newest first."""
    return f"ticks:{symbol}"


def cancels(symbol: str) -> str:
    """The `CANCELS_KEPT` cancels of a symbol whose trades are the newest."""
    return f"cancels:{symbol}"


def bar(symbol: str, interval: str) -> str:
    """Newest bar of a symbol and interval."""
    return f"aggregated:{symbol}:{interval}"


def message_count(symbol: str) -> str:
    """Ticks of a symbol seen in the current 60-second period."""
    return f"message_count:{symbol}"


def latest_quote(symbol: str) -> str:
    """Newest quote of a symbol."""
    return f"latest_quote:{symbol}"


def indicators(symbol: str) -> str:
    """Indicators of a symbol's newest bar, by interval."""
    return f"indicators:{symbol}"

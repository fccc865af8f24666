"""Binance spot: aggregate trades over its public WebSocket streams; no key needed."""

"""Binance spot over its public WebSocket streams and REST; no key needed. `binance_usdm` builds on it."""

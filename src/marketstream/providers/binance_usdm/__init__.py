"""Binance USD-M futures over their public WebSocket streams and REST; no key needed. Builds on `binance`."""

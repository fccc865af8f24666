"""Stage 5, readers only: REST, the WebSocket and the screens, all through `MarketData`."""

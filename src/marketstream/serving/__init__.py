"""Stage 5, readers only: REST and the screens, both through `MarketData`."""

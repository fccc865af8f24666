"""Redis: the newest prices, ticks and bars, for readers that can't wait."""

"""The screens: one Dash page, Market, reading through `MarketData` as REST does."""

"""The data lake: ticks, cancels and bars as Parquet files by date and symbol, which any reader may open at any time."""

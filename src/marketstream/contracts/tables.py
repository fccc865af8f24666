"""Names of the database tables."""

TICKS = "tick_data"
BARS = "aggregated_data"

"""PostgreSQL, with TimescaleDB where it exists: every tick and every bar, for as long as the settings keep them."""

"""Polygon, now Massive: US stocks' trades over its WebSocket API."""

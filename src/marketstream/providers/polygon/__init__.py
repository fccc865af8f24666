"""Polygon, now Massive: US stocks' trades, quotes and bars over its WebSocket API, and their past over its REST API."""

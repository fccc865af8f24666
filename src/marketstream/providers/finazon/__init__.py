"""Finazon: bars over its WebSocket, repeated as they grow, and past bars over its REST API."""

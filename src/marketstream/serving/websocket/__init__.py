"""The WebSocket service: snapshot on subscribe, then every update, numbered, within bounds."""

"""GraphQL over what REST reads, and subscriptions over what the WebSocket sends."""

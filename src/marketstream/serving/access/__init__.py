"""Who may: API keys, tokens, roles, limits, and the middleware that asks."""

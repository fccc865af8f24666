"""Which role each REST route needs. A route that is not here is refused when the application is built."""

from marketstream.serving.access.principal import Role
from marketstream.serving.access.rules import Rules

_ANYBODY = None

RULES = Rules(
    {
        "GET /": _ANYBODY,
        "GET /docs": _ANYBODY,
        "GET /openapi.json": _ANYBODY,
        "GET /health/live": _ANYBODY,
        "GET /health/ready": _ANYBODY,
        "GET /api/v1/latest/{symbol}": Role.VIEWER,
        "GET /api/v1/quotes/{symbol}": Role.VIEWER,
        "GET /api/v1/ticks/{symbol}": Role.VIEWER,
        "GET /api/v1/aggregated/{symbol}": Role.VIEWER,
        "GET /api/v1/indicators/{symbol}": Role.VIEWER,
        "GET /api/v1/symbols": Role.VIEWER,
        "GET /api/v1/feeds": Role.VIEWER,
        "GET /api/v1/feeds/events": Role.VIEWER,
        "GET /api/v1/feeds/gaps": Role.VIEWER,
        "GET /api/v1/feeds/completeness": Role.VIEWER,
        # What providers sent and was refused may hold anything.
        "GET /api/v1/dead-letters": Role.TRADER,
        "GET /api/v1/dead-letters/groups": Role.TRADER,
        "GET /api/v1/dead-letters/{letter_id}": Role.TRADER,
        "POST /api/v1/dead-letters/reinject": Role.ADMIN,
    }
)

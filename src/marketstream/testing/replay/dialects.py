"""Every provider's protocol in one table, and the provider a request's path chooses."""

from collections.abc import Sequence

from marketstream.testing.replay import alpha_vantage, binance, binance_usdm, finage, finazon, fmp, polygon
from marketstream.testing.replay.dialect import Dialect

# The first that speaks a path takes it; a path that none speaks is Polygon's.
DIALECTS: Sequence[Dialect] = (
    alpha_vantage.DIALECT,
    finage.DIALECT,
    finazon.DIALECT,
    fmp.DIALECT,
    binance.DIALECT,
    binance_usdm.DIALECT,
    polygon.DIALECT,
)
_BY_PROVIDER = {dialect.provider: dialect for dialect in DIALECTS}
PROVIDERS = tuple(_BY_PROVIDER)


def speaker(path: str) -> Dialect:
    """The dialect of a WebSocket request's path with its query."""
    return next((dialect for dialect in DIALECTS if dialect.speaks(path)), _BY_PROVIDER["polygon"])


def server_of(path: str) -> Dialect | None:
    """The dialect that serves a REST request's path without its query; None where none does."""
    return next((dialect for dialect in DIALECTS if dialect.serves(path)), None)

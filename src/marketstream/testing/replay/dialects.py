"""Every provider's protocol in one table, and the provider a request's path chooses."""

from collections.abc import Sequence
from urllib.parse import urlsplit

from marketstream.providers.auto import REPLAY_PATHS
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
PROVIDERS = tuple(REPLAY_PATHS)


def speaker(path: str) -> Dialect:
    """The dialect of a WebSocket request's path with its query."""
    for dialect in DIALECTS:
        if dialect.speaks(path):
            return dialect
    plain = urlsplit(path).path
    for provider, prefix in REPLAY_PATHS.items():
        if prefix and (plain == prefix or plain.startswith(prefix + "/")) and provider in _BY_PROVIDER:
            return _BY_PROVIDER[provider]
    return _BY_PROVIDER["polygon"]


def server_of(path: str) -> Dialect | None:
    """The dialect that serves a REST request's path without its query; None where none does."""
    return next((dialect for dialect in DIALECTS if dialect.serves(path)), None)

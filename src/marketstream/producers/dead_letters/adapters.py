"""Today's parsers of the providers' frames, with today's symbols: what a dead letter is read again with."""

from collections.abc import Callable
from importlib import import_module

from marketstream.domain.errors import ConfigurationError
from marketstream.domain.outcomes import Parsed, Reason, Rejected
from marketstream.providers.symbology import PLAIN, Symbology
from marketstream.settings import Settings

# (bytes, when they were received) -> what is in them
Parse = Callable[[bytes, int], list[Parsed]]

# By provider: the class in its `config` module whose `of(endpoint, settings)` names the symbols.
_CONFIGS = {
    "alpha_vantage": "AlphaVantageConfig",
    "binance": "BinanceConfig",
    "binance_usdm": "BinanceUsdmConfig",
    "finage": "FinageConfig",
    "finazon": "FinazonConfig",
    "fmp": "FmpConfig",
    "polygon": "PolygonConfig",
}


def parser_of(provider: str, settings: Settings) -> Parse | None:
    """The parser of this provider's frames; None where there is no such adapter.

    A parser made here also takes one element of an array without its brackets, as dead letters hold it.
    """
    if provider not in _CONFIGS:
        return None
    parse_frame = import_module(f"marketstream.providers.{provider}.parse").parse_frame
    names = _names(provider, settings)

    def parse(raw: bytes, received_time_us: int) -> list[Parsed]:
        outcomes: list[Parsed] = parse_frame(raw, received_time_us, names)
        if raw.lstrip().startswith(b"{") and outcomes and all(map(_is_malformed, outcomes)):
            bracketed: list[Parsed] = parse_frame(b"[" + raw + b"]", received_time_us, names)
            if not all(map(_is_malformed, bracketed)):
                return bracketed
        return outcomes

    return parse


def _names(provider: str, settings: Settings) -> Symbology:
    config = getattr(import_module(f"marketstream.providers.{provider}.config"), _CONFIGS[provider])
    try:
        names: Symbology = config.of(getattr(settings, provider), settings).names
    except ConfigurationError:  # it carries none of today's symbols: each letter will say so of its own
        return PLAIN
    return names


def _is_malformed(outcome: Parsed) -> bool:
    return isinstance(outcome, Rejected) and outcome.reason is Reason.MALFORMED

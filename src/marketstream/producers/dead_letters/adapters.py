"""Today's parsers of the providers' frames, with today's symbols: what a dead letter is read again with."""

from collections.abc import Callable, Mapping
from typing import Protocol

from marketstream.domain.errors import ConfigurationError
from marketstream.domain.outcomes import Parsed, Reason, Rejected
from marketstream.providers.alpha_vantage import parse as alpha_vantage
from marketstream.providers.alpha_vantage.config import AlphaVantageConfig
from marketstream.providers.binance import parse as binance
from marketstream.providers.binance.config import BinanceConfig
from marketstream.providers.binance_usdm import parse as binance_usdm
from marketstream.providers.binance_usdm.config import USDM
from marketstream.providers.finage import parse as finage
from marketstream.providers.finage.config import FinageConfig
from marketstream.providers.finazon import parse as finazon
from marketstream.providers.finazon.config import FinazonConfig
from marketstream.providers.fmp import parse as fmp
from marketstream.providers.fmp.config import FmpConfig
from marketstream.providers.polygon import parse as polygon
from marketstream.providers.polygon.config import PolygonConfig
from marketstream.providers.symbology import PLAIN, Symbology
from marketstream.settings import Settings

# (bytes, when they were received) -> what is in them
Parse = Callable[[bytes, int], list[Parsed]]
_NamesOf = Callable[[Settings], Symbology]


class _ParseFrame(Protocol):
    def __call__(self, raw: bytes, received_time_us: int, /, names: Symbology) -> list[Parsed]: ...


_ADAPTERS: Mapping[str, tuple[_ParseFrame, _NamesOf]] = {
    "alpha_vantage": (alpha_vantage.parse_answer, lambda own: AlphaVantageConfig.of(own.alpha_vantage, own).names),
    "binance": (binance.parse_frame, lambda own: BinanceConfig.of(own.binance, own).names),
    "binance_usdm": (binance_usdm.parse_frame, lambda own: BinanceConfig.of(own.binance_usdm, own, USDM).names),
    "finage": (finage.parse_frame, lambda own: FinageConfig.of(own.finage, own).names),
    "finazon": (finazon.parse_frame, lambda own: FinazonConfig.of(own.finazon, own).names),
    "fmp": (fmp.parse_frame, lambda own: FmpConfig.of(own.fmp, own).names),
    "polygon": (polygon.parse_frame, lambda own: PolygonConfig.of(own.polygon, own).names),
}


def parser_of(provider: str, settings: Settings) -> Parse | None:
    """The parser of this provider's frames; None where there is no such adapter.

    It also takes one element of an array without its brackets, as dead letters hold it.
    """
    if provider not in _ADAPTERS:
        return None
    parse_frame, names_of = _ADAPTERS[provider]
    try:
        names = names_of(settings)
    except ConfigurationError:  # it carries none of today's symbols: each letter will say so of its own
        names = PLAIN

    def parse(raw: bytes, received_time_us: int) -> list[Parsed]:
        outcomes = parse_frame(raw, received_time_us, names=names)
        if raw.lstrip().startswith(b"{") and outcomes and all(map(_is_malformed, outcomes)):
            bracketed = parse_frame(b"[" + raw + b"]", received_time_us, names=names)
            if not bracketed or not all(map(_is_malformed, bracketed)):
                return bracketed
        return outcomes

    return parse


def _is_malformed(outcome: Parsed) -> bool:
    return isinstance(outcome, Rejected) and outcome.reason is Reason.MALFORMED

"""What a backfill is asked for, and whether the provider can give it."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import orjson

from marketstream.domain.errors import ConfigurationError, Fault, MarketstreamError, ProviderError
from marketstream.domain.interval import Interval
from marketstream.ports import Provider

Data = Literal["trades", "bars"]


class BackfillError(MarketstreamError):
    """Going on with this backfill would make something wrong; the message says what to do instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillRequest:
    """History of some symbols.

    Attributes:
        provider: Whose.
        symbols: Canonical symbols.
        start_us: First point in time.
        end_us: First point in time no longer wanted.
        data: Single trades, or the provider's own bars.
        interval: Bar length; None for trades.

    Raises:
        ConfigurationError: There is nothing to fetch.
    """

    provider: str
    symbols: tuple[str, ...]
    start_us: int
    end_us: int
    data: Data = "trades"
    interval: Interval | None = None

    def __post_init__(self) -> None:
        if not self.symbols:
            raise ConfigurationError("name at least one symbol, as in --symbols BTCUSDT,ETHUSDT")
        if self.start_us >= self.end_us:
            raise ConfigurationError("the start is not before the end; the range is [start, end)")
        if (self.data == "bars") != (self.interval is not None):
            raise ConfigurationError("bars need an interval, as in --data bars --interval 1min; trades have none")

    def facts(self) -> dict[str, object]:
        """What makes it this request and no other."""
        return {
            "provider": self.provider,
            "symbols": list(self.symbols),
            "start_us": self.start_us,
            "end_us": self.end_us,
            "data": self.data,
            "interval": self.interval.name if self.interval else None,
        }

    @property
    def fingerprint(self) -> str:
        """Names the request in file names: the same request has the same one."""
        return hashlib.sha256(orjson.dumps(self.facts(), option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


def check_possible(request: BackfillRequest, provider: Provider) -> None:
    """Refuses what the provider can't give, and says what it can.

    Raises:
        ProviderError: It has no such history, with the fault `UNSUPPORTED`.
        ConfigurationError: It doesn't carry one of the symbols.
    """
    can = provider.capabilities
    if request.data == "trades" and not can.past_trades:
        hint = "it has bars: use --data bars --interval 1min" if can.past_bars else "it has no bars either"
        raise _unsupported(provider.name, f"its REST API has no past trades; {hint}")
    if request.data == "bars" and not can.past_bars:
        hint = "it has trades: use --data trades" if can.past_trades else "it has no trades either"
        raise _unsupported(provider.name, f"its REST API has no past bars; {hint}")
    absent = _absent(request.symbols, provider.symbols)
    if absent:
        raise ConfigurationError(f"{provider.name} does not carry {', '.join(absent)}: leave it out")


def _absent(wanted: Sequence[str], carried: Sequence[str]) -> list[str]:
    return [symbol for symbol in wanted if symbol not in carried]


def _unsupported(provider: str, message: str) -> ProviderError:
    return ProviderError(f"{provider}: {message}", provider=provider, fault=Fault.UNSUPPORTED)

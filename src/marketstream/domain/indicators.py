"""The technical indicators of one bar, and the version of that bar they were computed from."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Self

from marketstream.domain.market import Bar

_INT64 = 2**63


@dataclass(frozen=True, slots=True, kw_only=True)
class Indicators:
    """What the indicators of one symbol and interval say with this bar as the newest.

    Attributes:
        symbol: Canonical symbol.
        interval: Interval name, such as `1min`.
        start_us: First microsecond of the bar.
        end_us: First microsecond after the bar.
        final: Whether the bar was final; otherwise these are the values it would have if it closed now.
        revision: The bar's revision.
        trade_count: The bar's number of trades.
        close: The bar's last price.
        last_event_time_us: Event time of the newest trade in the bar.
        last_received_time_us: When the most recently received trade in the bar left our socket.
        values: By name, such as `sma_20`; a name is absent until it has enough bars, or where it is undefined.
        provider: Who made the bar; None for one made here from trades.
        cancelled: How many cancelled trades were taken out of the bar.

    Raises:
        ValueError: A value is not finite, or an integer is beyond 64 bits.
    """

    symbol: str
    interval: str
    start_us: int
    end_us: int
    final: bool
    revision: int
    trade_count: int
    close: float
    last_event_time_us: int
    last_received_time_us: int
    values: Mapping[str, float]
    provider: str | None = None
    cancelled: int = 0

    def __post_init__(self) -> None:
        if not (isfinite(self.close) and all(map(isfinite, self.values.values()))):
            raise ValueError("an indicator's value is not finite")
        times = (self.start_us, self.end_us, self.last_event_time_us, self.last_received_time_us)
        counts = (self.trade_count, self.cancelled, self.trade_count + self.cancelled)
        if not -_INT64 <= min(*times, *counts) <= max(*times, *counts, self.revision) < _INT64:
            raise ValueError("an integer is beyond 64 bits")

    @classmethod
    def of(cls, bar: Bar, values: Mapping[str, float]) -> Self:
        """The indicators `values` of `bar`."""
        return cls(
            symbol=bar.symbol,
            interval=bar.interval,
            start_us=bar.start_us,
            end_us=bar.end_us,
            final=bar.final,
            revision=bar.revision,
            trade_count=bar.trade_count,
            close=bar.close,
            last_event_time_us=bar.last_event_time_us,
            last_received_time_us=bar.last_received_time_us,
            values=values,
            provider=bar.provider,
            cancelled=bar.cancelled,
        )

    @property
    def version(self) -> tuple[int, bool, int, int, bool, int]:
        """The bar's `Bar.version`: whoever keeps indicators refuses to go below what it has."""
        made_here = self.provider is None
        seen = self.trade_count + self.cancelled if made_here else 0
        return (self.start_us, made_here, seen, self.cancelled, self.final, self.revision)

"""What the screens read, all of it through readers that REST uses too. A page appears where its source is there."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from marketstream.analytics.parameters import IndicatorParameters
from marketstream.contracts.dead_letters import DeadLetterDesk
from marketstream.serving.exports import Exports
from marketstream.serving.feed_data import FeedData
from marketstream.serving.market_data import MarketData
from marketstream.serving.platform_metrics import PlatformMetrics


class SeenSignal(Protocol):
    """What the screens show of a signal; the fields of the messages on `signals`."""

    @property
    def symbol(self) -> str: ...  # noqa: D102  # as in the message, here and below
    @property
    def interval(self) -> str: ...  # noqa: D102
    @property
    def kind(self) -> str: ...  # noqa: D102
    @property
    def direction(self) -> str: ...  # noqa: D102
    @property
    def strength(self) -> float: ...  # noqa: D102
    @property
    def price(self) -> float: ...  # noqa: D102
    @property
    def values(self) -> Mapping[str, float]: ...  # noqa: D102
    @property
    def final(self) -> bool: ...  # noqa: D102
    @property
    def time_us(self) -> int: ...  # noqa: D102


class SeenAnomaly(Protocol):
    """What the screens show of an anomaly; the fields of the messages on `anomalies`."""

    @property
    def symbol(self) -> str: ...  # noqa: D102  # as in the message, here and below
    @property
    def kind(self) -> str: ...  # noqa: D102
    @property
    def severity(self) -> str: ...  # noqa: D102
    @property
    def value(self) -> float: ...  # noqa: D102
    @property
    def reference(self) -> float: ...  # noqa: D102
    @property
    def score(self) -> float: ...  # noqa: D102
    @property
    def message(self) -> str: ...  # noqa: D102
    @property
    def time_us(self) -> int: ...  # noqa: D102
    @property
    def ended_us(self) -> int | None: ...  # noqa: D102


class SeenPair(Protocol):
    """What the screens show of a pair; the fields of the messages on `pair_analytics`. None is not defined."""

    @property
    def symbol_a(self) -> str: ...  # noqa: D102  # as in the message, here and below
    @property
    def symbol_b(self) -> str: ...  # noqa: D102
    @property
    def interval(self) -> str: ...  # noqa: D102
    @property
    def time_us(self) -> int: ...  # noqa: D102
    @property
    def observations(self) -> int: ...  # noqa: D102
    @property
    def hedge_ratio(self) -> float | None: ...  # noqa: D102
    @property
    def kalman_hedge_ratio(self) -> float | None: ...  # noqa: D102
    @property
    def spread(self) -> float | None: ...  # noqa: D102
    @property
    def spread_mean(self) -> float | None: ...  # noqa: D102
    @property
    def spread_std(self) -> float | None: ...  # noqa: D102
    @property
    def z_score(self) -> float | None: ...  # noqa: D102
    @property
    def correlation(self) -> float | None: ...  # noqa: D102
    @property
    def adf_p_value(self) -> float | None: ...  # noqa: D102
    @property
    def coint_p_value(self) -> float | None: ...  # noqa: D102
    @property
    def half_life_bars(self) -> float | None: ...  # noqa: D102
    @property
    def hurst(self) -> float | None: ...  # noqa: D102


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Reads what is told of pairs. Both raise `StoreUnavailableError` when the store is away.

    Attributes:
        latest: The newest figures of every pair, over bars of one interval.
        history: The figures of a pair's newest so many bars, oldest first.
    """

    latest: Callable[[str], Sequence[SeenPair]]
    history: Callable[[tuple[str, str], str, int], Sequence[SeenPair]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Detections:
    """Reads what was detected: the newest so many of one symbol, or of all for None, oldest first.

    Attributes:
        signals: Raises `StoreUnavailableError` when the store is away, as does the other.
        anomalies: Each in its newest version.
    """

    signals: Callable[[str | None, int], Sequence[SeenSignal]]
    anomalies: Callable[[str | None, int], Sequence[SeenAnomaly]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where the pages' data comes from.

    Attributes:
        market_data: Ticks, bars and indicators.
        usual_window: The length of bars that is shown where nothing else was chosen.
        parameters: Which indicators there are.
        feed_data: How the feeds are.
        metrics: The platform's own figures.
        dead_letters: What was refused.
        exports: Whole datasets.
        detections: Signals and anomalies.
        pairs: How symbols move together.
    """

    market_data: MarketData
    usual_window: str = "1min"
    parameters: IndicatorParameters = field(default_factory=IndicatorParameters)
    feed_data: FeedData | None = None
    metrics: PlatformMetrics | None = None
    dead_letters: DeadLetterDesk | None = None
    exports: Exports | None = None
    detections: Detections | None = None
    pairs: Pairs | None = None

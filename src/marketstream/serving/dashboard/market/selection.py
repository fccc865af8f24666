"""What the page shows, as chosen or as linked: `?symbol=BTCUSDT&window=1min&range=4h&show=vwap,rsi`."""

from collections.abc import Sequence
from dataclasses import dataclass

from marketstream.analytics.parameters import IndicatorParameters
from marketstream.domain.interval import Interval
from marketstream.serving.dashboard.links import Asked

# The chart stays quick to read and to draw up to here: a day of minutes.
MAX_BARS = 1_440
_SPAN_SECONDS: dict[str, int | None] = {"1h": 3_600, "4h": 4 * 3_600, "1d": 24 * 3_600, "all": None}
SPANS = tuple(_SPAN_SECONDS)
DEFAULT_SPAN = "4h"
PANES = ("volume", "rsi", "macd")
DEFAULT_SHOW = ("vwap", "bollinger", *PANES)


def overlays(parameters: IndicatorParameters) -> tuple[str, ...]:
    """Everything that can be drawn over the candles."""
    averages = (*(f"sma_{period}" for period in parameters.sma), *(f"ema_{period}" for period in parameters.ema))
    return ("vwap", "vwap_session", "bollinger", *averages)


def showable(parameters: IndicatorParameters) -> tuple[str, ...]:
    """Everything that can be shown: overlays, then panes."""
    return (*overlays(parameters), *PANES)


@dataclass(frozen=True, slots=True)
class Selection:
    """A symbol, the length of its bars, how far back from the newest bar to look, and what to draw."""

    symbol: str
    window: str
    span: str
    show: tuple[str, ...] = DEFAULT_SHOW

    @property
    def key(self) -> str:
        """Changes when, and only when, another chart is wanted."""
        return f"{self.market}|{','.join(self.show)}"

    @property
    def market(self) -> str:
        """Changes when, and only when, other bars are wanted."""
        return f"{self.symbol}|{self.window}|{self.span}"

    @property
    def interval(self) -> Interval:
        """The window as an interval."""
        return Interval.parse(self.window)

    @property
    def span_us(self) -> int | None:
        """The span in µs; None is everything."""
        seconds = _SPAN_SECONDS[self.span]
        return None if seconds is None else seconds * 1_000_000

    @property
    def max_bars(self) -> int:
        """Bars that fit the span, and the chart."""
        return MAX_BARS if self.span_us is None else max(1, min(MAX_BARS, self.span_us // self.interval.us))

    @property
    def panes(self) -> tuple[str, ...]:
        """The panes below the candles, from above."""
        return tuple(pane for pane in PANES if pane in self.show)

    @property
    def needs_indicators(self) -> bool:
        """Whether anything is drawn that bars alone do not tell."""
        return bool(set(self.show) - {"vwap", "volume"})


def from_link(
    query: str, symbols: Sequence[str], windows: Sequence[str], usual_window: str, known: Sequence[str]
) -> tuple[Selection, str | None]:
    """Reads a link's query string; what is absent or wrong gets its default: the first symbol, the usual window.

    Args:
        query: Of the link.
        symbols: There are.
        windows: There are.
        usual_window: The one to begin with. The shortest may be one that a provider sends of few symbols.
        known: What can be drawn.

    Returns:
        The selection, and a sentence on what in the link was wrong, or None.
    """
    asked = Asked(query)
    selection = Selection(
        symbol=asked.one("symbol", symbols, symbols[0], upper=True),
        window=asked.one("window", windows, usual_window),
        span=asked.one("range", SPANS, DEFAULT_SPAN),
        show=asked.some("show", known, DEFAULT_SHOW),
    )
    return selection, asked.fault

"""What the page shows: symbol, window and span, as chosen or as linked (`?symbol=BTCUSDT&window=1min&range=4h`)."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import parse_qs

from marketstream.domain.interval import Interval

# The chart stays quick to read and to draw up to here: a day of minutes.
MAX_BARS = 1_440
_SPAN_SECONDS: dict[str, int | None] = {"1h": 3_600, "4h": 4 * 3_600, "1d": 24 * 3_600, "all": None}
SPANS = tuple(_SPAN_SECONDS)
DEFAULT_SPAN = "4h"


@dataclass(frozen=True, slots=True)
class Selection:
    """A symbol, the length of its bars and how far back from the newest bar to look."""

    symbol: str
    window: str
    span: str

    @property
    def key(self) -> str:
        """Changes when, and only when, another chart is wanted."""
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


def from_link(
    query: str, symbols: Sequence[str], windows: Sequence[str], usual_window: str
) -> tuple[Selection, str | None]:
    """Reads a link's query string; what is absent or wrong gets its default: the first symbol, the usual window.

    Returns:
        The selection, and a sentence on what in the link was wrong, or None.
    """
    asked = {name: values[-1] for name, values in parse_qs(query.removeprefix("?")).items()}
    faults: list[str] = []

    def pick(name: str, value: str | None, known: Sequence[str], default: str) -> str:
        if value is None or value in known:
            return value or default
        near = difflib.get_close_matches(value, known, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        faults.append(f"The link names a {name} that is not known here: {value}.{hint}")
        return default

    symbol = asked.get("symbol")
    selection = Selection(
        symbol=pick("symbol", symbol.upper() if symbol else None, symbols, symbols[0]),
        window=pick("window", asked.get("window"), windows, usual_window),
        span=pick("range", asked.get("range"), SPANS, DEFAULT_SPAN),
    )
    return selection, " ".join(faults) or None

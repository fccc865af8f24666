"""What is to be exported, as chosen or as linked, and REST's address of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import get_args
from urllib.parse import urlencode

from marketstream.domain.interval import MICROSECONDS
from marketstream.serving.dashboard.links import Asked
from marketstream.serving.exports import DatasetName

DATASETS: Sequence[str] = get_args(DatasetName)
FORMATS = ("csv", "parquet", "arrow")
CUSTOM = "custom"
_SPAN_SECONDS: dict[str, int | None] = {"1h": 3_600, "1d": 86_400, "7d": 7 * 86_400, "all": None}
RANGES = (*_SPAN_SECONDS, CUSTOM)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be exported.

    Attributes:
        data: Which dataset.
        symbols: Whose rows; none for all symbols'.
        window: Of bars and indicators.
        span: How far back from now, or `custom`.
        start: Where a custom range starts, as `2026-01-31 09:30:00` UTC; empty for the beginning.
        end: Where it ends; empty for now.
        form: Of the file.
    """

    data: str
    symbols: tuple[str, ...]
    window: str
    span: str
    start: str
    end: str
    form: str

    def between(self, now_us: int) -> tuple[int | None, int | None]:
        """The range `[start_us, end_us)`.

        Raises:
            ValueError: A time is none, or the start is not before the end.
        """
        if self.span != CUSTOM:
            seconds = _SPAN_SECONDS[self.span]
            return (None if seconds is None else now_us - seconds * MICROSECONDS), None
        start_us, end_us = _time_us(self.start), _time_us(self.end)
        if start_us is not None and start_us >= (now_us if end_us is None else end_us):
            raise ValueError("The range ends before it starts.")
        return start_us, end_us

    def address(self, now_us: int) -> str:
        """REST's path and query of the file.

        Raises:
            ValueError: As `between`.
        """
        start_us, end_us = self.between(now_us)
        query = {
            "symbol": ",".join(self.symbols),
            "window": "" if self.data == "ticks" else self.window,
            "start": "" if start_us is None else str(start_us),
            "end": "" if end_us is None else str(end_us),
            "format": self.form,
        }
        chosen = {name: value for name, value in query.items() if value}
        return f"/api/v1/export/{self.data}?{urlencode(chosen, safe=',')}"


def from_link(
    query: str, symbols: Sequence[str], windows: Sequence[str], usual_window: str
) -> tuple[Order, str | None]:
    """Reads a link's query string; what is absent or wrong gets its default: today's trades of the first symbol."""
    asked = Asked(query)
    order = Order(
        data=asked.one("data", DATASETS, DATASETS[0]),
        symbols=asked.some("symbol", symbols, symbols[:1]),
        window=asked.one("window", windows, usual_window),
        span=asked.one("range", RANGES, "1d"),
        start=asked.text("start"),
        end=asked.text("end"),
        form=asked.one("format", FORMATS, FORMATS[0]),
    )
    return order, asked.fault


def _time_us(text: str) -> int | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text[:40]} is no time; write it as 2026-01-31 09:30:00.") from None
    return round(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() * MICROSECONDS)

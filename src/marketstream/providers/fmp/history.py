"""FMP's REST API: when a symbol traded last, and bars. It has no single trades of the past.

Bars come a few days an answer, newest first, with their start in New York's time and no offset: of the hour that clocks
repeat in autumn, both runs count as the first.
"""

from collections.abc import AsyncGenerator
from datetime import date, datetime, time, timedelta
from functools import partial
from typing import Annotated, Any, NotRequired

from pydantic import Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from marketstream.domain.errors import Fault
from marketstream.domain.interval import MICROSECONDS, Interval
from marketstream.domain.market import Bar
from marketstream.domain.outcomes import Parsed
from marketstream.ports import Clock, Frame
from marketstream.providers.bars import Numbers, provider_bar, with_finals
from marketstream.providers.faults import Source, explain
from marketstream.providers.fmp.config import FmpConfig
from marketstream.providers.fmp.parse import NAME
from marketstream.providers.fmp.refusals import find_refusal
from marketstream.providers.history import NoHistory
from marketstream.providers.limits import RateLimit
from marketstream.providers.rest import RestAnswer, RestClient, RestConfig
from marketstream.providers.rows import bar_of_row
from marketstream.providers.times import EASTERN, utc_us

# FMP's name of an interval, and how many days' bars one request asks for.
_INTERVALS = {
    "1min": ("1min", 1),
    "5min": ("5min", 5),
    "15min": ("15min", 15),
    "30min": ("30min", 25),
    "1h": ("1hour", 25),
    "4h": ("4hour", 25),
}
_SETTLED_SECONDS = 60.0
_Number = Annotated[float, Field(strict=True)]


class _Last(TypedDict):
    timestamp: NotRequired[int | float | str | None]


class _Bar(TypedDict):
    date: Annotated[str, Field(strict=True, max_length=40)]
    open: _Number
    high: _Number
    low: _Number
    close: _Number
    volume: NotRequired[_Number | None]


_QUOTES = TypeAdapter(list[_Last])
_BAR = TypeAdapter(_Bar)
_BARS = TypeAdapter(list[Any])


class FmpHistory(NoHistory):
    """Bars from one minute to four hours, and the newest trade's time.

    Args:
        config: Where to ask and how much.
        clock: Stamps answers.
    """

    def __init__(self, config: FmpConfig, clock: Clock) -> None:
        super().__init__(NAME)
        self._names = config.names
        self._client = RestClient(
            RestConfig(
                provider=NAME,
                url=config.rest_url,
                secret=config.key,
                find_refusal=find_refusal,
                limit=RateLimit(config.requests_per_minute),
                secret_parameter="apikey",  # noqa: S106  # the parameter's name
            ),
            clock,
        )

    async def last_trade_us(self, symbol: str) -> int | None:
        """Event time of the newest trade, of a currency its newest price; None where FMP knows no such symbol."""
        answer = await self._client.get("/stable/quote", {"symbol": self._names.wire(symbol).upper()})
        try:
            told = [quote.get("timestamp") for quote in _QUOTES.validate_json(answer.body)]
            return next((utc_us(time) for time in told if time is not None), None)
        except ValueError as error:
            raise self._client.error(f"quote: not the answer that is documented: {error}", Fault.PROTOCOL) from None

    async def bars(self, symbol: str, interval: Interval, start_us: int, end_us: int) -> AsyncGenerator[Frame, None]:
        """Pages of bars of 1, 5, 15 or 30 minutes, 1 or 4 hours, rising, each page some days' bars."""
        if interval.name not in _INTERVALS:
            raise self._unsupported(f"bars of {interval.name}")
        name, days = _INTERVALS[interval.name]
        ticker = self._names.wire(symbol).upper()
        day, last_day = _day(start_us), _day(end_us - 1)
        while start_us < end_us and day <= last_day:
            last = min(day + timedelta(days=days - 1), last_day)
            query = {"symbol": ticker, "from": day.isoformat(), "to": last.isoformat()}
            answer = await self._client.get(f"/stable/historical-chart/{name}", query)
            first_us, next_us = max(start_us, _start(day)), min(end_us, _start(last + timedelta(days=1)))
            bars = self._read_bars(answer, symbol, interval)
            wanted = [each for each in bars if not isinstance(each, Bar) or first_us <= each.start_us < next_us]
            yield Frame(answer.body, answer.received_time_us, wanted)
            day = last + timedelta(days=1)

    async def close(self) -> None:
        """Disconnects; a later call opens anew."""
        await self._client.close()

    def _read_bars(self, answer: RestAnswer, symbol: str, interval: Interval) -> list[Parsed]:
        try:
            rows = _BARS.validate_json(answer.body)
        except ValidationError as error:
            detail = explain(error, {})[1]
            raise self._client.error(f"bars: not the answer that is documented: {detail}", Fault.PROTOCOL) from None
        source = Source(NAME, answer.received_time_us)
        read = partial(_bar, source=source, symbol=symbol, interval=interval)
        outcomes = [bar_of_row(row, read, source, symbol) for row in rows]
        outcomes.sort(key=lambda each: each.start_us if isinstance(each, Bar) else 0)
        return with_finals(outcomes, answer.received_time_us, _SETTLED_SECONDS)


def _bar(row: Any, source: Source, symbol: str, interval: Interval) -> Bar:
    bar = _BAR.validate_python(row)
    numbers = Numbers(bar["open"], bar["high"], bar["low"], bar["close"], bar.get("volume") or 0.0)
    return provider_bar(source, symbol, interval, utc_us(bar["date"]), numbers)


def _day(time_us: int) -> date:
    return datetime.fromtimestamp(time_us // MICROSECONDS, EASTERN).date()


def _start(day: date) -> int:
    return int(datetime.combine(day, time(), EASTERN).timestamp()) * MICROSECONDS

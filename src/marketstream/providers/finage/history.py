"""Finage's REST API: when a symbol traded last, and bars. Its documentation has no single trades of the past."""

from collections.abc import AsyncGenerator
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Annotated, Any, NotRequired

from pydantic import Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from marketstream.domain.errors import Fault
from marketstream.domain.interval import MICROSECONDS, Interval
from marketstream.domain.market import Bar
from marketstream.domain.outcomes import Parsed
from marketstream.domain.symbols import asset_class_of
from marketstream.ports import Clock, Frame
from marketstream.providers.bars import Numbers, provider_bar, with_finals
from marketstream.providers.faults import Source, explain
from marketstream.providers.finage.config import FinageConfig
from marketstream.providers.finage.parse import NAME
from marketstream.providers.finage.refusals import find_refusal
from marketstream.providers.history import NoHistory
from marketstream.providers.limits import RateLimit
from marketstream.providers.rest import RestAnswer, RestClient, RestConfig
from marketstream.providers.rows import bar_of_row
from marketstream.providers.times import EASTERN, utc_us

# Finage's names of the markets, by asset class.
_MARKETS = {"equity": "stock", "crypto": "crypto", "forex": "forex", "commodity": "forex"}
_MAX_BARS = 50_000  # Finage's own limit for one answer
_PAGE_BARS = 20_000
_DAY_SECONDS = 86_400
_HOUR_SECONDS = 3_600
_SETTLED_SECONDS = 60.0
_Number = Annotated[float, Field(strict=True)]


class _Last(TypedDict):
    timestamp: NotRequired[int | float | str | None]


class _Bar(TypedDict):
    o: _Number
    h: _Number
    l: _Number  # noqa: E741  # the wire's name
    c: _Number
    v: NotRequired[_Number | None]
    t: int | float | str


class _Bars(TypedDict):
    results: list[Any]


_LAST = TypeAdapter(_Last)
_BAR = TypeAdapter(_Bar)
_BARS = TypeAdapter(_Bars)


class FinageHistory(NoHistory):
    """Bars of minutes and hours, and the newest trade's time.

    Args:
        config: Where to ask and how much.
        clock: Stamps answers.
    """

    def __init__(self, config: FinageConfig, clock: Clock) -> None:
        super().__init__(NAME)
        self._names = config.names
        self._client = RestClient(
            RestConfig(
                provider=NAME,
                url=config.rest_url,
                secret=config.rest_key,
                find_refusal=find_refusal,
                limit=RateLimit(config.requests_per_minute),
                secret_parameter="apikey",  # noqa: S106  # the parameter's name
            ),
            clock,
        )

    async def last_trade_us(self, symbol: str) -> int | None:
        """Event time of the newest trade, of a currency its newest price; None where Finage tells no time."""
        market, name = self._address(symbol)
        path = f"/last/crypto/{name}" if market == "crypto" else f"/last/trade/{market}/{name}"
        answer = await self._client.get(path, {})
        try:
            time = _LAST.validate_json(answer.body).get("timestamp")
            return None if time is None else utc_us(time)
        except ValueError as error:
            raise self._client.error(f"{path}: not the answer that is documented: {error}", Fault.PROTOCOL) from None

    async def bars(self, symbol: str, interval: Interval, start_us: int, end_us: int) -> AsyncGenerator[Frame, None]:
        """Pages of bars of whole minutes below a day, rising, each page some days' bars."""
        unit, size = ("hour", _HOUR_SECONDS) if interval.seconds % _HOUR_SECONDS == 0 else ("minute", 60)
        if interval.seconds % size or interval.seconds >= _DAY_SECONDS:
            raise self._unsupported(f"bars of {interval.name}")
        market, name = self._address(symbol)
        base = f"/agg/{market}/{name}/{interval.seconds // size}/{unit}"
        days = max(1, _PAGE_BARS * interval.seconds // _DAY_SECONDS)
        step_us = days * _DAY_SECONDS * MICROSECONDS
        for first_us in range(start_us, end_us, step_us):
            last_us = min(first_us + step_us, end_us)
            path = f"{base}/{_day(first_us, earlier=True)}/{_day(last_us - 1, earlier=False)}"
            answer = await self._client.get(path, {"limit": _MAX_BARS, "sort": "asc", "date_format": "ts"})
            bars = self._read_bars(answer, symbol, interval)
            wanted = [each for each in bars if not isinstance(each, Bar) or first_us <= each.start_us < last_us]
            yield Frame(answer.body, answer.received_time_us, wanted)

    async def close(self) -> None:
        """Disconnects; a later call opens anew."""
        await self._client.close()

    def _address(self, symbol: str) -> tuple[str, str]:
        # REST names currencies without the stroke they have on the stream.
        return _MARKETS[asset_class_of(symbol)], self._names.wire(symbol).replace("/", "")

    def _read_bars(self, answer: RestAnswer, symbol: str, interval: Interval) -> list[Parsed]:
        try:
            results = _BARS.validate_json(answer.body)["results"]
        except ValidationError as error:
            detail = explain(error, {})[1]
            raise self._client.error(f"bars: not the answer that is documented: {detail}", Fault.PROTOCOL) from None
        source = Source(NAME, answer.received_time_us)
        read = partial(_bar, source=source, symbol=symbol, interval=interval)
        outcomes = [bar_of_row(result, read, source, symbol) for result in results]
        return with_finals(outcomes, answer.received_time_us, _SETTLED_SECONDS)


def _bar(result: Any, source: Source, symbol: str, interval: Interval) -> Bar:
    bar = _BAR.validate_python(result)
    numbers = Numbers(bar["o"], bar["h"], bar["l"], bar["c"], bar.get("v") or 0.0)
    return provider_bar(source, symbol, interval, utc_us(bar["t"], naive=UTC), numbers)


def _day(time_us: int, *, earlier: bool) -> date:
    """The day of a time, by New York's calendar or UTC's, since Finage does not say which it means: ask for both."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time_us)
    days = (moment.date(), moment.astimezone(EASTERN).date())
    return min(days) if earlier else max(days)

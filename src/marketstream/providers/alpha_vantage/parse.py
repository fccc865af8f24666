"""Alpha Vantage's intraday answers into bars: pure. Numbers are text, times are New York's without saying so.

An answer is one JSON object with `Meta Data` and a `Time Series (5min)`, newest bar first. A time is where its bar
starts: the last of a day with extended hours is 19:55 for bars of five minutes. (Answers up to 2022 wrote the end, as
in the example of 2020-03-24 16:00:00.) A bad bar spoils no other; an answer of any other shape is refused as a whole.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError
from pydantic_core import from_json, to_json
from typing_extensions import TypedDict

from marketstream.domain.interval import Interval
from marketstream.domain.market import Bar
from marketstream.domain.outcomes import Parsed, Reason, Rejected
from marketstream.providers.bars import BarError, Numbers, provider_bar, with_finals
from marketstream.providers.faults import Source, explain
from marketstream.providers.fields import NumericText, SymbolText
from marketstream.providers.symbology import PLAIN, Symbology
from marketstream.providers.times import utc_us

NAME = "alpha_vantage"
# Its names of lengths, as in `interval`.
INTERVALS = {f"{minutes}min": Interval.parse(f"{minutes}min") for minutes in (1, 5, 15, 30, 60)}
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}")
_MAX_REFUSALS = 50
# A plan may be told everything a quarter of an hour later, and a day's last bar has no newer one before the next day.
_SETTLED_SECONDS = 86_400.0

_Meta = TypedDict(
    "_Meta",
    {
        "2. Symbol": SymbolText,
        "4. Interval": Literal["1min", "5min", "15min", "30min", "60min"],
        "6. Time Zone": Literal["US/Eastern", "America/New_York"],
    },
)
_Values = TypedDict(
    "_Values",
    {
        "1. open": NumericText,
        "2. high": NumericText,
        "3. low": NumericText,
        "4. close": NumericText,
        "5. volume": NumericText,
    },
)
_Answer = TypedDict("_Answer", {"Meta Data": _Meta})
_Series = Annotated[dict[str, Any], Field(strict=True)]

_ANSWER = TypeAdapter(_Answer)
_SERIES = TypeAdapter(_Series)
_VALUES = TypeAdapter(_Values)


def parse_answer(body: bytes, received_time_us: int, names: Symbology = PLAIN) -> list[Parsed]:
    """The bars, rising, and the refusals of one `TIME_SERIES_INTRADAY` answer. Never raises on bad data.

    The newest bar is not final until a day has passed: there is no telling whether it is over.

    Args:
        body: The answer's body.
        received_time_us: When it had come, µs UTC.
        names: The canonical symbols.
    """
    source = Source(NAME, received_time_us)
    try:
        answer = from_json(body)
    except ValueError as error:
        return [source.rejected(body, Reason.MALFORMED, f"Invalid JSON: {error}")]
    try:
        meta = _ANSWER.validate_python(answer)["Meta Data"]
        series = _SERIES.validate_python(answer.get(f"Time Series ({meta['4. Interval']})"))
    except ValidationError as error:
        return [source.rejected(body, Reason.MALFORMED, explain(error, {})[1])]
    symbol, interval = names.canonical(meta["2. Symbol"]), INTERVALS[meta["4. Interval"]]
    outcomes = [_outcome(time, values, source, symbol, interval) for time, values in series.items()]
    bars = sorted((each for each in outcomes if isinstance(each, Bar)), key=lambda bar: bar.start_us)
    refused = [each for each in outcomes if isinstance(each, Rejected)]
    return [*with_finals(bars, received_time_us, _SETTLED_SECONDS), *refused[:_MAX_REFUSALS]]


def _outcome(time: str, values: Any, source: Source, symbol: str, interval: Interval) -> Bar | Rejected:
    try:
        numbers = _numbers(_VALUES.validate_python(values))
        return provider_bar(source, symbol, interval, _start_us(time), numbers)
    except ValidationError as error:
        reason, detail = explain(error, {})
    except BarError as error:
        reason, detail = error.reason, str(error)
    return source.rejected(to_json({time: values}), reason, detail, symbol)


def _numbers(values: _Values) -> Numbers:
    read: Mapping[str, float] = {name: float(str(text)) for name, text in values.items()}
    return Numbers(read["1. open"], read["2. high"], read["3. low"], read["4. close"], read["5. volume"])


def _start_us(time: str) -> int:
    if not _TIME.fullmatch(time):
        raise BarError(Reason.INVALID_FIELD, "a bar's time is not YYYY-MM-DD HH:MM:SS")
    try:
        return utc_us(time)
    except ValueError as error:
        raise BarError(Reason.TIME_OUT_OF_RANGE, str(error)) from None

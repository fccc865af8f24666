"""Ticks, bars, indicators and latencies as InfluxDB line protocol, time in nanoseconds.

Writes: `tick_metrics`, `aggregated_metrics`, `technical_indicators`, `latency_metrics`.
"""

from collections.abc import Sequence
from functools import lru_cache
from math import ceil
from zlib import crc32

from marketstream.contracts import measurements
from marketstream.domain.errors import StoreError
from marketstream.domain.indicators import Indicators
from marketstream.domain.market import Bar, Tick

_TAG_ESCAPES = str.maketrans({",": "\\,", " ": "\\ ", "=": "\\="})


def tick_line(tick: Tick) -> str:
    """One trade: tags symbol and provider, fields price and size."""
    return (
        f"{measurements.TICKS},provider={_tag(tick.provider)},symbol={_tag(tick.symbol)}"
        f" price={tick.price!r},size={tick.size!r} {tick.event_time_us * 1_000 + _place_in_microsecond(tick)}"
    )


def bar_line(bar: Bar) -> str:
    """One version of a bar at its start: tags symbol and interval, fields of the numbers and of the version.

    The provider is a field, empty for a bar made here, and no tag: a tag would make it a second point beside the one
    that replaces it. A vwap that isn't known is no field. `cancelled` always is one: without it, the replaced point's
    would stay.
    """
    vwap = "" if bar.vwap is None else f",vwap={bar.vwap!r}"
    return (
        f"{measurements.BARS},interval={_tag(bar.interval)},symbol={_tag(bar.symbol)}"
        f" cancelled={bar.cancelled}i,close={bar.close!r},final={'true' if bar.final else 'false'},high={bar.high!r}"
        f",low={bar.low!r},open={bar.open!r},provider={_text(bar.provider or '')},revision={bar.revision}i"
        f",trade_count={bar.trade_count}i,volume={bar.volume!r}{vwap} {bar.start_us * 1_000}"
    )


def indicators_line(indicators: Indicators) -> str:
    """The indicators of one version of a bar at its start: as the bar's line, with a field for each value there is."""
    values = "".join(f",{name}={value!r}" for name, value in indicators.values.items())
    return (
        f"{measurements.INDICATORS},interval={_tag(indicators.interval)},symbol={_tag(indicators.symbol)}"
        f" cancelled={indicators.cancelled}i,close={indicators.close!r},final={'true' if indicators.final else 'false'}"
        f",provider={_text(indicators.provider or '')},revision={indicators.revision}i"
        f",trade_count={indicators.trade_count}i{values} {indicators.start_us * 1_000}"
    )


def latency_line(stage: str, latencies_ms: Sequence[float], now_us: int) -> str:
    """One batch's latencies at one stage, summed up: a series per stage and no more.

    Args:
        stage: Between which two moments.
        latencies_ms: At least one, in milliseconds.
        now_us: The point's time.
    """
    ordered = sorted(latencies_ms)
    return (
        f"{measurements.LATENCY},stage={_tag(stage)} count={len(ordered)}i,max_ms={ordered[-1]!r}"
        f",p50_ms={_percentile(ordered, 0.50)!r},p99_ms={_percentile(ordered, 0.99)!r} {now_us * 1_000}"
    )


def _place_in_microsecond(tick: Tick) -> int:
    """Nanoseconds 0 to 999 that keep trades of one microsecond apart, the same for a trade whenever it is written.

    From the sequence where there is one, else from the trade's number, else from a hash of its id: so consecutive
    trades never meet, and others of one symbol, provider and microsecond only at a distance of a multiple of 1000.
    """
    if tick.sequence:
        return tick.sequence % 1_000
    if tick.trade_id.isdecimal() and tick.trade_id.isascii():
        return int(tick.trade_id[-3:])
    return crc32(tick.trade_id.encode()) % 1_000


def _percentile(ordered: Sequence[float], share: float) -> float:
    """Nearest-rank percentile of sorted values."""
    return ordered[ceil(share * len(ordered)) - 1]


@lru_cache(maxsize=1_000)
def _text(value: str) -> str:
    if not value.isprintable():
        raise StoreError(f"InfluxDB can't hold {value!r} as a text")
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


@lru_cache(maxsize=10_000)
def _tag(value: str) -> str:
    if "\\" in value or not value.isprintable():
        raise StoreError(f"InfluxDB can't hold {value!r} as a tag")
    return value.translate(_TAG_ESCAPES)

"""Ticks, bars and indicators as rows of PostgreSQL's COPY text format, and back, and cancels.

Floats cross to the bit, by `repr`.
"""

from functools import lru_cache
from typing import Any

import orjson

from marketstream.domain.indicators import Indicators
from marketstream.domain.market import Bar, Cancel, Tick

_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
_NULL = "\\N"


def tick_row(tick: Tick) -> str:
    """One line for `incoming_ticks`."""
    return (
        f"{_text(tick.symbol)}\t{tick.event_time_us}\t{tick.received_time_us}\t{tick.price!r}\t{tick.size!r}"
        f"\t{_text(tick.provider)}\t{tick.trade_id.translate(_ESCAPES)}\t{tick.sequence}\t{_text(tick.exchange)}"
        f"\t{_text(tick.side)}\t{tick.asset_class}\t{_array(tick.conditions)}\n"
    )


def bar_row(bar: Bar) -> str:
    """One line for `incoming_bars`."""
    return (
        f"{_text(bar.symbol)}\t{_text(bar.interval)}\t{bar.start_us}\t{bar.end_us}"
        f"\t{bar.open!r}\t{bar.high!r}\t{bar.low!r}\t{bar.close!r}\t{bar.volume!r}"
        f"\t{_NULL if bar.vwap is None else repr(bar.vwap)}\t{bar.trade_count}"
        f"\t{bar.last_event_time_us}\t{bar.last_received_time_us}\t{'t' if bar.final else 'f'}\t{bar.revision}"
        f"\t{_text(bar.provider)}\t{bar.cancelled}\n"
    )


def indicators_row(indicators: Indicators) -> str:
    """One line for `incoming_indicators`."""
    return (
        f"{_text(indicators.symbol)}\t{_text(indicators.interval)}\t{indicators.start_us}\t{indicators.end_us}"
        f"\t{'t' if indicators.final else 'f'}\t{indicators.revision}\t{indicators.trade_count}\t{indicators.close!r}"
        f"\t{indicators.last_event_time_us}\t{indicators.last_received_time_us}"
        f"\t{orjson.dumps(indicators.values).decode().translate(_ESCAPES)}\t{_text(indicators.provider)}"
        f"\t{indicators.cancelled}\n"
    )


def tick_of(row: tuple[Any, ...]) -> Tick:
    """The tick of a row of the `ticks` query."""
    return Tick(
        symbol=row[0],
        event_time_us=row[1],
        received_time_us=row[2],
        price=row[3],
        size=row[4],
        provider=row[5],
        trade_id=row[6],
        sequence=row[7],
        exchange=row[8],
        side=row[9],
        asset_class=row[10],
        conditions=tuple(row[11]),
    )


def cancel_of(row: tuple[Any, ...]) -> Cancel:
    """The cancel of a row of the `cancels_between` query."""
    return Cancel(
        symbol=row[0],
        event_time_us=row[1],
        received_time_us=row[2],
        price=row[3],
        size=row[4],
        provider=row[5],
        trade_id=row[6] or None,
        asset_class=row[7],
    )


def bar_of(row: tuple[Any, ...]) -> Bar:
    """The bar of a row of the `bars` query."""
    return Bar(
        symbol=row[0],
        interval=row[1],
        start_us=row[2],
        end_us=row[3],
        open=row[4],
        high=row[5],
        low=row[6],
        close=row[7],
        volume=row[8],
        vwap=row[9],
        trade_count=row[10],
        last_event_time_us=row[11],
        last_received_time_us=row[12],
        final=row[13],
        revision=row[14],
        provider=row[15],
        cancelled=row[16],
    )


def indicators_of(row: tuple[Any, ...]) -> Indicators:
    """The indicators of a row of the `indicators` query."""
    return Indicators(
        symbol=row[0],
        interval=row[1],
        start_us=row[2],
        end_us=row[3],
        final=row[4],
        revision=row[5],
        trade_count=row[6],
        close=row[7],
        last_event_time_us=row[8],
        last_received_time_us=row[9],
        values={name: float(value) for name, value in row[10].items()},  # JSON tells 5.0 from 5 as little as it can
        provider=row[11],
        cancelled=row[12],
    )


@lru_cache(maxsize=10_000)
def _text(value: str | None) -> str:
    return _NULL if value is None else value.translate(_ESCAPES)


@lru_cache(maxsize=10_000)
def _array(values: tuple[str, ...]) -> str:
    quoted = ('"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' for value in values)
    return ("{" + ",".join(quoted) + "}").translate(_ESCAPES)

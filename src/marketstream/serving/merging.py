"""One list of what the database and the cache have."""

from typing import Literal, TypeVar

from marketstream.domain.indicators import Indicators
from marketstream.domain.market import Bar, Tick, TickPlace

Versioned = TypeVar("Versioned", Bar, Indicators)
Range = tuple[int | None, int | None]  # [start_us, end_us)
Source = Literal["cache", "database", "both"]


def starts_in(bar: Bar | Indicators, between: Range) -> bool:
    """Whether the bar, or that of the indicators, starts in `[start_us, end_us)`."""
    start_us, end_us = between
    return (start_us is None or bar.start_us >= start_us) and (end_us is None or bar.start_us < end_us)


def place_of(tick: Tick) -> TickPlace:
    """By which ticks are sorted."""
    return tick.place


def merge_ticks(stored: list[Tick], cached: list[Tick], limit: int) -> tuple[list[Tick], Source]:
    """The newest `limit` of what is stored and what the cache has already, and which of the two that took."""
    known = {(tick.provider, tick.trade_id) for tick in stored}
    newer = [tick for tick in cached if (tick.provider, tick.trade_id) not in known]
    merged = sorted(stored + newer, key=place_of)[-limit:] if newer else stored[-limit:]
    if not newer or newer[-1].place < merged[0].place:
        return merged, "database"
    return merged, "both" if stored else "cache"


def overlay(stored: list[Versioned], live: list[Versioned], limit: int) -> tuple[list[Versioned], Source]:
    """The newest `limit` of what is stored, the live one in place of an older version, and which of the two it took."""
    by_start = {bar.start_us: bar for bar in stored}
    newer = [bar for bar in live if bar.start_us not in by_start or bar.version > by_start[bar.start_us].version]
    if not newer:
        return stored[-limit:], "database"
    by_start.update((bar.start_us, bar) for bar in newer)
    return [by_start[start] for start in sorted(by_start)][-limit:], "both" if stored else "cache"

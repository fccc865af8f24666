"""A batch as the arguments of the script that applies it, in the order of the header of `apply.lua`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import orjson

from marketstream.contracts import cache_keys
from marketstream.contracts.messages import encode
from marketstream.domain.conditions import TradeRules
from marketstream.domain.market import Cancel, Quote, Tick
from marketstream.storage.decoding import BarKey, Decoded, Versioned, newest_bars, newest_indicators
from marketstream.storage.redis.scripts import held_back

# What tells one cancel from another: said again, it is the same.
_REPEATED = ("event_time_us", "provider", "trade_id", "price", "size")
_LIFETIMES = (
    cache_keys.LATEST_PRICE_SECONDS,
    cache_keys.MESSAGE_COUNT_SECONDS,
    cache_keys.BAR_SECONDS,
    cache_keys.LATEST_QUOTE_SECONDS,
    cache_keys.INDICATOR_SECONDS,
)

Arguments = list[str | bytes | int]


@dataclass(frozen=True, slots=True)
class State:
    """What a writer believes Redis to hold; the script does nothing where that is not so.

    Attributes:
        applied: By topic and partition, the offset applied last.
        cancelled: Symbols with cancels.
    """

    applied: dict[tuple[str, int], int] = field(default_factory=dict)
    cancelled: set[str] = field(default_factory=set)


def applied_key(topic: str) -> str:
    """The hash of a topic's applied offsets."""
    return f"applied:{topic}"


def script_input(
    decoded: Decoded, positions: Mapping[tuple[str, int], int], state: State, rules: TradeRules
) -> tuple[list[str], Arguments]:
    """The script's keys and arguments.

    Args:
        decoded: The batch.
        positions: By topic and partition, its last offset.
        state: What Redis is believed to hold.
        rules: Which trades update the latest price.
    """
    cancels = _cancels_by_symbol(decoded)
    careful = state.cancelled | cancels.keys() if cancels else state.cancelled
    ticks = _by_symbol(decoded, careful)
    bars = _newest_start(newest_bars(decoded.bars))
    quotes = _newest_quotes(decoded)
    indicators = _newest_start(newest_indicators(decoded.indicators))
    keys = [cache_keys.CANCELLED_SYMBOLS, *(applied_key(topic) for topic, _ in positions)]
    keys += _trade_keys(cancels, ticks, careful)
    keys += (cache_keys.bar(symbol, interval) for symbol, interval in bars)
    keys += quotes
    keys += (cache_keys.indicators(symbol) for symbol, _ in indicators)
    arguments: Arguments = [len(positions), len(state.cancelled), len(cancels), len(ticks), len(careful & ticks.keys())]
    arguments += (len(bars), len(quotes), len(indicators), cache_keys.TICKS_KEPT, cache_keys.CANCELS_KEPT)
    arguments += (*_LIFETIMES, held_back(rules) if careful else b"{}")
    for position, offset in positions.items():
        arguments += (position[1], state.applied.get(position, ""), offset)
    arguments += _trade_arguments(cancels, ticks, rules)
    arguments += map(encode, bars.values())
    arguments += map(encode, quotes.values())
    for (_, interval), message in indicators.items():
        arguments += (interval, encode(message))
    return keys, arguments


def _trade_keys(cancels: Iterable[str], ticks: Iterable[str], careful: set[str]) -> list[str]:
    keys: list[str] = []
    for symbol in cancels:
        keys += (cache_keys.cancels(symbol), cache_keys.ticks(symbol), cache_keys.latest_price(symbol))
    for symbol in ticks:
        keys += (cache_keys.ticks(symbol), cache_keys.latest_price(symbol), cache_keys.message_count(symbol))
        if symbol in careful:
            keys.append(cache_keys.cancels(symbol))
    return keys


def _trade_arguments(
    cancels: Mapping[str, list[Cancel]], ticks: Mapping[str, list[Tick]], rules: TradeRules
) -> Arguments:
    arguments: Arguments = []
    for symbol, symbol_cancels in cancels.items():
        arguments += (symbol, len(symbol_cancels))
        for cancel in symbol_cancels:
            arguments += (cancel.event_time_us, orjson.dumps({name: getattr(cancel, name) for name in _REPEATED}))
    for symbol_ticks in ticks.values():
        kept, latest = _kept(symbol_ticks, rules)
        arguments += (len(symbol_ticks), len(kept), latest, *map(encode, kept))
    return arguments


def _by_symbol(decoded: Decoded, careful: set[str]) -> dict[str, list[Tick]]:
    """Each symbol's ticks, oldest first; of equals the later arrival counts as the newer. Careful symbols come last."""
    ticks: dict[str, list[Tick]] = {}
    for _, tick in decoded.ticks:
        ticks.setdefault(tick.symbol, []).append(tick)
    for symbol_ticks in ticks.values():
        symbol_ticks.sort(key=lambda tick: tick.order)
    for symbol in careful & ticks.keys():
        ticks[symbol] = ticks.pop(symbol)
    return ticks


def _cancels_by_symbol(decoded: Decoded) -> dict[str, list[Cancel]]:
    cancels: dict[str, list[Cancel]] = {}
    for _, cancel in decoded.cancels:
        cancels.setdefault(cancel.symbol, []).append(cancel)
    return cancels


def _kept(ticks: list[Tick], rules: TradeRules) -> tuple[list[Tick], int]:
    """The newest ticks, and which of them, from 1, is the newest that updates the last price; 0 for none."""
    kept = ticks[-cache_keys.TICKS_KEPT :]
    for place in range(len(ticks), 0, -1):
        tick = ticks[place - 1]
        if not tick.conditions or rules.updates(tick.provider, tick.conditions).last:
            older = len(ticks) - len(kept)
            return (kept, place - older) if place > older else ([tick, *kept], 1)
    return kept, 0


def _newest_start(bars: Mapping[BarKey, Versioned]) -> dict[tuple[str, str], Versioned]:
    """The latest bar, or indicators, of each symbol and interval."""
    newest: dict[tuple[str, str], Versioned] = {}
    for (symbol, interval, start_us), bar in bars.items():
        known = newest.get((symbol, interval))
        if known is None or start_us > known.start_us:
            newest[symbol, interval] = bar
    return newest


def _newest_quotes(decoded: Decoded) -> dict[str, Quote]:
    """The newest quote per key; of equals the later arrival counts as the newer, as with ticks."""
    newest: dict[str, Quote] = {}
    for _, quote in decoded.quotes:
        key = cache_keys.latest_quote(quote.symbol)
        known = newest.get(key)
        if known is None or quote.order >= known.order:
            newest[key] = quote
    return newest

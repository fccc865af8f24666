"""Keeps the newest prices, ticks, bars, indicators and quotes in Redis.

Reads: `tick_data`, `aggregated_data_*`, `provider_bars`, `technical_indicators`, `quote_data`, `trade_cancels`.
Writes: `latest_price:{symbol}`, `ticks:{symbol}`, `cancels:{symbol}`, `message_count:{symbol}`,
`aggregated:{symbol}:{interval}`, `indicators:{symbol}`, `latest_quote:{symbol}`, and `applied:{topic}`, the offset up
to which each partition is in the keys above.

One script applies a whole batch and its offsets at once, so a message counts exactly once, whoever dies when. Newest is
by event time: a late tick finds its place in the list and never replaces a newer price; nor does one whose conditions
don't let it update the last price, which is in the list all the same. A trade that was taken back stays in the list too,
but the latest price falls back to the newest trade of the list that stands, whichever of the two came first. Offsets belong to a topic's
identity at the broker; a topic that was deleted and made again starts afresh.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import orjson
from redis import Redis

from marketstream.contracts import cache_keys
from marketstream.contracts.messages import encode
from marketstream.domain.conditions import CONSOLIDATED, TradeRules
from marketstream.domain.errors import BusError, StoreUnavailableError
from marketstream.domain.market import Cancel, Quote, Tick
from marketstream.observability import metrics
from marketstream.observability.logs import get_logger
from marketstream.ports import Message
from marketstream.settings import RedisSettings
from marketstream.storage.decoding import BarKey, Decoded, Versioned, decode, newest_bars, newest_indicators
from marketstream.storage.redis.connection import make_client, redis_errors
from marketstream.storage.redis.scripts import APPLY, held_back

TopicIds = Callable[[Sequence[str]], Mapping[str, str]]
_IDENTITY = "topic_id"  # the one field of `applied:{topic}` that is no partition
_ATTEMPTS = 3
_LIFETIMES = (
    cache_keys.LATEST_PRICE_SECONDS,
    cache_keys.MESSAGE_COUNT_SECONDS,
    cache_keys.BAR_SECONDS,
    cache_keys.LATEST_QUOTE_SECONDS,
    cache_keys.INDICATOR_SECONDS,
)
# What tells one cancel from another: said again, it is the same.
_REPEATED = ("event_time_us", "provider", "trade_id", "price", "size")


class RedisWriter:
    """A `Writer` on Redis; every batch counts exactly once.

    Args:
        settings: Where Redis is.
        topics: The topics that will come.
        topic_ids: Asks the broker for the identity of topics; may raise `BusError`.
        rules: Which trades update the latest price.
    """

    name = "redis-writer"

    def __init__(
        self,
        settings: RedisSettings,
        topics: Sequence[str],
        topic_ids: TopicIds,
        rules: TradeRules = CONSOLIDATED,
    ) -> None:
        self._settings = settings
        self._rules = rules
        self._held_back = held_back(rules)
        self._topics = tuple(topics)
        self._topic_ids = topic_ids
        self._client: Redis | None = None
        self._apply: Any = None
        self._applied: dict[tuple[str, int], int] = {}
        self._skipped = metrics.SKIPPED.labels(self.name, "already_applied")
        self._log = get_logger(self.name)

    def setup(self) -> None:
        """Connects and reads how far each partition has come.

        Raises:
            StoreUnavailableError: Redis is away, or the broker can't tell the topics' identities.
        """
        self.close()
        self._client = make_client(self._settings)
        self._apply = self._client.register_script(APPLY)
        self._load(self._client)

    def write(self, batch: Sequence[Message]) -> None:
        """Applies what is new in the batch.

        Raises:
            StoreUnavailableError: Redis is away.
            UndecodableError: Some messages are none of their topics.
        """
        if self._client is None:
            raise StoreUnavailableError("not connected; call setup first")
        for _ in range(_ATTEMPTS):
            fresh = self._fresh(batch)
            if len(fresh) < len(batch) and self._load(self._client):
                fresh = self._fresh(batch)  # the topic was made again: these only looked like old ones
            if not fresh or self._applied_at_once(fresh):
                self._skipped.inc(len(batch) - len(fresh))
                return
            self._load(self._client)
        raise StoreUnavailableError("another writer of the same group keeps moving the applied offsets")

    def close(self) -> None:
        """Disconnects."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _fresh(self, batch: Sequence[Message]) -> list[Message]:
        applied = self._applied
        return [message for message in batch if message.offset > applied.get((message.topic, message.partition), -1)]

    def _load(self, client: Redis) -> bool:
        """Reads the applied offsets; True where some belonged to a topic that is no more."""
        try:
            identities = self._topic_ids(self._topics)
        except BusError as error:
            raise StoreUnavailableError(f"the topics' identities are unknown: {error}") from error
        applied: dict[tuple[str, int], int] = {}
        started_afresh = False
        with redis_errors(self._settings):
            for topic in self._topics:
                key, identity = _applied_key(topic), identities[topic].encode()
                stored = cast("dict[bytes, bytes]", client.hgetall(key))
                known = stored.pop(_IDENTITY.encode(), None)
                if known != identity:
                    pipeline = client.pipeline()
                    pipeline.delete(key)
                    pipeline.hset(key, _IDENTITY, identity)
                    pipeline.execute()
                    if stored:
                        started_afresh = True
                        self._log.info("topic was made again; its applied offsets start afresh", topic=topic)
                else:
                    applied.update(((topic, int(partition)), int(offset)) for partition, offset in stored.items())
        self._applied = applied
        return started_afresh

    def _applied_at_once(self, fresh: Sequence[Message]) -> bool:
        decoded = decode(fresh)
        positions = {(message.topic, message.partition): message.offset for message in fresh}
        keys, arguments = _script_input(decoded, positions, self._applied, self._rules, self._held_back)
        with redis_errors(self._settings):
            done: int = self._apply(keys=keys, args=arguments)
        if done:
            self._applied.update(positions)
        return bool(done)


def _applied_key(topic: str) -> str:
    return f"applied:{topic}"


def _script_input(
    decoded: Decoded,
    positions: Mapping[tuple[str, int], int],
    applied: Mapping[tuple[str, int], int],
    rules: TradeRules,
    codes: bytes,
) -> tuple[list[str], list[str | bytes | int]]:
    """Lays a batch out as the script's header describes."""
    cancels = _cancels_by_symbol(decoded)
    ticks = _by_symbol(decoded)
    bars = _newest_start(newest_bars(decoded.bars))
    quotes = _newest_quotes(decoded)
    indicators = _newest_start(newest_indicators(decoded.indicators))
    keys = [_applied_key(topic) for topic, _ in positions]
    for symbol in cancels:
        keys += (cache_keys.cancels(symbol), cache_keys.ticks(symbol), cache_keys.latest_price(symbol))
    for symbol in ticks:
        keys += (cache_keys.ticks(symbol), cache_keys.latest_price(symbol))
        keys += (cache_keys.message_count(symbol), cache_keys.cancels(symbol))
    keys += (cache_keys.bar(symbol, interval) for symbol, interval in bars)
    keys += quotes
    keys += (cache_keys.indicators(symbol) for symbol, _ in indicators)
    arguments: list[str | bytes | int] = [len(positions)]
    arguments += map(len, (cancels, ticks, bars, quotes, indicators))
    arguments += (cache_keys.TICKS_KEPT, cache_keys.CANCELS_KEPT, *_LIFETIMES, codes)
    for position, offset in positions.items():
        arguments += (position[1], applied.get(position, ""), offset)
    for symbol_cancels in cancels.values():
        arguments.append(len(symbol_cancels))
        for cancel in symbol_cancels:
            arguments += (cancel.event_time_us, orjson.dumps({name: getattr(cancel, name) for name in _REPEATED}))
    for symbol_ticks in ticks.values():
        kept, latest = _kept(symbol_ticks, rules)
        arguments += (len(symbol_ticks), len(kept), latest, *map(encode, kept))
    arguments += map(encode, bars.values())
    arguments += map(encode, quotes.values())
    for (_, interval), message in indicators.items():
        arguments += (interval, encode(message))
    return keys, arguments


def _by_symbol(decoded: Decoded) -> dict[str, list[Tick]]:
    """Each symbol's ticks, oldest first; of equals the later arrival counts as the newer."""
    ticks: dict[str, list[Tick]] = {}
    for _, tick in decoded.ticks:
        ticks.setdefault(tick.symbol, []).append(tick)
    for symbol_ticks in ticks.values():
        symbol_ticks.sort(key=lambda tick: tick.order)
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

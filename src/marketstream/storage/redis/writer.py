"""Keeps the newest prices, ticks, bars, indicators and quotes in Redis.

Reads: `tick_data`, `aggregated_data_*`, `provider_bars`, `technical_indicators`, `quote_data`, `trade_cancels`.
Writes: `latest_price:{symbol}`, `ticks:{symbol}`, `cancels:{symbol}`, `message_count:{symbol}`,
`aggregated:{symbol}:{interval}`, `indicators:{symbol}`, `latest_quote:{symbol}`, `cancelled_symbols`, and
`applied:{topic}`, the offset up to which each partition is in the keys above.

One script applies a whole batch and its offsets at once, so a message counts exactly once, whoever dies when. Newest is
by event time: a late tick finds its place in the list and never replaces a newer price; nor does one whose conditions
don't let it update the last price, which is in the list all the same. So is a trade that was taken back, while the
latest price falls back to the newest of the list that stands, whichever came first. Offsets belong to a topic's
identity at the broker; a topic that was deleted and made again starts afresh.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from redis import Redis

from marketstream.contracts import cache_keys
from marketstream.domain.conditions import CONSOLIDATED, TradeRules
from marketstream.domain.errors import BusError, StoreUnavailableError
from marketstream.observability import metrics
from marketstream.observability.logs import get_logger
from marketstream.ports import Message
from marketstream.settings import RedisSettings
from marketstream.storage.decoding import decode
from marketstream.storage.redis.connection import make_client, redis_errors
from marketstream.storage.redis.layout import State, applied_key, script_input
from marketstream.storage.redis.scripts import APPLY, CLAIM

TopicIds = Callable[[Sequence[str]], Mapping[str, str]]
_IDENTITY = b"topic_id"  # the one field of `applied:{topic}` that is no partition
_ATTEMPTS = 3


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
        self._topics = tuple(topics)
        self._topic_ids = topic_ids
        self._client: Redis | None = None
        self._apply: Any = None
        self._claim: Any = None
        self._state = State()
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
        self._claim = self._client.register_script(CLAIM)
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
            if len(fresh) < len(batch):
                self._load(self._client)
                fresh = self._fresh(batch)  # where the topic was made again, these only looked like old ones
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
        applied = self._state.applied
        return [message for message in batch if message.offset > applied.get((message.topic, message.partition), -1)]

    def _load(self, client: Redis) -> None:
        """Reads the applied offsets and which symbols have cancels; offsets of a topic that is no more go."""
        try:
            identities = self._topic_ids(self._topics)
        except BusError as error:
            raise StoreUnavailableError(f"the topics' identities are unknown: {error}") from error
        applied: dict[tuple[str, int], int] = {}
        with redis_errors(self._settings):
            for topic in self._topics:
                key = applied_key(topic)
                if self._claim(keys=[key], args=[identities[topic]]):
                    self._log.info("topic was made again; its applied offsets start afresh", topic=topic)
                stored = cast("dict[bytes, bytes]", client.hgetall(key))
                stored.pop(_IDENTITY, None)
                applied.update(((topic, int(partition)), int(offset)) for partition, offset in stored.items())
            cancelled = cast("set[bytes]", client.smembers(cache_keys.CANCELLED_SYMBOLS))
        self._state = State(applied, {symbol.decode() for symbol in cancelled})

    def _applied_at_once(self, fresh: Sequence[Message]) -> bool:
        decoded = decode(fresh)
        positions = {(message.topic, message.partition): message.offset for message in fresh}
        keys, arguments = script_input(decoded, positions, self._state, self._rules)
        with redis_errors(self._settings):
            done: int = self._apply(keys=keys, args=arguments)
        if done:
            self._state.applied.update(positions)
            self._state.cancelled.update(cancel.symbol for _, cancel in decoded.cancels)
        return bool(done)

"""Redis as the exporter shows it. Reads: Redis' `INFO`."""

from collections.abc import Callable, Mapping
from typing import Any

from marketstream.observability.exporter import Probe
from marketstream.observability.shared import Shared
from marketstream.settings import RedisSettings
from marketstream.storage.redis.connection import make_client, redis_errors

_KEPT_SECONDS = 4.0  # less than between two scrapes
_GAUGES = {
    "memory_bytes": ("used_memory", "Memory that the data takes"),
    "memory_max_bytes": ("maxmemory", "Memory that the data may take; 0 for no limit"),
    "clients": ("connected_clients", "Connections"),
}
_COUNTERS = {
    "commands_total": ("total_commands_processed", "Commands"),
    "evicted_keys_total": ("evicted_keys", "Keys dropped for want of memory"),
    "expired_keys_total": ("expired_keys", "Keys whose time was over"),
}


class RedisProbes:
    """Asks Redis for its figures. Connects with the first scrape.

    Args:
        settings: Where Redis is.
    """

    def __init__(self, settings: RedisSettings) -> None:
        self._settings = settings
        self._client = make_client(settings)
        self._info: Shared[Mapping[str, Any]] = Shared(self._ask, _KEPT_SECONDS)

    def ping(self) -> None:
        """Returns when Redis answers, or has a moment ago.

        Raises:
            StoreUnavailableError: It is away.
        """
        self._info.get()

    def probes(self) -> tuple[Probe, ...]:
        """What is measured at each scrape, by one command."""
        gauges = (
            Probe(name=f"marketstream_redis_{name}", documentation=text, label=None, read=self._figure({"": field}))
            for name, (field, text) in _GAUGES.items()
        )
        counters = (
            Probe(
                name=f"marketstream_redis_{name}",
                documentation=text,
                label=None,
                read=self._figure({"": field}),
                kind="counter",
            )
            for name, (field, text) in _COUNTERS.items()
        )
        lookups = Probe(
            name="marketstream_redis_lookups_total",
            documentation="Keys looked up, found or not",
            label="outcome",
            read=self._figure({"hit": "keyspace_hits", "miss": "keyspace_misses"}),
            kind="counter",
        )
        keys = Probe(name="marketstream_redis_keys", documentation="Keys of the cache", label=None, read=self._keys)
        return (*gauges, *counters, lookups, keys)

    def _ask(self) -> Mapping[str, Any]:
        with redis_errors(self._settings):
            answer: Mapping[str, Any] = self._client.info()
            return answer

    def _figure(self, fields: Mapping[str, str]) -> Callable[[], Mapping[str, float]]:
        return lambda: {label: float(self._info.get()[field]) for label, field in fields.items()}

    def _keys(self) -> Mapping[str, float]:
        database = self._info.get().get(f"db{self._settings.database}", {"keys": 0})  # an empty one is not told of
        return {"": float(database["keys"])}

"""Which stores answer, and what PostgreSQL and Redis say of themselves. Reads: the three stores' own statistics."""

from collections.abc import Callable, Mapping, Sequence

import httpx

from marketstream.domain.errors import MarketstreamError, StoreUnavailableError
from marketstream.observability.exporter import STORE_UP, Probe
from marketstream.observability.shared import Shared
from marketstream.settings import InfluxSettings, Settings
from marketstream.storage.redis.probes import RedisProbes
from marketstream.storage.timescale.probes import PostgresProbes

_WAIT_SECONDS = 2.0
_KEPT_SECONDS = 4.0  # less than between two scrapes


def store_probes(settings: Settings, symbols: Sequence[str]) -> tuple[Probe, ...]:
    """What the stores tell at each scrape. Connects to none before the first.

    Args:
        settings: Where they are.
        symbols: Whose freshness is told.
    """
    postgres, redis = PostgresProbes(settings.postgres, symbols), RedisProbes(settings.redis)
    influx: Shared[None] = Shared(lambda: _ask_influx(settings.influx), _KEPT_SECONDS)
    answering = {"postgres": postgres.ping, "redis": redis.ping, "influxdb": influx.get}
    return (
        Probe(name=STORE_UP, documentation="1 where a store answers", label="store", read=lambda: _who(answering)),
        *postgres.probes(),
        *redis.probes(),
    )


def _who(answering: Mapping[str, Callable[[], None]]) -> Mapping[str, float]:
    return {store: float(_answers(ask)) for store, ask in answering.items()}


def _answers(ask: Callable[[], None]) -> bool:
    try:
        ask()
    except MarketstreamError:
        return False
    return True


def _ask_influx(settings: InfluxSettings) -> None:
    try:
        httpx.get(f"{settings.url}/health", timeout=_WAIT_SECONDS).raise_for_status()
    except httpx.HTTPError as error:
        raise StoreUnavailableError(f"InfluxDB at {settings.url}: {error}") from error

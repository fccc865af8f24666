"""The writers' processes: each a consumer group of its own, so that a store that is away stops nobody else.

Reads: `tick_data`, `aggregated_data_*`, `provider_bars`, `technical_indicators`, `quote_data`, `feed_events`,
`trade_cancels`.
Writes: `dead_letter_queue`, and what each store's writer names.
"""

import signal
from collections.abc import Sequence
from functools import partial
from threading import Event
from types import FrameType

from marketstream.bus.admin import topic_ids
from marketstream.bus.consumer import KafkaSource
from marketstream.bus.publisher import KafkaPublisher
from marketstream.contracts import tables, topics
from marketstream.domain.conditions import RULES
from marketstream.ports import Writer
from marketstream.settings import Settings
from marketstream.storage.service import Chore, Flush, WriterService

_DAY_SECONDS = 86_400.0
_FETCH_SECONDS_MAX = 0.1
_FETCH_BYTES = 128 * 1024


def run_redis(settings: Settings) -> None:
    """Topics to Redis, at once."""
    from marketstream.storage.redis.writer import RedisWriter

    identities = partial(topic_ids, settings.kafka.bootstrap_servers)
    read = (*input_topics(settings), topics.QUOTES, topics.CANCELS)
    writer = RedisWriter(settings.redis, read, identities, RULES[settings.streaming.trade_conditions])
    _run(settings, writer, read, settings.writers.redis_flush_seconds)


def run_timescale(settings: Settings) -> None:
    """Topics to PostgreSQL, and its retention once a day."""
    from marketstream.storage.timescale.writer import TimescaleWriter

    writer = TimescaleWriter(settings.postgres)
    keep_days = {
        tables.TICKS: settings.writers.tick_retention_days,
        tables.BARS: settings.writers.retention_days,
        tables.INDICATORS: settings.writers.retention_days,
        tables.FEED_EVENTS: tables.FEED_EVENT_DAYS,
    }
    retention = Chore("retention", _DAY_SECONDS, partial(writer.apply_retention, keep_days))
    read = (*input_topics(settings), topics.FEED_EVENTS, topics.CANCELS)
    _run(settings, writer, read, settings.writers.timescale_flush_seconds, [retention])


def run_influx(settings: Settings) -> None:
    """Topics to InfluxDB."""
    from marketstream.storage.influx.writer import InfluxWriter

    writer = InfluxWriter(settings.influx)
    _run(settings, writer, input_topics(settings), settings.writers.influx_flush_seconds)


def input_topics(settings: Settings) -> tuple[str, ...]:
    """What every writer reads."""
    return (topics.TICKS, *map(topics.bars_topic, settings.intervals), topics.PROVIDER_BARS, topics.INDICATORS)


def _run(
    settings: Settings, writer: Writer, read: tuple[str, ...], flush_seconds: float, chores: Sequence[Chore] = ()
) -> None:
    stop = Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    # Handing over every message at once would cost the broker a request for each.
    gathered_by_broker = min(flush_seconds, _FETCH_SECONDS_MAX)
    source = KafkaSource(
        settings.kafka.bootstrap_servers,
        writer.name,
        read,
        fetch_wait_ms=max(1, round(gathered_by_broker * 1_000)),
        fetch_min_bytes=_FETCH_BYTES,
    )
    WriterService(
        source,
        writer,
        KafkaPublisher(settings.kafka.bootstrap_servers),
        Flush(settings.writers.max_messages, flush_seconds - gathered_by_broker),
        stop,
        chores,
    ).run()

"""Kafka topic names and their settings. Every topic is keyed by symbol, snappy-compressed and kept for 7 days."""

from marketstream.domain.interval import Interval

TICKS = "tick_data"
QUOTES = "quote_data"
CANCELS = "trade_cancels"
PROVIDER_BARS = "provider_bars"
DEAD_LETTERS = "dead_letter_queue"
DEAD_LETTER_MARKS = "dead_letter_marks"
FEED_EVENTS = "feed_events"
ALERTS = "alerts"
BARS_PREFIX = "aggregated_data_"
INDICATORS = "technical_indicators"
SIGNALS = "signals"
ANOMALIES = "anomalies"
QUERY_WAKES = "query_wakes"

# What the producer writes.
INGEST_TOPICS = (TICKS, QUOTES, CANCELS, PROVIDER_BARS, DEAD_LETTERS, FEED_EVENTS, ALERTS)

RETENTION_MS = 7 * 24 * 3_600 * 1_000


def bars_topic(interval: Interval) -> str:
    """The topic that carries bars of one interval, such as `aggregated_data_5min`."""
    return f"{BARS_PREFIX}{interval.name}"


def all_topics(intervals: tuple[Interval, ...]) -> tuple[str, ...]:
    """Every topic the platform needs for these bar intervals."""
    return (*INGEST_TOPICS, DEAD_LETTER_MARKS, *map(bars_topic, intervals), INDICATORS, QUERY_WAKES)

"""Names that other programs rely on."""

from marketstream.contracts import cache_keys
from marketstream.contracts.topics import all_topics, bars_topic
from marketstream.domain.interval import Interval


def test_topics_are_named_by_interval() -> None:
    intervals = tuple(map(Interval.parse, ("10s", "1min", "15min")))
    assert all_topics(intervals) == (
        "tick_data",
        "quote_data",
        "trade_cancels",
        "provider_bars",
        "dead_letter_queue",
        "feed_events",
        "alerts",
        "dead_letter_marks",
        "aggregated_data_10s",
        "aggregated_data_1min",
        "aggregated_data_15min",
        "technical_indicators",
        "query_wakes",
    )
    assert bars_topic(Interval.parse("300s")) == "aggregated_data_5min"


def test_cache_keys() -> None:
    assert cache_keys.latest_price("IBM") == "latest_price:IBM"
    assert cache_keys.ticks("IBM") == "ticks:IBM"
    assert cache_keys.bar("IBM", "5min") == "aggregated:IBM:5min"
    assert cache_keys.message_count("IBM") == "message_count:IBM"
    assert cache_keys.latest_quote("IBM") == "latest_quote:IBM"
    assert cache_keys.indicators("IBM") == "indicators:IBM"

"""System health: is everything well, how late is what is shown, where is the time spent."""

from grafana.generator.board import Board, Row
from grafana.generator.panels import BAD, FAIR, go, lines, number
from grafana.generator.queries import flux, prom

LATENCY = """
from(bucket: v.defaultBucket)
  |> range(start: v.timeRangeStart, stop: v.timeRangeStop)
  |> filter(fn: (r) => r._measurement == "latency_metrics" and r._field == "p99_ms")
  |> aggregateWindow(every: v.windowPeriod, fn: max, createEmpty: false)
"""

_NOW = Row(
    "Now",
    [
        number(
            "Age of the newest tick",
            "s",
            prom("min(marketstream_last_tick_age_seconds)", "age"),
            steps=[(10, FAIR), (60, BAD)],
            about="By the broker's clock; a closed market is silent too.",
        ).links([go("feeds", "Feeds")]),
        number("Ticks a second", "cps", prom("marketstream:ticks_published:rate1m", "ticks")).links(
            [go("feeds", "Feeds")]
        ),
        number(
            "Messages behind",
            "short",
            prom("max(marketstream_consumer_lag_messages)", "behind"),
            steps=[(1_000, FAIR), (10_000, BAD)],
            about="Of the consumer group that is furthest behind.",
        ).links([go("kafka", "Kafka")]),
        number(
            "Processes", "short", prom("sum(marketstream_up)", "up"), about="The platform's own, Spark's jobs included."
        ),
        number(
            "Alerts",
            "short",
            prom('count(ALERTS{alertstate="firing", severity!="none"}) or vector(0)', "firing"),
            steps=[(1, BAD)],
        ).links([go("alerts", "Alerts")]),
        number(
            "Disk left",
            "percentunit",
            prom("1 - min(marketstream_disk_free_bytes / marketstream_disk_size_bytes)", "taken"),
            steps=[(0.8, FAIR), (0.9, BAD)],
            about="How much of the disk under the data directory is taken.",
        ),
    ],
)
_LATENCY = Row(
    "Latency, stage by stage",
    [
        lines(
            "Received → Kafka, p99",
            "s",
            "since the trade was received",
            prom("kind:marketstream_received_to_kafka_seconds:p99", "{{kind}}"),
            about="Ticks, provisional bars and indicators. Final bars wait for trades that may be late.",
        ).links([go("streaming", "Streaming")]),
        lines(
            "Kafka → store, p99",
            "s",
            "since the message was on Kafka",
            prom("writer:marketstream_kafka_to_store_seconds:p99", "{{writer}}"),
        ).links([go("databases", "Databases")]),
        lines(
            "Received → WebSocket client, p99",
            "s",
            "since the trade was received",
            prom("channel:marketstream_websocket_delivery_seconds:p99", "{{channel}}"),
        ).links([go("serving", "Serving")]),
        lines(
            "Median of each stage",
            "s",
            "seconds",
            prom("kind:marketstream_received_to_kafka_seconds:p50", "{{kind}} on Kafka"),
            prom("writer:marketstream_kafka_to_store_seconds:p50", "{{writer}}"),
            prom("channel:marketstream_websocket_delivery_seconds:p50", "{{channel}} at the client"),
        ),
        lines(
            "As InfluxDB was told, p99",
            "ms",
            "milliseconds since the trade was received",
            flux(LATENCY),
            about="Every message of each batch that its writer stored, not a sample.",
        ),
        lines(
            "Trades ahead of the bars",
            "s",
            "seconds",
            prom("max(marketstream_bars_behind_seconds)", "at most"),
            about="How much later a symbol's newest trade was received than those in its bars.",
        ).links([go("streaming", "Streaming")]),
    ],
)
_WELL = Row(
    "What answers",
    [
        lines("Processes", "short", "running", prom("sum by (process) (marketstream_up)", "{{process}}"), stacked=True),
        lines("Stores", "short", "1 where it answers", prom("min by (store) (marketstream_store_up)", "{{store}}")),
        lines(
            "Scraped",
            "short",
            "1 where it answers",
            prom("up", "{{job}} {{query}} {{instance}}"),
            prom("count(marketstream_probe_success == 0) or vector(0)", "figures that can't be measured"),
        ),
        lines(
            "Trades stored, age of the newest",
            "s",
            "seconds",
            prom("topk(20, time() - marketstream_symbol_newest_trade_timestamp_seconds)", "{{symbol}}"),
            about="The twenty symbols whose newest stored trade is oldest.",
        ).links([go("market", "Market")]),
        lines(
            "Disk",
            "bytes",
            "bytes",
            prom("max(marketstream_disk_free_bytes)", "free"),
            prom("max(marketstream_disk_size_bytes)", "size"),
        ),
        lines(
            "Access",
            "cps",
            "a second",
            prom(
                "sum by (part, reason) (rate(marketstream_access_refused_total[$__rate_interval]))",
                "{{part}}: {{reason}}",
            ),
            prom("sum(marketstream_audit_waiting_entries)", "audit entries waiting"),
        ),
    ],
)
BOARD = Board("System health", "Is everything well, and how late is what is shown?", [_NOW, _LATENCY, _WELL])

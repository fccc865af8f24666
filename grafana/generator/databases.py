"""Databases: what the writers store and how fast, and how PostgreSQL, Redis and InfluxDB do."""

from grafana.generator.board import Board, Row, of_prometheus
from grafana.generator.panels import BAD, FAIR, go, grid, lines, number
from grafana.generator.queries import flux, prom, sql

STEP = "15s"  # how often InfluxDB is asked
W = 'writer=~"$writer"'
POINTS = """
from(bucket: v.defaultBucket)
  |> range(start: v.timeRangeStart, stop: v.timeRangeStop)
  |> filter(fn: (r) => r._measurement == "latency_metrics" and r._field == "count")
  |> group(columns: ["stage"])
  |> aggregateWindow(every: v.windowPeriod, fn: sum, createEmpty: false)
"""
_NOW = Row(
    "Now",
    [
        number("PostgreSQL", "short", prom('min(marketstream_store_up{store="postgres"})', "answers")),
        number("Redis", "short", prom('min(marketstream_store_up{store="redis"})', "answers")),
        number("InfluxDB", "short", prom('min(marketstream_store_up{store="influxdb"})', "answers")),
        number(
            "PostgreSQL's connections",
            "percentunit",
            prom("sum(marketstream_database_connections) / max(marketstream_database_connections_max)", "taken"),
            steps=[(0.7, FAIR), (0.9, BAD)],
        ),
        number(
            "Found in PostgreSQL's memory",
            "percentunit",
            prom(
                'sum(rate(marketstream_database_blocks_total{source="hit"}[5m]))'
                " / sum(rate(marketstream_database_blocks_total[5m]))",
                "hits",
            ),
        ),
        number(
            "Found in Redis",
            "percentunit",
            prom(
                'sum(rate(marketstream_redis_lookups_total{outcome="hit"}[5m]))'
                " / sum(rate(marketstream_redis_lookups_total[5m]))",
                "hits",
            ),
        ),
    ],
)
_WRITERS = Row(
    "Writers",
    [
        lines(
            "Stored",
            "cps",
            "messages a second",
            prom(f"sum by (writer) (rate(marketstream_written_total{{{W}}}[$__rate_interval]))", "{{writer}}"),
            prom(
                f"sum by (writer, reason) (rate(marketstream_skipped_total{{{W}}}[$__rate_interval]))",
                "{{writer}}, {{reason}}",
            ),
        ).links([go("kafka", "Kafka")]),
        lines(
            "Batch write, p99",
            "s",
            "seconds",
            prom(
                f"histogram_quantile(0.99, sum by (le, writer) (rate(marketstream_write_seconds_bucket{{{W}}}[1m])))",
                "{{writer}}",
            ),
        ),
        lines(
            "Kafka → store, p99",
            "s",
            "seconds",
            prom(f"writer:marketstream_kafka_to_store_seconds:p99{{{W}}}", "{{writer}}"),
        ),
        lines(
            "Failures",
            "short",
            "within 5 minutes",
            prom(f"sum by (writer) (increase(marketstream_write_failures_total{{{W}}}[5m]))", "{{writer}} failed"),
            prom(
                f"sum by (writer, topic) (increase(marketstream_undecodable_total{{{W}}}[5m]))",
                "{{writer}}: {{topic}} undecodable",
            ),
        ),
        lines(
            "Messages behind",
            "short",
            "messages",
            prom('max by (group) (marketstream_consumer_lag_messages{group=~".*-writer"})', "{{group}}"),
        ).links([go("kafka", "Kafka")]),
        lines("Stored, by InfluxDB's own count", "short", "messages", flux(POINTS)),
    ],
)
_POSTGRES = Row(
    "PostgreSQL",
    [
        lines(
            "Connections",
            "short",
            "sessions",
            prom("sum by (state) (marketstream_database_connections)", "{{state}}"),
            prom("max(marketstream_database_connections_max)", "at most"),
        ),
        lines(
            "Transactions",
            "cps",
            "a second",
            prom(
                "sum by (outcome) (rate(marketstream_database_transactions_total[$__rate_interval]))",
                "{{outcome}}",
                step=STEP,
            ),
        ),
        lines(
            "Blocks",
            "cps",
            "a second",
            prom(
                "sum by (source) (rate(marketstream_database_blocks_total[$__rate_interval]))", "{{source}}", step=STEP
            ),
        ),
        lines(
            "Size of tables",
            "bytes",
            "bytes",
            prom("sum by (table) (marketstream_table_bytes)", "{{table}}"),
            prom("max(marketstream_database_bytes)", "the database"),
            about="With indexes and partitions.",
        ),
        lines(
            "Rows of tables", "short", "rows, estimated", prom("sum by (table) (marketstream_table_rows)", "{{table}}")
        ),
        lines(
            "Partitions of tables",
            "short",
            "partitions or chunks",
            prom("sum by (table) (marketstream_table_partitions) > 0", "{{table}}"),
        ),
        lines(
            "Longest open transaction",
            "s",
            "seconds",
            prom("max(marketstream_database_longest_transaction_seconds)", "oldest"),
        ),
        lines(
            "Deadlocks",
            "short",
            "within 5 minutes",
            prom("sum(increase(marketstream_database_deadlocks_total[5m]))", "deadlocks"),
        ),
        lines(
            "Temporary files",
            "Bps",
            "bytes a second",
            prom("sum(rate(marketstream_database_temporary_bytes_total[$__rate_interval]))", "written", step=STEP),
            about="Sorts and joins that did not fit into work_mem.",
        ),
        grid(
            "Statements that take the time",
            sql(
                "select statement, calls, total_seconds, mean_seconds, rows"
                " from statement_times() order by total_seconds desc limit 30"
            ),
            units={"total_seconds": "s", "mean_seconds": "s"},
            about="Since the server's statistics were reset; values in statements are shown as $1.",
        ),
        grid(
            "Tables",
            sql("select name, bytes, rows_estimated, parts from table_sizes() order by bytes desc"),
            units={"bytes": "bytes"},
        ),
    ],
)
_REDIS = Row(
    "Redis",
    [
        lines(
            "Memory",
            "bytes",
            "bytes",
            prom("max(marketstream_redis_memory_bytes)", "data"),
            prom("max(marketstream_redis_memory_max_bytes)", "at most"),
        ),
        lines(
            "Commands",
            "cps",
            "a second",
            prom("sum(rate(marketstream_redis_commands_total[$__rate_interval]))", "commands"),
        ),
        lines(
            "Lookups",
            "cps",
            "a second",
            prom("sum by (outcome) (rate(marketstream_redis_lookups_total[$__rate_interval]))", "{{outcome}}"),
        ),
        lines("Keys", "short", "keys", prom("max(marketstream_redis_keys)", "keys")),
        lines(
            "Keys that went",
            "cps",
            "a second",
            prom("sum(rate(marketstream_redis_evicted_keys_total[$__rate_interval]))", "evicted"),
            prom("sum(rate(marketstream_redis_expired_keys_total[$__rate_interval]))", "expired"),
        ),
        lines("Clients", "short", "connections", prom("max(marketstream_redis_clients)", "clients")),
    ],
)
_INFLUX = Row(
    "InfluxDB",
    [
        lines(
            "Requests",
            "reqps",
            "a second",
            prom(
                "sum by (path, status) (rate(http_api_requests_total[$__rate_interval]))",
                "{{path}} {{status}}",
                step=STEP,
            ),
        ),
        lines(
            "Time of a request, mean",
            "s",
            "seconds",
            prom(
                "sum by (path) (rate(http_api_request_duration_seconds_sum[$__rate_interval]))"
                " / (sum by (path) (rate(http_api_request_duration_seconds_count[$__rate_interval])) > 0)",
                "{{path}}",
                step=STEP,
            ),
        ),
        lines("Size on disk", "bytes", "bytes", prom("sum(storage_shard_disk_size)", "shards", step=STEP)),
        lines("Series", "short", "series", prom("sum(storage_bucket_series_num)", "series", step=STEP)),
        lines(
            "Memory",
            "bytes",
            "bytes",
            prom('max(go_memstats_sys_bytes{job="influxdb"})', "of the system", step=STEP),
            prom("max(go_memstats_heap_inuse_bytes)", "heap", step=STEP),
        ),
        lines(
            "Points",
            "cps",
            "a second",
            prom("sum(rate(storage_shard_write_sum[$__rate_interval]))", "written", step=STEP),
            prom("sum(rate(storage_shard_write_dropped_sum[$__rate_interval]))", "dropped", step=STEP),
        ),
    ],
)
BOARD = Board(
    "Databases",
    "What the writers store and how fast, and how PostgreSQL, Redis and InfluxDB do.",
    [_NOW, _WRITERS, _POSTGRES, _REDIS, _INFLUX],
    [of_prometheus("writer", "Writer", "marketstream_written_total", "writer")],
)

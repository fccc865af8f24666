"""Streaming: the Spark queries, their bars and the closer, and the drivers' JVMs."""

from grafana.generator.board import Board, Row, of_prometheus
from grafana.generator.panels import BAD, FAIR, go, lines, number
from grafana.generator.queries import prom

STEP = "15s"  # how often the drivers' agents are asked
Q = 'query=~"$query"'
_NOW = Row(
    "Now",
    [
        number(
            "Messages behind",
            "short",
            prom(f"sum by (query) (marketstream_query_lag_messages{{{Q}}})", "{{query}}"),
            steps=[(5_000, FAIR), (50_000, BAD)],
        ).links([go("kafka", "Kafka")]),
        number(
            "Since the newest commit",
            "s",
            prom(f"time() - max by (query) (marketstream_query_progress_timestamp_seconds{{{Q}}})", "{{query}}"),
        ),
        number(
            "Committed every",
            "s",
            prom(f"max by (query, mode) (marketstream_query_trigger_seconds{{{Q}}})", "{{query}}, {{mode}}"),
        ),
        number(
            "Starts in an hour",
            "short",
            prom(f"sum by (query) (changes(marketstream_query_start_timestamp_seconds{{{Q}}}[1h]))", "{{query}}"),
            steps=[(3, BAD)],
        ),
        number("Bars not final", "short", prom("sum(marketstream_bars_open)", "open")),
        number("Final bars a minute", "short", prom("sum(increase(marketstream_bars_final_total[1m]))", "final")),
    ],
)
_BARS = Row(
    "Bars",
    [
        lines(
            "Final bars",
            "cps",
            "a second",
            prom(
                "sum by (interval, cause) (rate(marketstream_bars_final_total[$__rate_interval]))",
                "{{interval}} by {{cause}}",
            ),
        ),
        lines(
            "Final bars that changed",
            "short",
            "within 5 minutes",
            prom("sum(increase(marketstream_bars_reopened_total[5m]))", "reopened by a later trade"),
            prom("sum by (interval) (increase(marketstream_bars_corrected_total[5m]))", "{{interval}} corrected"),
        ),
        lines("Trades ahead of the bars", "s", "seconds", prom("max(marketstream_bars_behind_seconds)", "at most")),
        lines(
            "Received → Kafka, p99",
            "s",
            "seconds",
            prom('kind:marketstream_received_to_kafka_seconds:p99{kind=~"bar|final_bar|indicators"}', "{{kind}}"),
        ),
    ],
)
_QUERIES = Row(
    "Queries",
    [
        lines(
            "Lag by partition",
            "short",
            "messages",
            prom(
                f"max by (query, topic, partition) (marketstream_query_lag_messages{{{Q}}})",
                "{{query}}: {{topic}} {{partition}}",
            ),
        ),
        lines(
            "Rows",
            "cps",
            "a second",
            prom(
                f"sum by (query) (rate(marketstream_query_input_rows_total{{{Q}}}[$__rate_interval]))", "{{query}} came"
            ),
            prom(f"max by (query) (marketstream_query_processed_rows_per_second{{{Q}}})", "{{query}} could do"),
        ),
        lines(
            "Batch duration, mean by phase",
            "s",
            "seconds",
            prom(
                f"sum by (query, phase) (rate(marketstream_query_phase_seconds_total{{{Q}}}[1m]))"
                f" / on (query) group_left () sum by (query) (rate(marketstream_query_batches_total{{{Q}}}[1m]))",
                "{{query}} {{phase}}",
            ),
        ),
        lines("State", "short", "rows", prom(f"sum by (query) (marketstream_query_state_rows{{{Q}}})", "{{query}}")),
        lines(
            "State's memory",
            "bytes",
            "bytes",
            prom(f"sum by (query) (marketstream_query_state_bytes{{{Q}}})", "{{query}}"),
        ),
        lines(
            "Watermark's age",
            "s",
            "seconds",
            prom(f"time() - max by (query) (marketstream_query_watermark_timestamp_seconds{{{Q}}})", "{{query}}"),
        ),
        lines(
            "Rows dropped as late",
            "short",
            "within 5 minutes",
            prom(f"sum by (query) (increase(marketstream_query_late_rows_total{{{Q}}}[5m]))", "{{query}}"),
        ),
        lines(
            "Rows the query counts",
            "cps",
            "a second",
            prom(
                f"sum by (query, what) (rate(marketstream_query_observed_rows_total{{{Q}}}[$__rate_interval]))",
                "{{query}} {{what}}",
            ),
        ),
        lines(
            "Batch",
            "short",
            "number of the newest",
            prom(f"max by (query) (marketstream_query_batch_id{{{Q}}})", "{{query}}"),
        ),
    ],
)
_DRIVERS = Row(
    "Drivers",
    [
        lines(
            "Heap",
            "bytes",
            "bytes",
            prom(f'max by (query) (jvm_memory_used_bytes{{job="spark", area="heap", {Q}}})', "{{query}}", step=STEP),
        ),
        lines(
            "Processor",
            "percentunit",
            "cores",
            prom(f'rate(process_cpu_seconds_total{{job="spark", {Q}}}[$__rate_interval])', "{{query}}", step=STEP),
        ),
        lines(
            "Garbage collection",
            "percentunit",
            "share of the time",
            prom(
                f'sum by (query) (rate(jvm_gc_collection_seconds_sum{{job="spark", {Q}}}[$__rate_interval]))',
                "{{query}}",
                step=STEP,
            ),
        ),
        lines(
            "Threads",
            "short",
            "threads",
            prom(f'max by (query) (jvm_threads_current{{job="spark", {Q}}})', "{{query}}", step=STEP),
        ),
        lines(
            "Scheduler",
            "short",
            "jobs and stages",
            prom(f"max by (query) (spark_scheduler_activejobs{{{Q}}})", "{{query}} active jobs", step=STEP),
            prom(f"max by (query) (spark_scheduler_waitingstages{{{Q}}})", "{{query}} stages waiting", step=STEP),
            prom(f"max by (query) (spark_scheduler_failedstages{{{Q}}})", "{{query}} stages failed", step=STEP),
        ),
        lines(
            "Listeners' queues",
            "short",
            "events",
            prom(f"max by (query, queue) (spark_listener_queue_events{{{Q}}})", "{{query}} {{queue}}", step=STEP),
        ),
    ],
)
BOARD = Board(
    "Stream processing",
    "The Spark queries that make bars and indicators, and the closer that makes bars final.",
    [_NOW, _BARS, _QUERIES, _DRIVERS],
    [of_prometheus("query", "Query", "marketstream_query_trigger_seconds", "query")],
)

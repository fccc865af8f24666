"""Kafka: how far consumers are behind, what goes through which topic, and how the broker does."""

from grafana.generator.board import Board, Row, of_prometheus
from grafana.generator.panels import BAD, FAIR, go, lines, number
from grafana.generator.queries import prom

STEP = "15s"  # how often the broker's agent is asked
T, G = 'topic=~"$topic"', 'group=~"$group"'
_NOW = Row(
    "Now",
    [
        number(
            "Messages behind",
            "short",
            prom(f"max(marketstream_consumer_lag_messages{{{G}}})", "behind"),
            steps=[(1_000, FAIR), (10_000, BAD)],
        ),
        number(
            "Messages a second", "cps", prom(f"sum(rate(marketstream_topic_messages_total{{{T}}}[1m]))", "messages")
        ),
        number(
            "Under-replicated partitions",
            "short",
            prom("max(marketstream_under_replicated_partitions)", "partitions"),
            steps=[(1, BAD)],
        ),
        number(
            "Partitions without a leader",
            "short",
            prom("max(marketstream_offline_partitions)", "partitions"),
            steps=[(1, BAD)],
        ),
        number("Partitions", "short", prom("sum(marketstream_topic_partitions)", "partitions")),
        number(
            "Produce request, p99",
            "s",
            prom('max(kafka_request_seconds{request="Produce", quantile="0.99"})', "p99", step=STEP),
            steps=[(0.1, FAIR), (0.5, BAD)],
        ),
    ],
)
_FLOW = Row(
    "Consumers and topics",
    [
        lines(
            "Consumer lag",
            "short",
            "messages",
            prom(f"max by (group) (marketstream_consumer_lag_messages{{{G}}})", "{{group}}"),
        ).links([go("databases", "Databases")]),
        lines(
            "Lag of Spark's queries",
            "short",
            "messages",
            prom("sum by (query, topic) (marketstream_query_lag_messages)", "{{query}}: {{topic}}"),
        ).links([go("streaming", "Streaming")]),
        lines(
            "Messages",
            "cps",
            "a second",
            prom(f"sum by (topic) (rate(marketstream_topic_messages_total{{{T}}}[$__rate_interval]))", "{{topic}}"),
        ),
        lines(
            "Bytes in",
            "Bps",
            "a second",
            prom(f"sum by (topic) (rate(kafka_topic_bytes_in_total{{{T}}}[$__rate_interval]))", "{{topic}}", step=STEP),
        ),
        lines(
            "Bytes out",
            "Bps",
            "a second",
            prom(
                f"sum by (topic) (rate(kafka_topic_bytes_out_total{{{T}}}[$__rate_interval]))", "{{topic}}", step=STEP
            ),
        ),
        lines(
            "Size on disk",
            "bytes",
            "bytes",
            prom(f"sum by (topic) (kafka_log_size_bytes{{{T}}})", "{{topic}}", step=STEP),
        ),
        lines(
            "Messages, as the broker counts",
            "cps",
            "a second",
            prom(
                f"sum by (topic) (rate(kafka_topic_messages_in_total{{{T}}}[$__rate_interval]))", "{{topic}}", step=STEP
            ),
        ),
        lines(
            "Partitions",
            "short",
            "partitions",
            prom(f"sum by (topic) (marketstream_topic_partitions{{{T}}})", "{{topic}}"),
            stacked=True,
        ),
        lines(
            "Partitions in trouble",
            "short",
            "partitions",
            prom("max(kafka_under_replicated_partitions)", "under-replicated, says the broker", step=STEP),
            prom("max(kafka_offline_partitions)", "without a leader, says the broker", step=STEP),
            prom("max(marketstream_under_replicated_partitions)", "under-replicated"),
            prom("max(marketstream_offline_partitions)", "without a leader"),
        ),
    ],
)
_BROKER = Row(
    "The broker",
    [
        lines(
            "Time of a request",
            "s",
            "seconds",
            prom("max by (request, quantile) (kafka_request_seconds)", "{{request}} {{quantile}}", step=STEP),
            about="From the broker's receiving it to its answer. A fetch waits for messages on purpose.",
        ),
        lines(
            "Requests",
            "reqps",
            "a second",
            prom("sum by (request) (rate(kafka_requests_total[$__rate_interval]))", "{{request}}", step=STEP),
        ),
        lines("Requests that wait", "short", "requests", prom("max(kafka_request_queue)", "in the queue", step=STEP)),
        lines(
            "Memory",
            "bytes",
            "bytes",
            prom('max by (area) (jvm_memory_used_bytes{job="kafka"})', "{{area}}", step=STEP),
        ),
        lines(
            "Processor",
            "percentunit",
            "cores",
            prom('rate(process_cpu_seconds_total{job="kafka"}[$__rate_interval])', "cores", step=STEP),
        ),
        lines(
            "Garbage collection",
            "percentunit",
            "share of the time",
            prom(
                'sum by (gc) (rate(jvm_gc_collection_seconds_sum{job="kafka"}[$__rate_interval]))', "{{gc}}", step=STEP
            ),
        ),
        lines(
            "Time the agent takes",
            "s",
            "seconds",
            prom("max by (job, query) (jmx_scrape_duration_seconds)", "{{job}} {{query}}", step=STEP),
        ),
    ],
)
BOARD = Board(
    "Kafka",
    "How far consumers are behind, what goes through which topic, and how the broker does.",
    [_NOW, _FLOW, _BROKER],
    [
        of_prometheus("group", "Consumer group", "marketstream_consumer_lag_messages", "group"),
        of_prometheus("topic", "Topic", "marketstream_topic_partitions", "topic"),
    ],
)

"""Every Prometheus metric of the platform, in one place.

Processes write them as files under `PROMETHEUS_MULTIPROC_DIR` where that is set, and one exporter serves them all.
"""

from prometheus_client import Counter, Gauge, Histogram

TICKS_PUBLISHED = Counter("marketstream_ticks_published_total", "Ticks accepted and queued for Kafka", ["provider"])
REJECTED = Counter("marketstream_rejected_total", "Provider data refused", ["provider", "reason"])
DUPLICATES = Counter("marketstream_duplicate_ticks_total", "Ticks already seen, not published again", ["provider"])
CONNECTIONS = Counter("marketstream_provider_connections_total", "Connection attempts", ["provider", "outcome"])
REST_REQUESTS = Counter(
    "marketstream_provider_rest_requests_total", "REST requests to providers", ["provider", "outcome"]
)
FRAMES = Counter("marketstream_provider_frames_total", "Frames received", ["provider"])
BACKPRESSURE_SECONDS = Counter(
    "marketstream_backpressure_seconds_total", "Time the producer waited for Kafka", ["provider"]
)

GAPS = Counter("marketstream_feed_gaps_total", "Gaps found and what became of them", ["provider", "state"])
GAP_TRADES = Counter("marketstream_feed_gap_trades_total", "Trades missing from the stream", ["provider", "outcome"])
FEED_ROLE = Gauge(
    "marketstream_feed_active", "1 while trades are taken from this feed", ["provider"], multiprocess_mode="livemax"
)
FEED_LAG = Gauge(
    "marketstream_feed_lag_seconds",
    "How much later than at its best the feed's newest trades came",
    ["provider"],
    multiprocess_mode="livemax",
)
FEED_FAILURES = Gauge(
    "marketstream_feed_failures", "Failed connections in a row", ["provider"], multiprocess_mode="livemax"
)
SWITCHES = Counter("marketstream_feed_switches_total", "Times this feed took over", ["provider", "kind"])

BARS_FINAL = Counter(
    "marketstream_bars_final_total", "Final bars published, and what made them final", ["interval", "cause"]
)
BARS_REOPENED = Counter("marketstream_bars_reopened_total", "Final bars that a later trade changed")
BARS_CORRECTED = Counter(
    "marketstream_bars_corrected_total", "Final bars from which cancelled trades were taken out", ["interval"]
)
CANCELS_UNMATCHED = Gauge(
    "marketstream_cancels_unmatched", "Cancels whose trade was never stored", multiprocess_mode="livemax"
)
BARS_OPEN = Gauge("marketstream_bars_open", "Bars that are not final", multiprocess_mode="livesum")
BARS_BEHIND = Gauge(
    "marketstream_bars_behind_seconds",
    "How much later than the trades in its bars a symbol's newest trade was received, at most",
    multiprocess_mode="livemax",
)

QUERY_START = Gauge(
    "marketstream_query_start_timestamp_seconds",
    "When the Spark query was last started",
    ["query"],
    multiprocess_mode="livemax",
)
QUERY_TRIGGER = Gauge(
    "marketstream_query_trigger_seconds",
    "How often the query is to commit: a micro-batch's interval, or real-time mode's checkpoint interval",
    ["query", "mode"],
    multiprocess_mode="livemax",
)
QUERY_BATCH = Gauge("marketstream_query_batch_id", "Newest batch committed", ["query"], multiprocess_mode="livemax")
QUERY_PROGRESS = Gauge(
    "marketstream_query_progress_timestamp_seconds",
    "When the newest batch was committed, or a trigger found nothing; before either, when the query was started",
    ["query"],
    multiprocess_mode="livemax",
)
QUERY_LAG = Gauge(
    "marketstream_query_lag_messages",
    "Messages of the source that the query has not taken",
    ["query", "topic", "partition"],
    multiprocess_mode="livemax",
)
QUERY_INPUT_ROWS = Counter("marketstream_query_input_rows_total", "Rows read in committed batches", ["query"])
QUERY_PROCESSED_RATE = Gauge(
    "marketstream_query_processed_rows_per_second",
    "Rows of the newest batch by the time it took",
    ["query"],
    multiprocess_mode="livemax",
)
QUERY_BATCHES = Counter("marketstream_query_batches_total", "Batches committed", ["query"])
QUERY_PHASE_SECONDS = Counter(
    "marketstream_query_phase_seconds_total", "Time spent in each phase of committed batches", ["query", "phase"]
)
QUERY_STATE_ROWS = Gauge("marketstream_query_state_rows", "Rows of state", ["query"], multiprocess_mode="livemax")
QUERY_STATE_BYTES = Gauge(
    "marketstream_query_state_bytes", "Memory that the state takes", ["query"], multiprocess_mode="livemax"
)
QUERY_LATE_ROWS = Counter(
    "marketstream_query_late_rows_total", "Rows that came behind the watermark and were dropped", ["query"]
)
QUERY_OBSERVED_ROWS = Counter(
    "marketstream_query_observed_rows_total",
    "Rows that the query itself counts, such as undecodable",
    ["query", "what"],
)
QUERY_WATERMARK = Gauge(
    "marketstream_query_watermark_timestamp_seconds",
    "The watermark, of a query that has one",
    ["query"],
    multiprocess_mode="livemax",
)

WRITTEN = Counter("marketstream_written_total", "Messages stored", ["writer", "topic"])
WRITE_SECONDS = Histogram(
    "marketstream_write_seconds",
    "Duration of one batch write",
    ["writer"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
WRITE_FAILURES = Counter("marketstream_write_failures_total", "Batch writes that failed and are retried", ["writer"])
SKIPPED = Counter("marketstream_skipped_total", "Messages a writer had no need to store", ["writer", "reason"])
UNDECODABLE = Counter(
    "marketstream_undecodable_total", "Messages that don't fit their topic's schema", ["writer", "topic"]
)

_PATH_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120)
RECEIVED_TO_KAFKA_SECONDS = Histogram(
    "marketstream_received_to_kafka_seconds",
    "From the socket a trade was received on to what came of it being on Kafka; an even sample of each batch stored",
    ["kind"],
    buckets=_PATH_BUCKETS,
)
KAFKA_TO_STORE_SECONDS = Histogram(
    "marketstream_kafka_to_store_seconds",
    "From a message being on Kafka to its being stored; an even sample of each batch",
    ["writer"],
    buckets=_PATH_BUCKETS,
)

REQUESTS = Counter("marketstream_requests_total", "HTTP requests", ["route", "method", "status"])
REQUEST_SECONDS = Histogram(
    "marketstream_request_seconds",
    "Duration of one HTTP request",
    ["route"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
)
ACCESS_REFUSED = Counter(
    "marketstream_access_refused_total", "Requests of somebody who may not, and why", ["part", "reason"]
)
AUDIT_WAITING = Gauge(
    "marketstream_audit_waiting_entries", "Audit entries that could not be stored yet", multiprocess_mode="livesum"
)
CACHE_READS = Counter("marketstream_cache_reads_total", "Reads answered by the cache or not", ["outcome"])

WEBSOCKET_CLIENTS = Gauge("marketstream_websocket_clients", "Open connections", multiprocess_mode="livesum")
WEBSOCKET_SUBSCRIPTIONS = Gauge(
    "marketstream_websocket_subscriptions",
    "Symbols subscribed to, by channel",
    ["channel"],
    multiprocess_mode="livesum",
)
WEBSOCKET_QUEUED = Gauge(
    "marketstream_websocket_queued_updates", "Updates that wait for slow clients", multiprocess_mode="livesum"
)
WEBSOCKET_LONGEST_QUEUE = Gauge(
    "marketstream_websocket_longest_queue_updates",
    "Updates that wait for the client with the most",
    multiprocess_mode="livemax",
)
WEBSOCKET_SENT = Counter("marketstream_websocket_updates_total", "Updates sent, each client's counted", ["channel"])
WEBSOCKET_LEFT_OUT = Counter(
    "marketstream_websocket_left_out_total",
    "Updates not sent: dropped for a slow client, or overtaken by a newer one (conflated)",
    ["channel", "why"],
)
WEBSOCKET_ENDED = Counter("marketstream_websocket_ended_total", "Connections this side ended", ["reason"])
WEBSOCKET_REFUSED = Counter("marketstream_websocket_refused_total", "Requests answered with an error", ["code"])
WEBSOCKET_RESUMES = Counter("marketstream_websocket_resumes_total", "Connections resumed, or not", ["outcome"])
WEBSOCKET_DELIVERY_SECONDS = Histogram(
    "marketstream_websocket_delivery_seconds",
    "From the socket a trade was received on until the last client of its update has been written to",
    ["channel"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.25, 0.5, 1, 2.5, 10),
)

GRAPHQL_CONNECTIONS = Gauge("marketstream_graphql_connections", "Open GraphQL WebSockets", multiprocess_mode="livesum")
GRAPHQL_REFUSED = Counter("marketstream_graphql_refused_total", "Documents that asked too much, by what", ["what"])

UP = Gauge("marketstream_up", "1 while the process runs", ["process"], multiprocess_mode="livesum")

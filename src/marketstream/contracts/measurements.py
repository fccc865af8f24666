"""Names of the InfluxDB measurements."""

TICKS = "tick_metrics"
BARS = "aggregated_metrics"
LATENCY = "latency_metrics"

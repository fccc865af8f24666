"""Names of the InfluxDB measurements."""

TICKS = "tick_metrics"
BARS = "aggregated_metrics"
INDICATORS = "technical_indicators"
LATENCY = "latency_metrics"

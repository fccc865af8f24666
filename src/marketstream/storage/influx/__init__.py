"""InfluxDB: ticks, bars and the platform's own latencies, for Grafana."""

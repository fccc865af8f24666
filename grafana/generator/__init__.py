"""Writes Grafana's dashboards. `python -m grafana.generator` from the checkout's root; `--check` only compares."""

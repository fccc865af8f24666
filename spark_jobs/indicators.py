"""Bars to indicators: `aggregated_data_*` → `technical_indicators`. Start it with `make submit JOB=indicators`."""

from marketstream.bootstrap import BarArchive, observed
from marketstream.observability.logs import configure_logs
from marketstream.settings import load_settings
from marketstream.streaming.indicators_job import run_indicators

if __name__ == "__main__":
    settings = load_settings()
    configure_logs(settings.log_level, settings.log_format)
    with observed("indicators", settings):
        run_indicators(settings, BarArchive(settings.postgres))

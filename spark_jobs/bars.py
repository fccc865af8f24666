"""Ticks to bars: `tick_data` → `aggregated_data_*`. Start it with `make submit JOB=bars` or with spark-submit."""

from marketstream.bootstrap import observed
from marketstream.observability.logs import configure_logs
from marketstream.settings import load_settings
from marketstream.streaming.job import run_bars

if __name__ == "__main__":
    settings = load_settings()
    configure_logs(settings.log_level, settings.log_format)
    with observed("bars", settings):
        run_bars(settings)

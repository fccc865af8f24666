"""Topics to the Parquet data lake: `make submit JOB=archive`, with ARGS=--once to end when all there is is archived."""

from typing import Annotated

import typer

from marketstream.bootstrap import observed
from marketstream.observability.logs import configure_logs
from marketstream.settings import load_settings
from marketstream.streaming.archive_job import run_archive


def main(
    once: Annotated[bool, typer.Option(help="End when everything is archived that is there now.")] = False,
) -> None:
    """Archives ticks, cancels and bars."""
    settings = load_settings()
    configure_logs(settings.log_level, settings.log_format)
    with observed("archive", settings):
        run_archive(settings, once=once)


if __name__ == "__main__":
    typer.run(main)

"""Trades to bars again, for any range: `make submit JOB=rebuild ARGS="--from 2026-01-30 --to 2026-01-31"`."""

from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console

from marketstream.bootstrap import build_rebuild_stores
from marketstream.clock import SystemClock
from marketstream.commands.rebuild_views import show_report
from marketstream.commands.times import TIME_HELP, parse_time
from marketstream.domain.interval import Interval
from marketstream.observability.logs import configure_logs
from marketstream.settings import load_settings
from marketstream.streaming.rebuild import RebuildRequest
from marketstream.streaming.rebuild_job import run_rebuild


class Source(StrEnum):
    """Where trades are taken from."""

    LAKE = "lake"
    TABLE = "table"


def main(
    start: Annotated[str, typer.Option("--from", help=f"Bars that end after this. {TIME_HELP}")],
    end: Annotated[str, typer.Option("--to", help="Bars that start before this.")] = "now",
    symbols: Annotated[str, typer.Option(help="Separated by commas; everybody's without it.")] = "",
    intervals: Annotated[str, typer.Option(help="Separated by commas; the configured ones without it.")] = "",
    source: Annotated[Source, typer.Option(help="Where trades are taken from.")] = Source.LAKE,
    repair: Annotated[bool, typer.Option("--repair", help="Put right what differs.")] = False,
    drop_trades: Annotated[
        bool, typer.Option("--drop-trades", help="Also take trades out of bars that the source does not have.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask before trades are taken out of bars.")] = False,
) -> None:
    """Recomputes bars and compares the stores with them; exit code 1 where something differs and was not repaired."""
    settings = load_settings()
    configure_logs(settings.log_level, settings.log_format)
    now_us = SystemClock().now_us
    request = RebuildRequest(
        start_us=parse_time(start, now_us),
        end_us=parse_time(end, now_us),
        symbols=tuple(part.strip().upper() for part in symbols.split(",") if part.strip()),
        intervals=tuple(map(Interval.parse, intervals.split(","))) if intervals else settings.intervals,
        source=source.value,
        repair=repair,
        drop_trades=drop_trades,
    )
    if repair and drop_trades and not yes:
        place = settings.lake_url if source is Source.LAKE else "tick_data"
        typer.echo(f"What {place} does not have is taken out of the bars of every store, and no replay brings it back.")
        typer.confirm("Does it have all trades of that time?", abort=True)
    report = run_rebuild(settings, request, build_rebuild_stores(settings))
    show_report(report, request, Console())
    if not report.clean:
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)

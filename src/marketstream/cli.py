"""The `marketstream` command."""

import sys
from typing import Annotated

import typer
from rich.console import Console

from marketstream import bootstrap
from marketstream.commands import backfill, checkpoints, dead_letters, keys, lake
from marketstream.contracts import schema_files
from marketstream.domain.errors import MarketstreamError
from marketstream.launch import commands
from marketstream.observability.logs import configure_logs
from marketstream.settings import load_settings

app = typer.Typer(no_args_is_help=True, help="Real-time market data, from a provider's socket to the screen.")
commands.register(app)
dead_letters.register(app)
backfill.register(app)
lake.register(app)
checkpoints.register(app)
keys.register(app)


@app.command()
def run(process: Annotated[str, typer.Argument(help=f"One of: {', '.join(bootstrap.PROCESSES)}")]) -> None:
    """Runs one of the platform's processes in the foreground."""
    if process not in bootstrap.PROCESSES:
        raise typer.BadParameter(f"{process!r} is none of {', '.join(bootstrap.PROCESSES)}")
    settings = load_settings()
    configure_logs(settings.log_level, settings.log_format)
    with bootstrap.observed(process, settings):
        bootstrap.PROCESSES[process](settings)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def submit(
    context: typer.Context, job: Annotated[str, typer.Argument(help="A file in spark_jobs/, without .py")]
) -> None:
    """Runs a Spark job through spark-submit, on the master that the settings name; options after it are the job's."""
    bootstrap.submit_job(job, load_settings(), context.args)


@app.command("spark-master")
def spark_master() -> None:
    """Runs the master of a standalone Spark cluster in the foreground."""
    bootstrap.run_spark_master(load_settings())


@app.command("spark-worker")
def spark_worker() -> None:
    """Runs a worker of the standalone Spark cluster that the settings name, in the foreground."""
    bootstrap.run_spark_worker(load_settings())


@app.command("executor", hidden=True)
def spark_executor() -> None:
    """What Spark on Kubernetes starts in its pods."""
    bootstrap.run_spark_executor()


@app.command()
def topics() -> None:
    """Creates the Kafka topics that are missing."""
    created = bootstrap.create_topics(load_settings())
    Console().print(f"created {', '.join(created)}" if created else "every topic exists", highlight=False)


@app.command()
def migrate() -> None:
    """Brings the database's tables up to date, as their owner."""
    bootstrap.migrate(load_settings())
    Console().print("the tables are up to date", highlight=False)


@app.command()
def schemas(
    write: Annotated[bool, typer.Option(help="Bring the files up to date.")] = False,
    breaking: Annotated[bool, typer.Option(help="Let --write break those who read the topics.")] = False,
) -> None:
    """Compares the messages' models with the committed JSON Schemas; fails where they differ."""
    differences = schema_files.differences()
    console = Console()
    for difference in differences:
        reasons = f": {'; '.join(difference.breaks)}" if difference.breaks else ""
        console.print(f"{difference.topic}: {difference.change}{reasons}", highlight=False, soft_wrap=True)
    breaks = any(difference.change is schema_files.Change.BREAKING for difference in differences)
    differs = any(difference.change is not schema_files.Change.NONE for difference in differences)
    if write and (breaking or not breaks):
        schema_files.write()
    elif differs:
        raise typer.Exit(1)


def main() -> None:
    """Runs the command; errors of the platform's own are said in one line, without a traceback."""
    try:
        app()
    except MarketstreamError as error:
        Console(stderr=True).print(f"[bold red]error[/] {error}", highlight=False)
        sys.exit(1)

"""The `marketstream` command."""

import sys
from typing import Annotated

import typer
from rich.console import Console

from marketstream import bootstrap
from marketstream.domain.errors import MarketstreamError
from marketstream.observability.logs import configure_logs
from marketstream.settings import load_settings

app = typer.Typer(no_args_is_help=True, help="Real-time market data, from a provider's socket to the screen.")


@app.command()
def run(process: Annotated[str, typer.Argument(help=f"One of: {', '.join(bootstrap.PROCESSES)}")]) -> None:
    """Runs one of the platform's processes in the foreground."""
    if process not in bootstrap.PROCESSES:
        raise typer.BadParameter(f"{process!r} is none of {', '.join(bootstrap.PROCESSES)}")
    settings = load_settings()
    configure_logs(settings.log_level, settings.log_format)
    with bootstrap.observed(process, settings):
        bootstrap.PROCESSES[process](settings)


def main() -> None:
    """Runs the command; errors of the platform's own are said in one line, without a traceback."""
    try:
        app()
    except MarketstreamError as error:
        Console(stderr=True).print(f"[bold red]error[/] {error}", highlight=False)
        sys.exit(1)

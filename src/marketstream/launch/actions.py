"""What the commands that start, stop and show the platform do; `commands` gives them their names and options."""

import shutil
import sys
import time

import typer
from rich.console import Console

from marketstream.domain.errors import LaunchError
from marketstream.launch import compose, control
from marketstream.launch.daemon import supervise
from marketstream.launch.logfiles import follow as follow_logs
from marketstream.launch.logfiles import log_path, tail
from marketstream.launch.progress import progress
from marketstream.launch.state import RunFolder
from marketstream.launch.status import platform_status
from marketstream.launch.tables import status_table
from marketstream.observability.logs import configure_logs
from marketstream.settings import Settings, load_settings

_INTERRUPTED = 130
_LOG_WIDTH = 150  # where there is no terminal to ask


def up(*, foreground: bool) -> None:
    """Starts the platform and returns when it is healthy; changes nothing on one that runs."""
    console = _console()
    if compose.uses_compose(load_settings()):
        raise typer.Exit(compose.compose_up())
    settings = control.settings_with_secrets()
    folder = RunFolder(settings.data_dir)
    if folder.supervisor_pid() is not None:
        console.print("marketstream is already running", highlight=False)
        _wait_and_show(console, settings, None)
        return
    _feeds, findings = control.prepare_start(settings)
    for warning in findings.warnings:
        console.print(f"[yellow]note[/] {warning}", highlight=False)
    if foreground:
        configure_logs(settings.log_level, settings.log_format)
        supervise(settings)
    else:
        _start(console, settings)


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=_LOG_WIDTH)


def _start(console: Console, settings: Settings) -> None:
    folder = RunFolder(settings.data_dir)
    daemon = control.start_detached(folder)
    try:
        _wait_and_show(console, settings, daemon)
    except KeyboardInterrupt:
        console.print("stopping what was started")
        control.stop(folder)
        raise typer.Exit(_INTERRUPTED) from None


def _wait_and_show(console: Console, settings: Settings, daemon: control.Daemon | None) -> None:
    folder = RunFolder(settings.data_dir)
    began = time.monotonic()
    with progress(console, folder) as show:
        outcome = control.wait_until_settled(folder, daemon, show)
    if daemon is not None and any(map(control.is_foundation, outcome.failed)):
        control.stop(folder)
        lines = (f"\n  · {service.name}: {service.reason or service.last_ending}" for service in outcome.failed)
        raise LaunchError(f"the platform can't start, and was stopped again:{''.join(lines)}\n  logs: {folder.logs}")
    if daemon is not None:
        console.print(f"up in {time.monotonic() - began:.1f} s\n", highlight=False)
    report = platform_status(settings)
    console.print(status_table(report), highlight=False)
    if outcome.failed:
        raise typer.Exit(1)


def down() -> None:
    """Stops the platform; the data stays."""
    console = Console()
    settings = load_settings()
    folder = RunFolder(settings.data_dir)
    # Whatever runs natively is stopped, even where an engine has come up since.
    stopped = control.stop(folder)
    if not stopped and compose.uses_compose(settings):
        raise typer.Exit(compose.compose_down())
    console.print("stopped; the data is kept" if stopped else "marketstream is not running", highlight=False)


def status(*, as_json: bool) -> None:
    """Tells how every service is, asked now; exit code 1 unless all are well."""
    settings = load_settings()
    native = RunFolder(settings.data_dir).supervisor_pid() is not None
    if not native and compose.uses_compose(settings):
        raise typer.Exit(compose.compose_status(as_json=as_json))
    report = platform_status(settings)
    if as_json:
        typer.echo(report.model_dump_json(indent=2))
    else:
        _console().print(status_table(report), highlight=False)
    if not report.well:
        raise typer.Exit(1)


def logs(service: str | None, *, follow: bool, lines: int) -> None:
    """Shows what the services say."""
    settings = load_settings()
    folder = RunFolder(settings.data_dir)
    if not folder.logs.exists() and compose.uses_compose(settings):
        raise typer.Exit(compose.compose_logs(service, follow=follow, lines=lines))
    known = sorted(path.stem for path in folder.logs.glob("*.log"))
    if service is not None and service not in known:
        raise LaunchError(f"{service!r} has no log; these have: {', '.join(known) or 'none yet'}")
    paths = [log_path(folder.logs, name) for name in ([service] if service else known)]
    for path in paths:
        for line in tail(path, lines):
            _say(path.stem, line, prefixed=service is None)
    if follow:
        try:
            for path, line in follow_logs(paths):
                _say(path.stem, line, prefixed=service is None)
        except KeyboardInterrupt:
            raise typer.Exit from None


def _say(name: str, line: str, *, prefixed: bool) -> None:
    typer.echo(f"{name:>16} │ {line}" if prefixed else line)


def clean_data(*, yes: bool) -> None:
    """Removes all data, logs and passwords; refuses while the platform runs."""
    settings = load_settings()
    folder = RunFolder(settings.data_dir)
    if folder.supervisor_pid() is not None:
        raise LaunchError("the platform is running: `make down` first")
    if not folder.data_dir.exists() and compose.uses_compose(settings):
        raise typer.Exit(compose.compose_clean())
    if not folder.data_dir.exists():
        typer.echo(f"there is no data under {folder.data_dir}")
        return
    _refuse_foreign(folder)
    if not yes and not (sys.stdin.isatty() and typer.confirm(f"remove everything under {folder.data_dir}?")):
        raise LaunchError("nothing was removed; say --yes to remove without being asked")
    control.stop(folder)  # what a killed supervisor left would write into it
    shutil.rmtree(folder.data_dir)
    typer.echo(f"removed {folder.data_dir}")


def _refuse_foreign(folder: RunFolder) -> None:
    """A data directory set to a wrong path must not cost anyone their files."""
    own = {"run", "logs", "secrets.env", "admin.env"}
    if not own & {path.name for path in folder.data_dir.iterdir()}:
        raise LaunchError(f"{folder.data_dir} doesn't look like marketstream's data; nothing was removed")

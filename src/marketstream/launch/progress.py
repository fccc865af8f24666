"""Shows a start as it goes: a live table on a terminal, a line for every change elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from marketstream.launch.logfiles import log_path, tail
from marketstream.launch.service import Kind, State
from marketstream.launch.state import PlatformState, RunFolder, ServiceState

_MARKS = {
    State.UP: "[green]✓[/]",
    State.DONE: "[green]✓[/]",
    State.ABSENT: "[dim]-[/]",
    State.FAILED: "[bold red]✗[/]",
    State.RESTARTING: "[bold red]↻[/]",
    State.WAITING: "[dim]·[/]",
}
_DETAIL_CHARACTERS = 90
_LINE_SECONDS = 5.0


@contextmanager
def progress(console: Console, folder: RunFolder) -> Iterator[Callable[[PlatformState], None]]:
    """Gives what to call with every state seen."""
    if not console.is_terminal:
        yield _Lines(console, folder)
        return
    with Live(console=console, refresh_per_second=8, transient=True) as live:
        spinner = Spinner("dots", style="yellow")
        yield lambda state: live.update(_table(state, folder, spinner))


def _table(state: PlatformState, folder: RunFolder, spinner: Spinner) -> Table:
    table = Table.grid(padding=(0, 2))
    for service in state.services:
        mark = spinner if service.state in (State.STARTING, State.STOPPING) else _MARKS.get(service.state, "")
        took = "" if service.state in (State.WAITING, State.ABSENT) else _since(state, service)
        table.add_row(mark, service.name, service.state.value, took, Text(_detail(service, folder), style="dim"))
    return table


def _since(state: PlatformState, service: ServiceState) -> str:
    """Seconds it has been starting, or that the platform needed until it was up."""
    if service.state in (State.UP, State.DONE):
        return f"{service.since - state.started_at:.1f} s"
    return f"{time.time() - service.since:.0f} s"


def _detail(service: ServiceState, folder: RunFolder) -> str:
    if service.kind is Kind.STEP and service.state is State.STARTING:
        last = tail(log_path(folder.logs, service.name), 1)
        return last[0].strip()[:_DETAIL_CHARACTERS] if last else ""
    return service.reason[:_DETAIL_CHARACTERS]


class _Lines:
    """A line for every change, for logs and pipes; a long step's own progress only every few seconds."""

    def __init__(self, console: Console, folder: RunFolder) -> None:
        self._console = console
        self._folder = folder
        self._shown: dict[str, tuple[State, str, float]] = {}

    def __call__(self, state: PlatformState) -> None:
        for service in state.services:
            detail = _detail(service, self._folder)
            if service.state is not State.WAITING and self._news(service, detail):
                self._shown[service.name] = service.state, detail, time.monotonic()
                took = f" ({service.since - state.started_at:.1f} s)" if service.state in (State.UP, State.DONE) else ""
                line = f"{service.name}: {service.state.value}{took} {detail}".rstrip()
                self._console.print(line, highlight=False, markup=False, soft_wrap=True)

    def _news(self, service: ServiceState, detail: str) -> bool:
        state, said, when = self._shown.get(service.name, (State.WAITING, "", 0.0))
        return service.state is not state or (detail != said and time.monotonic() - when > _LINE_SECONDS)

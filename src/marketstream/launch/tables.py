"""Shows the platform's state to people."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from marketstream.launch.service import State
from marketstream.launch.status import PlatformStatus, ServiceStatus, first_to_open

_STYLES = {
    State.UP: "green",
    State.DONE: "green",
    State.STARTING: "yellow",
    State.WAITING: "dim",
    State.RESTARTING: "bold red",
    State.FAILED: "bold red",
    State.STOPPING: "yellow",
    State.ABSENT: "dim",
    State.DOWN: "dim",
}
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400


def status_table(status: PlatformStatus) -> RenderableType:
    """What runs, how it is, and where."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("service", "state", "address", "up for", "memory", "lag", "what to know"):
        right, last = name in ("up for", "memory", "lag"), name == "what to know"
        table.add_column(name, justify="right" if right else "left", no_wrap=not last, overflow="fold")
    for service in status.services:
        if service.state is State.ABSENT:
            continue
        table.add_row(
            service.name,
            state_text(service),
            service.address,
            duration(service.uptime_seconds),
            f"{service.memory_mb:.0f} MB" if service.memory_mb else "",
            "" if service.lag is None else f"{service.lag:,}",
            Text(remark(service), style="dim" if service.well else "red"),
        )
    return Group(table, Text(), *_footer(status))


def state_text(service: ServiceStatus) -> Text:
    """The state in its colour; one that is up but unwell says so."""
    if service.state is State.UP and not service.well:
        return Text("unhealthy", style="bold red")
    return Text(service.state.value, style=_STYLES[service.state])


def remark(service: ServiceStatus) -> str:
    """What is to be said about a service beyond its state."""
    parts = []
    if service.restarts:
        ago = duration(service.last_restart_seconds_ago)
        plural = "" if service.restarts == 1 else "s"
        parts.append(f"{service.restarts} restart{plural}, the last {ago} ago: {service.last_ending}")
    if service.health not in ("", "ok"):
        parts.append(service.health)
    if service.reason and service.reason != service.last_ending:
        parts.append(service.reason)
    return "; ".join(parts)


def duration(seconds: float | None) -> str:
    """A time span in at most two units."""
    if seconds is None:
        return ""
    if seconds < _MINUTE:
        return f"{seconds:.0f} s"
    if seconds < _HOUR:
        return f"{seconds // _MINUTE:.0f} min {seconds % _MINUTE:.0f} s"
    if seconds < _DAY:
        return f"{seconds // _HOUR:.0f} h {seconds % _HOUR // _MINUTE:.0f} min"
    return f"{seconds // _DAY:.0f} d {seconds % _DAY // _HOUR:.0f} h"


def _footer(status: PlatformStatus) -> list[RenderableType]:
    absent = [
        _line("absent", f"{service.name}: {service.reason}", style="dim")
        for service in status.services
        if service.state is State.ABSENT
    ]
    if not status.running:
        return [*absent, Text("marketstream is not running; `make up` starts it", style="bold"), *_left(status)]
    age = status.last_tick_age_seconds
    lines = [
        _line("feed", status.feed),
        _line("last tick", f"{duration(age)} ago" if age is not None else "none yet"),
        *absent,
    ]
    if status.changed_settings:
        changed = ", ".join(status.changed_settings)
        lines.append(_line("changed", f"{changed}; in force after `make down up`", style="yellow"))
    lines += [_line("open", address, f"  {title}") for title, address in first_to_open(status.services)]
    return list(lines)


def _left(status: PlatformStatus) -> list[RenderableType]:
    if not status.leftovers:
        return []
    pids = ", ".join(map(str, status.leftovers))
    return [Text(f"processes of an earlier run are left: {pids}; `make down` ends them", style="red")]


def _line(label: str, value: str, more: str = "", *, style: str = "") -> Text:
    return Text.assemble(f"{label:<11}", (value, style or ("bold cyan" if label == "open" else "")), more)

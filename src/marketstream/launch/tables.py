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
        table.add_column(name, justify="right" if name in ("up for", "memory", "lag") else "left", overflow="fold")
    for service in status.services:
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
    if not status.running:
        lines = [Text("marketstream is not running; `make up` starts it", style="bold")]
        if status.leftovers:
            pids = ", ".join(map(str, status.leftovers))
            lines.append(Text(f"processes of an earlier run are left: {pids}; `make down` ends them", style="red"))
        return list(lines)
    age = status.last_tick_age_seconds
    lines = [
        Text(f"feed       {status.feed}"),
        Text("last tick  " + (f"{duration(age)} ago" if age is not None else "none yet")),
    ]
    lines += [
        Text.assemble("open       ", (address, "bold cyan"), f"  {title}") for title, address in _openable(status)
    ]
    if status.changed_settings:
        changed = ", ".join(status.changed_settings)
        lines.append(Text(f"changed since the start, in force after `make down up`: {changed}", style="yellow"))
    return list(lines)


def _openable(status: PlatformStatus) -> list[tuple[str, str]]:
    return first_to_open(status.services)

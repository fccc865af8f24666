"""Fetches and builds ahead of time what the native start would: `python -m marketstream.launch.obtain`."""

import subprocess
import sys

from marketstream.launch.jars import KAFKA, SPARK, jars_present
from marketstream.launch.servers import Absent, Obtainable, Server, all_servers
from marketstream.settings import load_settings


def obtain_all() -> list[str]:
    """Gets what can be got, showing the progress; returns why the rest can't."""
    reasons = []
    if not (jars_present(KAFKA) and jars_present(SPARK)):
        reasons += _run("jars", [sys.executable, "-m", "marketstream.launch.jars"])
    for server in all_servers(load_settings()):
        reasons += _obtain(server)
    return reasons


def _obtain(server: Server) -> list[str]:
    availability = server.availability()
    if isinstance(availability, Obtainable):
        return _run(server.title, list(availability.command))
    if isinstance(availability, Absent):
        return [f"{server.title}: {availability.reason}"]
    _say(f"{server.title}: {availability.source}")
    return []


def _run(title: str, command: list[str]) -> list[str]:
    return [] if subprocess.run(command, check=False).returncode == 0 else [f"{title} can't be had, see above"]


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201  # its output is its progress


def main() -> None:
    """Gets everything; exit code 1 where something can't be had."""
    reasons = obtain_all()
    if reasons:
        sys.exit("\n".join(reasons))


if __name__ == "__main__":
    main()

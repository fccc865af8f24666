"""Runs one server for as long as a `with` block lasts: what tests and benchmarks use instead of the supervisor."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from marketstream.domain.errors import LaunchError
from marketstream.launch.guard import guarded
from marketstream.launch.servers.base import Absent, Obtainable, Server

_POLL_SECONDS = 0.1


@contextmanager
def running(server: Server, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Starts the server, waits until it is healthy and set up, and stops it however the block ends.

    Args:
        server: What to start.
        log: Where its output goes.

    Raises:
        LaunchError: It can't be had, died, or didn't become healthy in time; the message ends with its last output.
    """
    obtain(server)
    server.prepare()
    process = _start(server, log)
    try:
        _wait_until_healthy(server, process, log)
        server.after_start()
        yield process
    finally:
        stop_group(process, server.stop_signal, server.grace_seconds)


def obtain(server: Server) -> None:
    """Fetches or builds the server where that is still to be done.

    Raises:
        LaunchError: It can't be had here.
    """
    availability = server.availability()
    if isinstance(availability, Absent):
        raise LaunchError(f"{server.title} is not here: {availability.reason}")
    if isinstance(availability, Obtainable):
        outcome = subprocess.run(availability.command, capture_output=True, text=True, check=False)
        if outcome.returncode != 0:
            raise LaunchError(f"{availability.what} failed: {outcome.stderr.strip()}")


def stop_group(process: subprocess.Popen[bytes], stop_signal: signal.Signals, grace_seconds: float) -> None:
    """Asks the process to end, and after `grace_seconds` ends its whole group by force."""
    if process.poll() is None:
        process.send_signal(stop_signal)
        with suppress(subprocess.TimeoutExpired):
            process.wait(grace_seconds)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _start(server: Server, log: Path) -> subprocess.Popen[bytes]:
    if threading.current_thread() is not threading.main_thread():
        # The kernel ends a guarded child with the thread that started it, not with the process.
        raise LaunchError("servers are started from the main thread only")
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(
            guarded(server.command(), death_signal=server.death_signal, run_as=server.run_as),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **server.environment()},
            start_new_session=True,
        )


def _wait_until_healthy(server: Server, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + server.start_seconds
    while (fault := server.fault()) is not None:
        if process.poll() is not None:
            raise LaunchError(f"{server.title} ended with code {process.returncode}: {tail(log)}")
        if time.monotonic() > deadline:
            raise LaunchError(f"{server.title} isn't healthy after {server.start_seconds:g} s: {fault}; {tail(log)}")
        time.sleep(_POLL_SECONDS)


def tail(log: Path, lines: int = 5) -> str:
    """A log's last lines, in one."""
    if not log.exists():
        return "(no output)"
    return " | ".join(log.read_text(errors="replace").splitlines()[-lines:]) or "(no output)"

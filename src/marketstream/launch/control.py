"""Starts the platform detached and waits for it; stops it for good."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import psutil

from marketstream.domain.errors import LaunchError
from marketstream.launch.daemon import LOG_NAME
from marketstream.launch.feeds import Feeds, choose_feeds, remember_feeds
from marketstream.launch.leftovers import end_leftovers
from marketstream.launch.logfiles import log_path, open_log, tail
from marketstream.launch.plan import platform_services
from marketstream.launch.preflight import Findings, inspect_machine
from marketstream.launch.secrets import ensure_secrets
from marketstream.launch.service import SETTLED, Kind, State
from marketstream.launch.state import PlatformState, RunFolder, ServiceState
from marketstream.settings import Settings, load_settings

_POLL_SECONDS = 0.2
_STOP_SECONDS = 120.0
# A service that has been restarted this often without ever answering won't by itself.
_HOPELESS_RESTARTS = 4


Daemon = subprocess.Popen[bytes]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a start went: whether the supervisor still runs, and the services that keep others from being of use."""

    running: bool
    failed: tuple[ServiceState, ...]


def settings_with_secrets() -> Settings:
    """The settings, after the passwords have been generated where they were missing."""
    ensure_secrets(load_settings().data_dir)
    return load_settings()


def prepare_start(settings: Settings) -> tuple[Feeds, Findings]:
    """Ends what an earlier run left, chooses the feeds and looks the machine over.

    Raises:
        LaunchError: Something keeps the platform from starting; the message has all of it.
    """
    end_leftovers(settings.data_dir)
    feeds = choose_feeds(settings)
    findings = inspect_machine(platform_services(settings, feeds), settings.data_dir)
    if findings.problems:
        raise LaunchError("nothing was started:" + "".join(f"\n  · {problem}" for problem in findings.problems))
    remember_feeds(settings.data_dir, feeds)
    return feeds, findings


def start_detached(folder: RunFolder) -> Daemon:
    """Starts the supervisor in a session of its own, away from this terminal."""
    folder.state_file.unlink(missing_ok=True)
    with open_log(log_path(folder.logs, LOG_NAME)) as log:
        return subprocess.Popen(
            [sys.executable, "-m", "marketstream.launch.daemon"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, "MARKETSTREAM_DATA_DIR": str(folder.data_dir)},
            start_new_session=True,
        )


def wait_until_settled(folder: RunFolder, daemon: Daemon | None, show: Callable[[PlatformState], None]) -> Outcome:
    """Waits until every service is up, absent or hopeless.

    Args:
        folder: Where the supervisor publishes its state.
        daemon: The supervisor, if this process started it.
        show: Called with every state seen.

    Raises:
        LaunchError: The supervisor ended; the message has its last words.
    """
    while True:
        state = folder.read()
        if state is not None:
            if daemon is not None or _unsettled(state):  # nothing to watch where all stood before
                show(state)
            if all(service.state in SETTLED or _hopeless(service) for service in state.services):
                return Outcome(running=True, failed=tuple(filter(_hopeless, state.services)))
        if (daemon is not None and daemon.poll() is not None) or (daemon is None and folder.supervisor_pid() is None):
            words = " | ".join(tail(log_path(folder.logs, LOG_NAME), 3))
            raise LaunchError(f"the supervisor ended: {words}")
        time.sleep(_POLL_SECONDS)


def stop(folder: RunFolder) -> bool:
    """Stops everything and returns when no process is left; False if nothing ran."""
    pid = folder.supervisor_pid()
    if pid is not None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        _wait_for_end(folder, pid)
    return end_leftovers(folder.data_dir) > 0 or pid is not None


def _unsettled(state: PlatformState) -> bool:
    return any(service.state not in SETTLED for service in state.services)


def is_foundation(service: ServiceState) -> bool:
    """Whether nothing else is of use without it."""
    return service.kind in (Kind.SERVER, Kind.STEP) and not service.optional


def _hopeless(service: ServiceState) -> bool:
    if service.state is State.FAILED:
        return True
    return service.state is not State.UP and service.restarts >= _HOPELESS_RESTARTS


def _wait_for_end(folder: RunFolder, pid: int) -> None:
    deadline = time.monotonic() + _STOP_SECONDS
    while folder.supervisor_pid() == pid:
        if time.monotonic() > deadline:
            with suppress(psutil.NoSuchProcess):
                psutil.Process(pid).kill()
            return
        time.sleep(_POLL_SECONDS)

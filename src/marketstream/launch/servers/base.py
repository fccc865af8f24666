"""What every server the launcher can start has in common."""

import signal
import socket
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

from marketstream.settings import Settings

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Ready:
    """The server can be started at once."""

    source: str


@dataclass(frozen=True, slots=True)
class Obtainable:
    """The server can be started after `command` has fetched or built it, once."""

    command: tuple[str, ...]
    what: str


@dataclass(frozen=True, slots=True)
class Absent:
    """The server can't be had on this machine; `reason` says how to change that."""

    reason: str


Availability = Ready | Obtainable | Absent


class Server(ABC):
    """One server, started natively on the loopback interface with its data under `<data_dir>/<name>`.

    Call order: `availability`, then for every start `prepare`, `command` with `environment`, `fault` until it returns
    None, `after_start`. All of it may be repeated; nothing is lost by that.
    """

    name: str
    title: str
    stop_signal = signal.SIGTERM
    death_signal = signal.SIGKILL
    grace_seconds = 20.0
    start_seconds = 60.0

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @property
    def directory(self) -> Path:
        """Where the server keeps its data and configuration."""
        return self.settings.data_dir / self.name

    @property
    @abstractmethod
    def ports(self) -> tuple[int, ...]:
        """Ports it listens on, the one clients use first."""

    @property
    def run_as(self) -> str:
        """As whom it runs; see `guard.guarded`."""
        return "self"

    @abstractmethod
    def availability(self) -> Availability:
        """Whether it is here, can be made, or can't be had."""

    @abstractmethod
    def prepare(self) -> None:
        """Creates the data directory and the configuration.

        Raises:
            LaunchError: It can't be prepared; the message says what to do.
        """

    @abstractmethod
    def command(self) -> list[str]:
        """The command line that runs it in the foreground."""

    def environment(self) -> dict[str, str]:
        """Environment variables it needs beyond the launcher's own."""
        return {}

    @abstractmethod
    def fault(self) -> str | None:
        """Asks the server itself, in its own protocol: None when it answers, else what is wrong."""

    def after_start(self) -> None:  # noqa: B027  # most servers need nothing
        """Creates what must exist inside the running server.

        Raises:
            LaunchError: The server refuses.
        """

    def make_directory(self) -> None:
        """Creates the data directory, closed to others."""
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)


def connection_fault(port: int, timeout_seconds: float = 1.0) -> str | None:
    """None when something accepts connections on the loopback port."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=timeout_seconds):
            return None
    except OSError as error:
        return f"nothing answers on port {port} ({error.strerror or error})"

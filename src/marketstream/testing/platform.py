"""A whole platform of one's own: on free ports, in a folder of its own, driven through the `marketstream` command.

For end-to-end tests and benchmarks; a platform that already runs on the machine is left alone.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx

from marketstream.settings import SECRETS_FILE, Settings, load_settings

_PORTS = (
    "KAFKA__PORT",
    "KAFKA__CONTROLLER_PORT",
    "KAFKA__METRICS_PORT",
    "POSTGRES__PORT",
    "REDIS__PORT",
    "INFLUX__PORT",
    "SERVING__API_PORT",
    "SERVING__WEBSOCKET_PORT",
    "SERVING__DASHBOARD_PORT",
    "SERVING__METRICS_PORT",
    "STREAMING__UI_PORT",
    "STREAMING__INDICATORS_UI_PORT",
    "STREAMING__METRICS_PORT",
    "STREAMING__INDICATORS_METRICS_PORT",
    "CLUSTER__PORT",
    "CLUSTER__MASTER_UI_PORT",
    "CLUSTER__WORKER_UI_PORT",
    "REPLAY__PORT",
    "OBSERVABILITY__PROMETHEUS_PORT",
    "OBSERVABILITY__ALERTMANAGER_PORT",
    "OBSERVABILITY__GRAFANA_PORT",
)
T = TypeVar("T")


def free_ports(count: int) -> list[int]:
    """Loopback ports nobody listens on, all different."""
    with ExitStack() as stack:
        listeners = [stack.enter_context(socket.socket()) for _ in range(count)]
        for listener in listeners:
            listener.bind(("127.0.0.1", 0))
        return [listener.getsockname()[1] for listener in listeners]


def eventually(look: Callable[[], T | None], *, within_seconds: float, what: str, every_seconds: float = 0.2) -> T:
    """Looks again and again until there is something to see.

    Args:
        look: Returns None (or False) while the condition does not hold.
        within_seconds: The limit.
        what: The condition in words, for the error.
        every_seconds: Pause between looks.

    Raises:
        TimeoutError: The limit passed.
    """
    deadline = time.monotonic() + within_seconds
    while True:
        seen = look()
        if seen is not None and seen is not False:
            return seen
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {within_seconds:g} s: {what}")
        time.sleep(every_seconds)


class Platform:
    """Starts with `marketstream up` on entry and stops with `marketstream down` on exit.

    Args:
        folder: The data directory; kept on exit.
        environment: Settings as environment variables, without the `MARKETSTREAM_` prefix.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        ports = zip(_PORTS, map(str, free_ports(len(_PORTS))), strict=True)
        chosen = {"DATA_DIR": str(folder), "LAUNCH": "native", "KAFKA__HEAP_MB": "384", **dict(ports), **environment}
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("MARKETSTREAM_")}
        self.environment = inherited | {f"MARKETSTREAM_{name}": value for name, value in chosen.items()}
        self._folder = folder

    def __enter__(self) -> Self:
        try:
            self.command("up", limit_seconds=420)
        except BaseException:
            self.command("down", limit_seconds=120, check=False)  # what came up in spite of it
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.command("down", limit_seconds=120)

    @property
    def settings(self) -> Settings:
        """The settings its processes see, with the passwords that the launcher made."""
        secrets = self._folder / SECRETS_FILE
        lines = secrets.read_text().splitlines() if secrets.exists() else []
        made = dict(line.split("=", 1) for line in lines if "=" in line)
        nested: dict[str, Any] = {}
        for name, value in (made | self.environment).items():
            if name.startswith("MARKETSTREAM_"):
                section, _, field = name.removeprefix("MARKETSTREAM_").lower().partition("__")
                if field:
                    nested.setdefault(section, {})[field] = value
                else:
                    nested[section] = value
        return load_settings(**nested)

    def command(
        self, *arguments: str, limit_seconds: float = 60, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Runs the `marketstream` command against this platform.

        Raises:
            RuntimeError: It failed; the message holds what it printed.
        """
        done = subprocess.run(
            [str(Path(sys.executable).with_name("marketstream")), *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=limit_seconds,
            check=False,
            cwd=self._folder.parent,
        )
        if check and done.returncode:
            said = f"{done.stdout}{done.stderr}"
            raise RuntimeError(f"marketstream {' '.join(arguments)} ended with {done.returncode}:\n{said}")
        return done

    def status(self) -> dict[str, Any]:
        """What `marketstream status --json` says."""
        status: dict[str, Any] = json.loads(self.command("status", "--json", check=False).stdout)
        return status

    def service(self, name: str) -> dict[str, Any]:
        """One service's entry in the status."""
        return next(entry for entry in self.status()["services"] if entry["name"] == name)

    def kill(self, name: str) -> int:
        """SIGKILLs a service's process and returns its pid."""
        pid: int = self.service(name)["pid"]
        os.kill(pid, signal.SIGKILL)
        return pid

    def get(self, path: str, **query: str | int) -> httpx.Response:
        """Asks the REST API."""
        return httpx.get(f"http://127.0.0.1:{self.settings.serving.api_port}{path}", params=query, timeout=30)

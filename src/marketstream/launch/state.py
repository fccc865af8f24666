"""What the supervisor publishes about itself. Writes: `<data_dir>/run/state.json`, `<data_dir>/run/supervisor.lock`.

The lock says whether a supervisor lives, whatever happened to it; the state says what it last knew.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pydantic import BaseModel, ConfigDict

from marketstream.domain.errors import LaunchError
from marketstream.launch.secrets import write_private
from marketstream.launch.service import Kind, State
from marketstream.settings import METRICS_FOLDER


class ServiceState(BaseModel):
    """One service, as the supervisor last knew it. Times are seconds since the epoch."""

    model_config = ConfigDict(frozen=True)

    name: str
    kind: Kind
    state: State
    reason: str
    optional: bool
    pid: int | None
    since: float
    restarts: int
    restarted_at: float | None
    last_ending: str
    ports: tuple[int, ...]
    address: str


class PlatformState(BaseModel):
    """The whole platform, as the supervisor last knew it."""

    model_config = ConfigDict(frozen=True)

    supervisor_pid: int
    started_at: float
    feed: str
    fingerprint: dict[str, str]
    services: tuple[ServiceState, ...]


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The files through which the supervisor and the commands know of each other."""

    data_dir: Path

    @property
    def state_file(self) -> Path:
        """The published state."""
        return self.data_dir / "run" / "state.json"

    @property
    def lock_file(self) -> Path:
        """Held by a living supervisor; contains its process id."""
        return self.data_dir / "run" / "supervisor.lock"

    @property
    def logs(self) -> Path:
        """Where every service's output goes."""
        return self.data_dir / "logs"

    @property
    def metrics(self) -> Path:
        """Where processes leave their metrics."""
        return self.data_dir / METRICS_FOLDER

    def write(self, state: PlatformState) -> None:
        """Publishes a state."""
        write_private(self.state_file, state.model_dump_json(indent=1))

    def read(self) -> PlatformState | None:
        """The state last published, also by a supervisor that is gone; None if there never was one."""
        if not self.state_file.exists():
            return None
        return PlatformState.model_validate_json(self.state_file.read_text())

    def supervisor_pid(self) -> int | None:
        """The living supervisor's process id, or None."""
        if not self.lock_file.exists():
            return None
        with self.lock_file.open("r+") as file:
            if _try_lock(file):
                return None
            content = file.read().strip()
        return int(content) if content else None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Makes this process the supervisor.

        Raises:
            LaunchError: Another one lives.
        """
        self.lock_file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self.lock_file.open("a+") as file:
            if not _try_lock(file):
                raise LaunchError(f"a supervisor already runs on {self.data_dir}: see `marketstream status`")
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            yield


def _try_lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

"""The same platform in containers, through the engine's own compose command."""

import shutil
import subprocess
from pathlib import Path

from marketstream.domain.errors import LaunchError
from marketstream.launch.places import checkout
from marketstream.settings import Settings

_ENGINE_SECONDS = 10


def uses_compose(settings: Settings) -> bool:
    """Whether the platform runs in containers: as MARKETSTREAM_LAUNCH says, or for `auto` where an engine answers.

    Raises:
        LaunchError: Containers are demanded and no engine answers.
    """
    if settings.launch == "auto":
        return _engine_answers()
    if settings.launch == "compose" and not _engine_answers():
        raise LaunchError("MARKETSTREAM_LAUNCH=compose, and no container engine answers `docker info`: start one")
    return settings.launch == "compose"


def compose_up() -> int:
    """Starts everything and waits until it is healthy; returns compose's exit code."""
    subprocess.run(["/bin/sh", str(checkout("infra", "docker", "make-secrets.sh"))], check=True)
    return _compose("up", "--detach", "--wait")


def compose_down() -> int:
    """Stops everything; volumes stay."""
    return _compose("down")


def compose_status(*, as_json: bool) -> int:
    """Compose's own view, stopped containers included."""
    return _compose("ps", "--all", *(["--format", "json"] if as_json else []))


def compose_logs(service: str | None, *, follow: bool, lines: int) -> int:
    """The containers' output."""
    options = ["--tail", str(lines), *(["--follow"] if follow else [])]
    return _compose("logs", *options, *([service] if service else []))


def compose_clean() -> int:
    """Removes containers and volumes."""
    return _compose("down", "--volumes")


def _compose(*arguments: str) -> int:
    docker = shutil.which("docker") or "docker"
    return subprocess.run([docker, "compose", *arguments], cwd=_project(), check=False).returncode


def _project() -> Path:
    return checkout("docker-compose.yml").parent


def _engine_answers() -> bool:
    docker = shutil.which("docker")
    if docker is None:
        return False
    try:
        command = [docker, "info", "--format", "{{.ServerVersion}}"]
        outcome = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_ENGINE_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return outcome.returncode == 0 and bool(outcome.stdout.strip())

"""Generates the platform's passwords once. Writes: `<data_dir>/secrets.env` and `<data_dir>/admin.env`, both 0600.

`secrets.env` holds what the platform's processes need, as the environment variables that `load_settings` reads.
`admin.env` holds what only the launcher needs: the superusers of the servers it starts.
"""

import os
import secrets
from pathlib import Path

from marketstream.settings import SECRETS_FILE

ADMIN_FILE = "admin.env"
_PROCESS_SECRETS = (
    "MARKETSTREAM_POSTGRES__OWNER_PASSWORD",
    "MARKETSTREAM_POSTGRES__WRITER_PASSWORD",
    "MARKETSTREAM_POSTGRES__READER_PASSWORD",
    "MARKETSTREAM_POSTGRES__ACCESS_PASSWORD",
    "MARKETSTREAM_REDIS__PASSWORD",
    "MARKETSTREAM_INFLUX__TOKEN",
    "MARKETSTREAM_ACCESS__PEPPER",
)
_ADMIN_SECRETS = ("POSTGRES_SUPERUSER_PASSWORD", "INFLUXDB_ADMIN_PASSWORD", "GRAFANA_ADMIN_PASSWORD")


def ensure_secrets(data_dir: Path) -> None:
    """Creates whichever secrets are missing; those that exist are kept."""
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    _complete(data_dir / SECRETS_FILE, _PROCESS_SECRETS)
    _complete(data_dir / ADMIN_FILE, _ADMIN_SECRETS)


def admin_secret(data_dir: Path, name: str) -> str:
    """One of the launcher's own passwords; creates it first where it is missing."""
    path = data_dir / ADMIN_FILE
    if name not in _read(path):
        ensure_secrets(data_dir)
    return _read(path)[name]


def write_private(path: Path, text: str) -> None:
    """Replaces a file at once; nobody but its owner may read it."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    temporary.replace(path)


def _complete(path: Path, names: tuple[str, ...]) -> None:
    known = _read(path)
    missing = [name for name in names if name not in known]
    if missing:
        known.update((name, secrets.token_urlsafe(24)) for name in missing)
        write_private(path, "".join(f"{name}={value}\n" for name, value in known.items()))


def _read(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    pairs = (line.partition("=") for line in path.read_text().splitlines() if "=" in line)
    return {name.strip(): value.strip() for name, _, value in pairs}

"""Size-bounded log files, one per service. Writes: `<data_dir>/logs/<service>.log` and its predecessor `.log.1`.

Services append to their file themselves, so that their last words survive the supervisor. A file past its limit is
copied aside and truncated in place, which appending writers follow; what is written in the instant between is lost.
"""

import os
import shutil
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

LIMIT_BYTES = 20 * 1024 * 1024
_TAIL_BYTES = 256 * 1024
_FOLLOW_SECONDS = 0.25


def log_path(folder: Path, service: str) -> Path:
    """Where a service's output goes."""
    return folder / f"{service}.log"


def open_log(path: Path) -> BinaryIO:
    """Opens a log to append to, rotated first if it is past its limit."""
    path.parent.mkdir(parents=True, exist_ok=True)
    bound(path)
    return path.open("ab")


def bound(path: Path, limit_bytes: int = LIMIT_BYTES) -> None:
    """Moves a log's content aside once it is past the limit."""
    if path.exists() and path.stat().st_size > limit_bytes:
        shutil.copyfile(path, path.with_name(f"{path.name}.1"))
        os.truncate(path, 0)


def tail(path: Path, lines: int) -> list[str]:
    """A log's last lines, without reading more than its last 256 KiB."""
    if not path.exists():
        return []
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        text = file.read().decode(errors="replace")
    return text.splitlines()[-lines:] if lines else []


def follow(paths: list[Path]) -> Iterator[tuple[Path, str]]:
    """New whole lines of these logs from now on, for ever; a truncated log is read from its start again."""
    return _follow({path: path.stat().st_size if path.exists() else 0 for path in paths})


def _follow(positions: dict[Path, int]) -> Iterator[tuple[Path, str]]:
    while True:
        quiet = True
        for path in positions:
            for line in _new_lines(path, positions):
                quiet = False
                yield path, line
        if quiet:
            time.sleep(_FOLLOW_SECONDS)


def _new_lines(path: Path, positions: dict[Path, int]) -> list[str]:
    size = path.stat().st_size if path.exists() else 0
    if size < positions[path]:
        positions[path] = 0
    with path.open("rb") if size > positions[path] else BytesIO() as file:
        file.seek(positions[path])
        block = file.read(_TAIL_BYTES)
    complete = block.rfind(b"\n") + 1
    positions[path] += complete
    return block[:complete].decode(errors="replace").splitlines()

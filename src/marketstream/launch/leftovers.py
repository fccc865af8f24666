"""Finds and ends processes that a supervisor left behind, by a variable that all its services carry."""

import os
import signal
from contextlib import suppress
from pathlib import Path

import psutil

MARKER = "MARKETSTREAM_SUPERVISED_FROM"
_GRACE_SECONDS = 10.0


def leftovers(data_dir: Path) -> list[psutil.Process]:
    """Processes started by any supervisor of this data directory, this process and its ancestors excepted."""
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    return [process for process in psutil.process_iter() if process.pid not in own and _marked(process, data_dir)]


def end_leftovers(data_dir: Path) -> int:
    """Asks them to end, and after a grace ends them by force; returns how many there were."""
    found = leftovers(data_dir)
    for process in found:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGTERM)
    _, deaf = psutil.wait_procs(found, timeout=_GRACE_SECONDS)
    for process in {*deaf, *leftovers(data_dir)}:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(deaf, timeout=_GRACE_SECONDS)
    return len(found)


def _marked(process: psutil.Process, data_dir: Path) -> bool:
    try:
        return process.environ().get(MARKER) == str(data_dir) and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.NoSuchProcess, psutil.AccessDenied, OSError):
        return False

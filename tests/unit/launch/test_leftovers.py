"""Processes that a killed supervisor left behind."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from marketstream.launch.leftovers import MARKER, end_leftovers, leftovers

DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"


def marked(data_dir: Path, command: list[str]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(command, env={**os.environ, MARKER: str(data_dir)}, stdout=subprocess.PIPE)


def test_only_processes_of_this_data_directory_are_ended(tmp_path: Path) -> None:
    ours = marked(tmp_path / "ours", ["sleep", "600"])
    theirs = marked(tmp_path / "theirs", ["sleep", "600"])
    with ours, theirs:
        try:
            assert [process.pid for process in leftovers(tmp_path / "ours")] == [ours.pid]
            assert end_leftovers(tmp_path / "ours") == 1
            assert not psutil.pid_exists(ours.pid)
            assert theirs.poll() is None
            assert end_leftovers(tmp_path / "ours") == 0
        finally:
            ours.kill()
            theirs.kill()


def test_the_deaf_are_ended_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("marketstream.launch.leftovers._GRACE_SECONDS", 0.3)
    deaf = marked(tmp_path, [sys.executable, "-c", DEAF])
    with deaf:
        try:
            assert deaf.stdout is not None
            assert deaf.stdout.readline() == b"deaf\n"
            assert end_leftovers(tmp_path) == 1
            assert not psutil.pid_exists(deaf.pid)
        finally:
            deaf.kill()

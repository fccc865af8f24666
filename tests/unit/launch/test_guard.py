"""What a guarded process becomes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from marketstream.launch.guard import guarded


def test_the_command_runs_with_its_arguments_and_exit_code() -> None:
    command = [sys.executable, "-c", "import sys; print(sys.argv[1:]); sys.exit(7)", "a b", "$HOME"]
    outcome = subprocess.run(guarded(command, death_signal=signal.SIGKILL), capture_output=True, text=True, check=False)
    assert outcome.stdout == "['a b', '$HOME']\n"
    assert outcome.returncode == 7


def test_it_keeps_its_process_id(tmp_path: Path) -> None:
    code = "import os; print(os.getpid())"
    with subprocess.Popen(
        guarded([sys.executable, "-c", code], death_signal=signal.SIGKILL), stdout=subprocess.PIPE, text=True
    ) as process:
        said, _ = process.communicate(timeout=30)
    assert int(said) == process.pid


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has parent-death signals")
def test_one_whose_parent_has_gone_never_starts() -> None:
    command = guarded(["echo", "alive"], death_signal=signal.SIGKILL)
    command[command.index(str(os.getpid()))] = "1"
    outcome = subprocess.run(command, capture_output=True, text=True, check=False)
    assert outcome.stdout == ""
    assert outcome.returncode == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_root_can_become_somebody() -> None:
    code = "import os; print(os.getuid(), os.getgid(), os.getgroups())"
    command = guarded(["/usr/bin/env", "python3", "-c", code], death_signal=signal.SIGKILL, run_as="user:65534:65534")
    environment = {**os.environ, "PATH": "/usr/bin:/bin"}
    outcome = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd="/")
    if "No such file" in outcome.stderr:
        pytest.skip("no Python that everybody may run")
    assert outcome.stdout == "65534 65534 []\n"

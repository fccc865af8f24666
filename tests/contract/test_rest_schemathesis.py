"""Schemathesis over the whole OpenAPI description: every check, and sequences of requests, against a server.

It makes requests that fit the description and ones that do not, and holds every answer against it: no server error,
only documented statuses, media types and shapes, what is valid taken, what is not refused.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn

from examples_world import examples_world
from marketstream.testing.platform import eventually, free_ports

EXAMPLES = 5
EXAMPLES_LONG = 100


@contextmanager
def serving() -> Iterator[str]:
    """The application of the examples on a port of its own."""
    (port,) = free_ports(1)
    server = uvicorn.Server(uvicorn.Config(examples_world().app, port=port, log_level="warning", access_log=False))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        eventually(lambda: server.started, within_seconds=20, what="the server listens")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


def run(address: str, folder: Path, examples: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{address}/openapi.json", "--checks", "all"]
    command += ["--phases", "examples,coverage,fuzzing,stateful", "--max-examples", str(examples), "--seed", "1"]
    command += ["--continue-on-failure", "--no-color", "--suppress-health-check", "all", "--mode", "all"]
    tests = Path(__file__).parents[1]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": "schemathesis_hooks"}
    environment["PYTHONPATH"] = os.pathsep.join([str(tests), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_every_answer_is_as_described(tmp_path: Path) -> None:
    with serving() as address:
        outcome = run(address, tmp_path, EXAMPLES)
    assert outcome.returncode == 0, outcome.stdout[-20_000:] + outcome.stderr


@pytest.mark.long
@pytest.mark.timeout(1_800)
def test_many_answers_are_as_described(tmp_path: Path) -> None:
    with serving() as address:
        outcome = run(address, tmp_path, EXAMPLES_LONG)
    assert outcome.returncode == 0, outcome.stdout[-20_000:] + outcome.stderr

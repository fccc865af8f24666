"""Finds Java and reads its version."""

import os
import re
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from marketstream.launch.places import on_path

MINIMUM = 17
TRIED = (17, 21)


@dataclass(frozen=True, slots=True)
class Java:
    """A Java runtime and its major version."""

    binary: Path
    version: int


def find_java() -> Java | None:
    """The Java under JAVA_HOME, else on PATH; None where neither runs."""
    home = os.environ.get("JAVA_HOME")
    binary = Path(home) / "bin" / "java" if home else on_path("java")
    return _inspect(binary) if binary is not None else None


@cache
def _inspect(binary: Path) -> Java | None:
    try:
        outcome = subprocess.run([binary, "-version"], capture_output=True, text=True, check=False, timeout=30)
    except OSError:
        return None
    match = re.search(r'version "(?:1\.)?(\d+)', outcome.stderr + outcome.stdout)
    return Java(binary, int(match.group(1))) if match else None

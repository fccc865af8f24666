"""Builds InfluxDB once from its Go module. Writes: `<cache>/influxdb-<version>/influxd`.

Needs Go, Rust, clang and pkg-config. Run as a program it builds and reports its progress in lines.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from marketstream.domain.errors import LaunchError, MarketstreamError
from marketstream.settings import cache_dir

VERSION = "2.7.12"
_MODULE = "github.com/influxdata/influxdb/v2"
_PKG_CONFIG = "github.com/influxdata/pkg-config@v0.2.14"
_TOOLS = {"go": "Go 1.23", "cargo": "Rust", "rustc": "Rust", "clang": "clang", "pkg-config": "pkg-config"}
_GO_MOD = f"""module marketstream.local/influxd

go 1.23

require {_MODULE} v{VERSION}

// InfluxDB's own replacement; a module's replacements don't reach those who require it.
replace github.com/nats-io/nats-streaming-server v0.11.2 => \
github.com/influxdata/nats-streaming-server v0.11.3-0.20201112040610-c277f7560803
"""
# Its Rust part refuses every warning, and newer compilers know more of them.
_RUSTC_WRAPPER = '#!/bin/sh\nexec "$@" --cap-lints warn\n'


def built_binary() -> Path | None:
    """The binary, if it has been built."""
    binary = _target()
    return binary if binary.exists() else None


def missing_tools() -> list[str]:
    """What a build would need and this machine lacks."""
    return list(dict.fromkeys(title for tool, title in _TOOLS.items() if shutil.which(tool) is None))


def build(report: Callable[[str], None]) -> Path:
    """Builds the binary and puts it into the cache at once.

    Raises:
        LaunchError: A tool is missing or a step failed; the message holds its last lines.
    """
    missing = missing_tools()
    if missing:
        raise LaunchError(f"building InfluxDB needs {', '.join(missing)}")
    target = _target()
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".build-") as temporary:
        folder = Path(temporary)
        (folder / "go.mod").write_text(_GO_MOD)
        wrapper = folder / "rustc-wrapper"
        wrapper.write_text(_RUSTC_WRAPPER)
        wrapper.chmod(0o700)
        environment = _environment(folder, wrapper)
        for title, command in _steps(folder):
            report(f"InfluxDB {VERSION}: {title}")
            _run(command, folder, environment)
        (folder / "influxd").rename(target)
    report(f"InfluxDB {VERSION}: built")
    return target


def _steps(folder: Path) -> tuple[tuple[str, list[str]], ...]:
    tags = "sqlite_foreign_keys sqlite_json"
    return (
        ("fetching its build helper", ["go", "install", _PKG_CONFIG]),
        ("fetching its sources", ["go", "get", f"{_MODULE}/cmd/influxd@v{VERSION}"]),
        (
            "compiling (2-5 min)",
            ["go", "build", "-tags", tags, "-o", str(folder / "influxd"), f"{_MODULE}/cmd/influxd"],
        ),
    )


def _environment(folder: Path, wrapper: Path) -> dict[str, str]:
    environment = {
        **os.environ,
        "GOFLAGS": "-mod=mod",
        "GOBIN": str(folder / "bin"),
        "PKG_CONFIG": str(folder / "bin" / "pkg-config"),
        "RUSTC_WRAPPER": str(wrapper),
    }
    rustup = shutil.which("rustup")
    if rustup:  # the sources pin an older toolchain; the one that is here will do
        active = subprocess.run([rustup, "show", "active-toolchain"], capture_output=True, text=True, check=False)
        if active.returncode == 0 and active.stdout:
            environment["RUSTUP_TOOLCHAIN"] = active.stdout.split()[0]
    return environment


def _run(command: list[str], folder: Path, environment: dict[str, str]) -> None:
    os.nice(10 - os.nice(0))  # the platform's own processes go first
    outcome = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if outcome.returncode != 0:
        lines = outcome.stderr.strip().splitlines()[-5:]
        raise LaunchError(f"InfluxDB's build failed at `{' '.join(command[:2])}`: {' | '.join(lines)}")


def _target() -> Path:
    return cache_dir() / f"influxdb-{VERSION}" / "influxd"


def main() -> None:
    """Builds it, unless it is there."""
    try:
        if built_binary() is None:
            build(lambda line: print(line, flush=True))  # noqa: T201  # its output is its progress
    except MarketstreamError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()

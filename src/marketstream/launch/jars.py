"""Resolves the jars named in `infra/jvm/ivy.xml` with the Ivy inside pyspark. Writes: `<cache>/jars/{kafka,spark,jmx}`.

Run as a program (`python -m marketstream.launch.jars`) it fetches what is missing and reports its progress in lines.
"""

import fcntl
import shutil
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

from marketstream.domain.errors import LaunchError, MarketstreamError
from marketstream.launch.java import find_java
from marketstream.launch.places import infra
from marketstream.settings import cache_dir

KAFKA = "kafka"
SPARK = "spark"
JMX = "jmx"
_PATTERN = "[artifact]-[revision].[ext]"


def jars_directory(configuration: str) -> Path:
    """The folder that holds, or will hold, the jars of `kafka`, `spark` or `jmx`."""
    return cache_dir() / "jars" / configuration


def jars_present(configuration: str) -> bool:
    """Whether the folder holds every jar the configuration names, in the version it names."""
    folder = jars_directory(configuration)
    return all((folder / name).exists() for name in _named_jars(configuration))


def ensure_jars(report: Callable[[str], None]) -> None:
    """Fetches whatever is missing; safe to run twice at a time, and an interrupted run leaves nothing half done.

    Raises:
        LaunchError: No Java, no network, or a version that doesn't exist.
    """
    with _locked(cache_dir() / "jars"):
        for configuration in (KAFKA, SPARK, JMX):
            if not jars_present(configuration):
                _resolve(configuration, report)


def _resolve(configuration: str, report: Callable[[str], None]) -> None:
    target = jars_directory(configuration)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{configuration}-") as temporary:
        retrieved = Path(temporary) / configuration
        _run_ivy(configuration, retrieved, report)
        missing = [name for name in _named_jars(configuration) if not (retrieved / name).exists()]
        if missing:
            raise LaunchError(f"Ivy resolved {configuration}, but without {', '.join(missing)}")
        if target.exists():
            target.rename(Path(temporary) / "replaced")
        retrieved.rename(target)
    report(f"{configuration}: {len(list(target.glob('*.jar')))} jars in place")


def _run_ivy(configuration: str, target: Path, report: Callable[[str], None]) -> None:
    java = find_java()
    if java is None:
        raise LaunchError("resolving jars needs Java 17 or 21: install one or set JAVA_HOME")
    command = [str(java.binary), "-cp", str(_ivy_jar()), "org.apache.ivy.Main"]
    command += ["-settings", str(infra("jvm", "ivysettings.xml")), "-ivy", str(infra("jvm", "ivy.xml"))]
    command += ["-cache", str(cache_dir() / "ivy"), "-confs", configuration, "-types", "jar", "bundle"]
    command += ["-retrieve", str(target / _PATTERN)]
    last_lines: deque[str] = deque(maxlen=400)
    found = fetched = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        for line in process.stdout or ():
            last_lines.append(line.strip())
            found += line.startswith("\tfound ")
            fetched += "[SUCCESSFUL ]" in line
            if line.startswith("\tfound ") or "[SUCCESSFUL ]" in line:
                report(f"{configuration}: {found} modules found, {fetched} jars fetched")
    if process.returncode != 0 or any("UNRESOLVED DEPENDENCIES" in line for line in last_lines):
        raise LaunchError(f"the {configuration} jars can't be resolved: {_reason(last_lines)}")


def _reason(lines: deque[str]) -> str:
    """Ivy's own words: the modules it didn't find, or its last lines when it failed otherwise."""
    unresolved = list(dict.fromkeys(line.strip(": ") for line in lines if line.endswith(": not found")))
    trouble = [line for line in lines if "Exception" in line or "Server access error" in line]
    return "; ".join(unresolved[:5] or trouble[:3] or list(lines)[-3:]) + " (is the network there?)"


def _named_jars(configuration: str) -> Iterator[str]:
    module = ElementTree.parse(infra("jvm", "ivy.xml"))  # noqa: S314  # the checkout's own file
    for dependency in module.iter("dependency"):
        if dependency.attrib["conf"].startswith(f"{configuration}->"):
            yield f"{dependency.attrib['name']}-{dependency.attrib['rev']}.jar"


def _ivy_jar() -> Path:
    package = find_spec("pyspark")
    if package is None or package.origin is None:
        raise LaunchError("pyspark is not installed: run `make setup`")
    jars = sorted((Path(package.origin).parent / "jars").glob("ivy-*.jar"))
    if not jars:
        raise LaunchError("pyspark brings no Ivy; it is incomplete: run `make setup` in a fresh environment")
    return jars[-1]


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for leftover in folder.glob(".*-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        yield


def main() -> None:
    """Fetches what is missing."""
    try:
        ensure_jars(lambda line: print(line, flush=True))  # noqa: T201  # its output is its progress
    except MarketstreamError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()

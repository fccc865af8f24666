"""The engines that drain the backlog: how each is started, told apart and ended."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from marketstream.contracts.topics import bars_topic
from marketstream.launch.running import stop_group
from marketstream.settings import Settings
from marketstream.testing.platform import free_ports

KIT = Path(__file__).parent


@dataclass(frozen=True)
class Start:
    """One process of an engine."""

    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Engine:
    """An engine that makes bars of `tick_data`.

    Attributes:
        name: For the report, with its version.
        topics: Where its bars go.
        starts: Its processes.
    """

    name: str
    topics: tuple[str, ...]
    starts: Sequence[Start]


class Running:
    """An engine's processes and what they have said."""

    def __init__(self, processes: list[subprocess.Popen[str]], log: Path) -> None:
        self.processes = processes
        self.log = log
        self.said: list[dict[str, Any]] = []
        self._threads = [threading.Thread(target=self._listen, args=(each,), daemon=True) for each in processes]
        for thread in self._threads:
            thread.start()

    @property
    def trees(self) -> list[psutil.Process]:
        """The processes, for `Tree`."""
        return [psutil.Process(each.pid) for each in self.processes if each.poll() is None]

    @property
    def ended(self) -> bool:
        """Whether all have ended and all they said has been heard."""
        return all(each.poll() is not None for each in self.processes) and not any(
            thread.is_alive() for thread in self._threads
        )

    @property
    def batches(self) -> list[dict[str, Any]]:
        """The batches that the platform's job has told of."""
        return [each for each in self.said if "batch" in each]

    @property
    def began(self) -> float | None:
        """When the first trade was taken; None where that has not been told."""
        return min((each["began"] for each in self.said if "began" in each), default=None)

    def _listen(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None  # noqa: S101  # it is a pipe
        for line in process.stdout:
            if line.startswith("{"):
                self.said.append(json.loads(line))


@contextmanager
def running(engine: Engine, log: Path) -> Iterator[Running]:
    """The engine's processes, ended with the block."""
    processes: list[subprocess.Popen[str]] = []
    with log.open("ab") as errors:
        try:
            for start in engine.starts:
                process = subprocess.Popen(
                    start.command,
                    env={**os.environ, **start.environment},
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    text=True,
                    start_new_session=True,
                )
                processes.append(process)
            yield Running(processes, log)
        finally:
            for process in processes:
                stop_group(process, signal.SIGTERM, 20.0)


def marketstream(settings: Settings, folder: Path, *, trigger: str, conf: Sequence[str] = ()) -> Engine:
    """The platform's own bars job."""
    given = {
        "DATA_DIR": str(folder),
        "KAFKA__PORT": str(settings.kafka.port),
        "KAFKA__PARTITIONS": str(settings.kafka.partitions),
        "STREAMING__TRIGGER": trigger,
        "STREAMING__UI_PORT": str(settings.streaming.ui_port),
    }
    environment = {f"MARKETSTREAM_{name}": value for name, value in given.items()}
    environment |= {"PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}
    changes = [part for each in conf for part in ("--conf", each)]
    topics = tuple(map(bars_topic, settings.intervals))
    command = [sys.executable, str(KIT / "bars_job.py"), *changes]
    return Engine("marketstream", topics, [Start(command, environment)])


def quix(python: str, settings: Settings, folder: Path, cores: int) -> Engine:
    """Quix Streams: a process for each core, in one consumer group."""
    script, topic = str(KIT / "peer_quix.py"), "bars_quix"
    states = [folder / f"state{number}" for number in range(cores)]
    starts = [Start([python, script, settings.kafka.bootstrap_servers, topic, str(state)]) for state in states]
    return Engine(f"Quix Streams {version(python, 'quixstreams')}", (topic,), starts)


def bytewax(python: str, settings: Settings, folder: Path, cores: int) -> Engine:
    """Bytewax: a cluster of a worker process for each core, with recovery snapshots."""
    topic, recovery = "bars_bytewax", folder / "recovery"
    recovery.mkdir(parents=True)
    subprocess.run([python, "-m", "bytewax.recovery", str(recovery), str(cores)], check=True, capture_output=True)
    environment = {
        "BENCHMARK_SERVERS": settings.kafka.bootstrap_servers,
        "BENCHMARK_OUTPUT": topic,
        "PYTHONPATH": str(KIT),
    }
    shared = [python, "-m", "bytewax.run", "peer_bytewax:flow", "-r", str(recovery), "-s", "10", "-b", "0"]
    addresses = ";".join(f"127.0.0.1:{port}" for port in free_ports(cores))
    cluster = [["-i", str(number), "-a", addresses] for number in range(cores)] if cores > 1 else [[]]
    starts = [Start([*shared, *place], environment) for place in cluster]
    return Engine(f"Bytewax {version(python, 'bytewax')}", (topic,), starts)


def pathway(python: str, settings: Settings, _folder: Path, cores: int) -> Engine:
    """Pathway: one process with a worker thread for each core."""
    topic = "bars_pathway"
    command = [python, str(KIT / "peer_pathway.py"), settings.kafka.bootstrap_servers, topic]
    start = Start(command, {"PATHWAY_THREADS": str(cores), "PATHWAY_PROCESSES": "1"})
    return Engine(f"Pathway {version(python, 'pathway')}", (topic,), [start])


PEERS: Mapping[str, Callable[[str, Settings, Path, int], Engine]] = {
    "quixstreams": quix,
    "bytewax": bytewax,
    "pathway": pathway,
}


def version(python: str, package: str) -> str | None:
    """The package's version in that interpreter; None where it is not installed."""
    code = f"from importlib.metadata import version; print(version({package!r}))"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None

"""Serves metrics to Prometheus: of all processes on one port, or of this process on its own.

Natively the processes write their metrics as files under `PROMETHEUS_MULTIPROC_DIR` and the `metrics` process serves
the sum. In containers, where process ids clash, each process serves its own (`serving.metrics_per_process`) and the
`metrics` process serves what only an outsider can see.

Reads: the processes' files; whatever the probes ask.
"""

import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil
from prometheus_client import REGISTRY, CollectorRegistry, Metric, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from marketstream.domain.errors import ConfigurationError, MarketstreamError
from marketstream.observability.logs import get_logger
from marketstream.settings import METRICS_DIRECTORY_VARIABLE, Settings, metrics_directory

_log = get_logger("metrics")

CONSUMER_LAG = "marketstream_consumer_lag_messages"
LAST_TICK_AGE = "marketstream_last_tick_age_seconds"
TOPIC_MESSAGES = "marketstream_topic_messages_total"
TOPIC_PARTITIONS = "marketstream_topic_partitions"
UNDER_REPLICATED = "marketstream_under_replicated_partitions"
OFFLINE_PARTITIONS = "marketstream_offline_partitions"
STORE_UP = "marketstream_store_up"
DISK_FREE = "marketstream_disk_free_bytes"
DISK_SIZE = "marketstream_disk_size_bytes"
PROBE_SUCCESS = "marketstream_probe_success"


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A metric that is measured when Prometheus asks.

    Attributes:
        name: Metric name; a counter's ends in `_total`.
        documentation: What it says, for `# HELP`.
        label: Name of the one label, or None for a metric without.
        read: Returns the value by label value (the key is ignored without a label); empty where there is none.
    """

    name: str
    documentation: str
    label: str | None
    read: Callable[[], Mapping[str, float]]
    kind: Literal["gauge", "counter"] = "gauge"


class ProbeCollector(Collector):
    """Measures probes at each scrape; one that fails says so in `marketstream_probe_success` and spoils no other."""

    def __init__(self, probes: Sequence[Probe]) -> None:
        self._probes = tuple(probes)
        self._failing: set[str] = set()

    def describe(self) -> Iterator[Metric]:
        """Names the metrics without measuring them, so that registering asks nobody."""
        for probe in self._probes:
            yield _family(probe)

    def collect(self) -> Iterator[Metric]:
        """Measures every probe."""
        success = GaugeMetricFamily(PROBE_SUCCESS, "1 where the probe could be measured", labels=["probe"])
        for probe in self._probes:
            family = _family(probe)
            try:
                for label, value in probe.read().items():
                    family.add_metric([label] if probe.label else [], value)
            except MarketstreamError as error:
                self._note_failure(probe.name, error)
                success.add_metric([probe.name], 0)
            else:
                self._failing.discard(probe.name)
                success.add_metric([probe.name], 1)
                yield family
        yield success

    def _note_failure(self, name: str, error: MarketstreamError) -> None:
        """Logs it once, not at every scrape until it is over."""
        if name not in self._failing:
            self._failing.add(name)
            _log.warning("probe failed", probe=name, error=str(error))


def disk_probes(directory: Path) -> tuple[Probe, ...]:
    """Room on the disk that holds a directory, or will hold it."""
    existing = next(path for path in (directory, *directory.parents) if path.exists())

    def usage(field: str) -> Mapping[str, float]:
        return {"": float(getattr(psutil.disk_usage(str(existing)), field))}

    return (
        Probe(name=DISK_FREE, documentation="Free bytes under data_dir", label=None, read=lambda: usage("free")),
        Probe(name=DISK_SIZE, documentation="Bytes of data_dir's disk", label=None, read=lambda: usage("total")),
    )


class ProcessFilesCollector(MultiProcessCollector):
    """Sums the files of all processes, first forgetting the live gauges of those that died without a word."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        super().__init__(None, path=str(directory))  # type: ignore[no-untyped-call]  # untyped in prometheus-client

    def collect(self) -> list[Metric]:
        """Reads every process's files."""
        for path in self._directory.glob("gauge_live*_*.db"):
            process_id = int(path.stem.rpartition("_")[2])
            if not psutil.pid_exists(process_id):
                mark_process_dead(process_id, self._directory)  # type: ignore[no-untyped-call]  # untyped there
        metrics: list[Metric] = list(super().collect())  # type: ignore[no-untyped-call]  # untyped there
        return metrics


def run(settings: Settings, collectors: Sequence[Collector] = ()) -> None:
    """Serves the platform's metrics on `serving.metrics_host:metrics_port` until SIGTERM or SIGINT.

    Args:
        settings: Where to listen, and whether processes serve themselves.
        collectors: What else to serve, such as probes of the broker.

    Raises:
        ConfigurationError: The port is taken, or the directory of the processes' files is not set.
    """
    registry = CollectorRegistry()
    for collector in collectors:
        registry.register(collector)
    registry.register(REGISTRY if settings.serving.metrics_per_process else _process_files())
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    with serving(settings.serving.metrics_host, settings.serving.metrics_port, registry):
        _log.info("metrics are served", host=settings.serving.metrics_host, port=settings.serving.metrics_port)
        stop.wait()


@contextmanager
def serving(host: str, port: int, registry: Collector = REGISTRY) -> Iterator[None]:
    """Serves a registry's metrics in the background while the block runs.

    Raises:
        ConfigurationError: The address can't be listened on.
    """
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as error:
        raise ConfigurationError(
            f"metrics can't be served on {host}:{port} ({error.strerror}); set MARKETSTREAM_SERVING__METRICS_PORT"
        ) from error
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _process_files() -> ProcessFilesCollector:
    directory = metrics_directory()
    if directory is None:
        raise ConfigurationError(
            f"{METRICS_DIRECTORY_VARIABLE} is not set, so there are no processes to sum; the launcher sets it, "
            "or let each process serve its own with MARKETSTREAM_SERVING__METRICS_PER_PROCESS=true"
        )
    directory.mkdir(parents=True, exist_ok=True)
    return ProcessFilesCollector(directory)


def _family(probe: Probe) -> GaugeMetricFamily | CounterMetricFamily:
    kind = CounterMetricFamily if probe.kind == "counter" else GaugeMetricFamily
    return kind(probe.name, probe.documentation, labels=[probe.label] if probe.label else [])

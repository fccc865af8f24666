"""The exporter: all processes on one port, the dead forgotten, a failing probe that spoils nothing."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from marketstream.domain.errors import BusError, ConfigurationError
from marketstream.observability.exporter import Probe, ProbeCollector, disk_probes, run, serving
from marketstream.settings import load_settings

Samples = dict[str, float]

WORKER = """
import sys
from marketstream.observability import metrics
metrics.TICKS_PUBLISHED.labels("binance").inc(int(sys.argv[1]))
metrics.UP.labels("producer").set(1)
print("ready", flush=True)
sys.stdin.read()
"""
EXPORTER = """
import sys
from marketstream.observability.exporter import run
from marketstream.settings import load_settings
run(load_settings(serving={"metrics_port": int(sys.argv[1])}))
"""


def scrape(port: int) -> Samples:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        families = text_string_to_metric_families(answer.read().decode())
        return {
            sample.name + "".join(f"|{value}" for value in sample.labels.values()): sample.value
            for family in families
            for sample in family.samples
        }


def eventually(check: Callable[[], Samples | None], seconds: float = 20) -> Samples:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            samples = check()
        except urllib.error.URLError:
            samples = None
        if samples is not None:
            return samples
    raise AssertionError(f"did not happen within {seconds:g} s")


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    running: list[subprocess.Popen[str]] = []
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "metrics")}
    (tmp_path / "metrics").mkdir()

    def start_one(program: str, *arguments: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-c", program, *arguments],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        return process

    yield start_one
    for process in running:
        process.kill()
        process.communicate()


def test_it_sums_processes_forgets_the_killed_and_ends_on_sigterm(start: Start, free_port: int) -> None:
    workers = [start(WORKER, count) for count in ("40", "2")]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    exporter = start(EXPORTER, str(free_port))

    samples = eventually(lambda: scrape(free_port))
    assert samples["marketstream_ticks_published_total|binance"] == 42
    assert samples["marketstream_up|producer"] == 2

    workers[0].kill()
    workers[0].communicate()
    samples = scrape(free_port)
    assert samples["marketstream_up|producer"] == 1
    assert samples["marketstream_ticks_published_total|binance"] == 42  # what it counted stays counted

    exporter.send_signal(signal.SIGTERM)
    assert exporter.wait(timeout=10) == 0


def test_without_a_directory_it_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    with pytest.raises(ConfigurationError, match="PROMETHEUS_MULTIPROC_DIR is not set"):
        run(load_settings(serving={"metrics_per_process": False}))


def probe(name: str, read: Callable[[], Mapping[str, float]], label: str | None = None) -> Probe:
    return Probe(name=name, documentation="d", label=label, read=read)


def test_a_failing_probe_says_so_and_spoils_no_other(free_port: int) -> None:
    def away() -> Mapping[str, float]:
        raise BusError("Kafka is away")

    registry = CollectorRegistry()
    registry.register(
        ProbeCollector(
            [
                probe("broken", away),
                probe("lag", lambda: {"redis": 3.0, "influx": 0.0}, label="group"),
                probe("age", lambda: {"": 1.5}),
                probe("nothing_yet", dict),
            ]
        )
    )
    with serving("127.0.0.1", free_port, registry):
        assert scrape(free_port) == {
            "lag|redis": 3.0,
            "lag|influx": 0.0,
            "age": 1.5,
            "marketstream_probe_success|broken": 0,
            "marketstream_probe_success|lag": 1,
            "marketstream_probe_success|age": 1,
            "marketstream_probe_success|nothing_yet": 1,
        }
    with pytest.raises(urllib.error.URLError):
        scrape(free_port)


def test_registering_probes_asks_nobody() -> None:
    def asked() -> Mapping[str, float]:
        raise AssertionError("measured before anyone scraped")

    CollectorRegistry(auto_describe=True).register(ProbeCollector([probe("lag", asked)]))


def test_a_taken_port_is_a_setting_to_change(free_port: int) -> None:
    with (
        serving("127.0.0.1", free_port, CollectorRegistry()),
        pytest.raises(ConfigurationError, match=f"{free_port}.*MARKETSTREAM_SERVING__METRICS_PORT"),
        serving("127.0.0.1", free_port, CollectorRegistry()),
    ):
        raise AssertionError("two servers on one port")


def test_the_disk_is_measured_before_the_directory_exists(tmp_path: Path) -> None:
    measured = {probe.name: probe.read()[""] for probe in disk_probes(tmp_path / "not" / "yet")}
    stat = os.statvfs(tmp_path)
    assert measured["marketstream_disk_size_bytes"] == stat.f_frsize * stat.f_blocks
    assert 0 < measured["marketstream_disk_free_bytes"] < measured["marketstream_disk_size_bytes"]

"""`marketstream run metrics`, as a container runs it: each process by itself, the broker seen from outside."""

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid

import pytest

from marketstream.bus.admin import ensure_topics
from marketstream.bus.publisher import KafkaPublisher
from marketstream.contracts.topics import TICKS
from marketstream.settings import Settings

pytestmark = pytest.mark.servers


def test_it_serves_itself_and_what_the_broker_knows(kafka_settings: Settings) -> None:
    broker = kafka_settings.kafka.bootstrap_servers
    ensure_topics(broker, (TICKS,), kafka_settings.kafka.partitions)
    publisher = KafkaPublisher(broker)
    publisher.publish(TICKS, "IBM", uuid.uuid4().bytes)
    assert publisher.flush(20) == 0
    environment = {name: value for name, value in os.environ.items() if name != "PROMETHEUS_MULTIPROC_DIR"} | {
        "MARKETSTREAM_DATA_DIR": str(kafka_settings.data_dir),
        "MARKETSTREAM_KAFKA__PORT": str(kafka_settings.kafka.port),
        "MARKETSTREAM_SERVING__METRICS_PORT": str(kafka_settings.serving.metrics_port),
        "MARKETSTREAM_SERVING__METRICS_PER_PROCESS": "true",
    }
    process = subprocess.Popen([sys.executable, "-m", "marketstream", "run", "metrics"], env=environment)
    try:
        text = _eventually_read(f"http://127.0.0.1:{kafka_settings.serving.metrics_port}/metrics")
    finally:
        process.terminate()
        assert process.wait(timeout=15) == 0
    assert 'marketstream_up{process="metrics"} 1.0' in text
    probes = [line for line in text.splitlines() if line.startswith("marketstream_probe_success{")]
    stores = ("database", "table", "symbol", "redis")  # of which this test starts none
    probes = [line for line in probes if not any(f"marketstream_{store}_" in line for store in stores)]
    assert len(probes) == 9
    assert all(line.endswith(" 1.0") for line in probes), probes
    age = next(line for line in text.splitlines() if line.startswith("marketstream_last_tick_age_seconds "))
    assert 0 <= float(age.split()[1]) < 120


def _eventually_read(url: str) -> str:
    deadline = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310  # our own address
                text: str = answer.read().decode()
                return text
        except urllib.error.URLError:
            assert time.monotonic() < deadline, "the metrics process did not start"

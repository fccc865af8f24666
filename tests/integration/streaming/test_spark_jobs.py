"""The Spark jobs as processes of their own, on a real broker: on a standalone cluster, and watched by Prometheus."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import httpx
import polars as pl
import pytest
from prometheus_client.parser import text_string_to_metric_families

from marketstream.bus.admin import ensure_topics
from marketstream.bus.assigned import AssignedReader, reached
from marketstream.bus.publisher import KafkaPublisher
from marketstream.contracts.messages import decode_bar, decode_indicators, encode
from marketstream.contracts.topics import INDICATORS, TICKS, bars_topic
from marketstream.domain.interval import Interval
from marketstream.domain.market import Tick
from marketstream.launch.jars import ensure_jars
from marketstream.ports import Message
from marketstream.settings import Settings
from marketstream.testing.platform import eventually, free_ports
from oracle import differences, expected_bars
from stores import make_tick

pytestmark = [pytest.mark.servers, pytest.mark.timeout(600)]

MINUTE = Interval.parse("1min")
START_US = 1_700_006_400_000_000
START_SECONDS = 280
STOP_SECONDS = 120
ENDED = 128 + signal.SIGTERM  # spark-submit stops Spark, and then says what it was asked to stop with


class Commands:
    """`marketstream` commands on one data directory and one broker, running until they are stopped."""

    def __init__(self, settings: Settings, folder: Path, **more: str) -> None:
        self.settings, self.folder = settings, folder
        names = ("UI", "INDICATORS", "MASTER", "MASTER_UI", "WORKER_UI", "METRICS")
        self.ports = dict(zip(names, free_ports(len(names)), strict=True))
        variables = {
            "DATA_DIR": str(folder / "data"),
            "KAFKA__PORT": str(settings.kafka.port),
            "POSTGRES__PORT": "1",  # no history
            "STREAMING__INTERVALS": MINUTE.name,
            "STREAMING__REALTIME_CHECKPOINT_SECONDS": "5",
            "STREAMING__UI_PORT": str(self.ports["UI"]),
            "STREAMING__INDICATORS_UI_PORT": str(self.ports["INDICATORS"]),
            "CLUSTER__PORT": str(self.ports["MASTER"]),
            "CLUSTER__MASTER_UI_PORT": str(self.ports["MASTER_UI"]),
            "CLUSTER__WORKER_UI_PORT": str(self.ports["WORKER_UI"]),
            "SERVING__METRICS_PORT": str(self.ports["METRICS"]),
            **more,
        }
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("MARKETSTREAM_")}
        self.environment |= {f"MARKETSTREAM_{name}": value for name, value in variables.items()}
        self._running: list[subprocess.Popen[bytes]] = []

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        with self.log(arguments[-1]).open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "marketstream", *arguments],
                env=self.environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._running.append(process)
        return process

    def run(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "marketstream", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def stop(self, process: subprocess.Popen[bytes]) -> int:
        process.send_signal(signal.SIGTERM)
        return process.wait(STOP_SECONDS)

    def end_all(self) -> None:
        for process in reversed(self._running):
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            process.wait()

    def until(self, look: Callable[[], bool], what: str, log: str) -> None:
        """Waits until it holds; fails at once where that process has ended."""
        deadline = time.monotonic() + START_SECONDS
        while not look():
            ended = [
                process.args for process in self._running if process.returncode is None and process.poll() is not None
            ]
            assert not ended, f"{ended}: {self.log(log).read_text()[-3_000:]}"
            assert time.monotonic() < deadline, f"not in time: {what}; {self.log(log).read_text()[-3_000:]}"
            time.sleep(1)  # reading the topics takes from what is waited for


@pytest.fixture
def commands(kafka_settings: Settings, tmp_path: Path) -> Iterator[Callable[..., Commands]]:
    ensure_jars(lambda _line: None)
    broker = kafka_settings.kafka
    ensure_topics(broker.bootstrap_servers, (TICKS, bars_topic(MINUTE), INDICATORS), broker.partitions)
    made: list[Commands] = []

    def make(**more: str) -> Commands:
        made.append(Commands(kafka_settings, tmp_path, **more))
        return made[-1]

    yield make
    for each in made:
        each.end_all()


def published(settings: Settings, symbols: Sequence[str], count: int, *, first: int = 0) -> list[Tick]:
    """So many trades of each symbol, ten seconds apart, on `tick_data`."""
    publisher = KafkaPublisher(settings.kafka.bootstrap_servers)
    ticks = [
        make_tick(
            START_US + number * 10_000_000,
            symbol=symbol,
            sequence=number,
            price=100.0 + (number * 7) % 13,
            received_time_us=time.time_ns() // 1_000,
        )
        for number in range(first, first + count)
        for symbol in symbols
    ]
    for tick in ticks:
        publisher.publish(TICKS, tick.symbol, encode(tick))
    assert publisher.flush(20) == 0
    return ticks


def messages(settings: Settings, topic: str, symbols: Sequence[str]) -> list[Message]:
    """What is on a topic of these symbols."""
    reader = AssignedReader(settings.kafka.bootstrap_servers, f"look-{uuid.uuid4().hex}")
    reader.open({topic: 0}, {})
    ends = reader.ask_ends()
    found: list[Message] = []
    while (until := ends.positions()) is None or not reached(reader.positions, until):
        found += [message for message in reader.poll(5_000, 0.05) if message.key in symbols]
    reader.close()
    return found


def bars_faults(settings: Settings, ticks: Sequence[Tick]) -> list[str]:
    """How the newest version of each bar differs from a recomputation of the trades."""
    symbols = {tick.symbol for tick in ticks}
    newest: dict[tuple[str, int], dict[str, object]] = {}
    for message in messages(settings, bars_topic(MINUTE), sorted(symbols)):
        bar = decode_bar(message.value)
        key = (bar.symbol, bar.start_us)
        if key not in newest or bar.trade_count >= newest[key]["trade_count"]:  # type: ignore[operator]
            newest[key] = asdict(bar)
    return differences(expected_bars(pl.DataFrame([asdict(tick) for tick in ticks]), MINUTE.name), newest)


def random_symbols(count: int) -> list[str]:
    return [f"S{uuid.uuid4().hex[:8].upper()}" for _ in range(count)]


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).is_success
    except httpx.TransportError:
        return False


def metrics(port: int) -> dict[tuple[str, str], float]:
    """Every sample of a process, by name and its labels' values in the order of their names; empty before it serves."""
    try:
        text = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=5).text
    except httpx.TransportError:
        return {}
    return {
        (
            sample.name.removeprefix("marketstream_query_"),
            " ".join(value for _, value in sorted(sample.labels.items())),
        ): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.mark.long  # what it adds is the cluster: tests/unit/streaming/test_cluster.py has its commands
def test_jobs_run_on_a_standalone_cluster(commands: Callable[..., Commands], kafka_settings: Settings) -> None:
    platform = commands(STREAMING__MASTER="standalone")
    pages = {name: f"http://127.0.0.1:{platform.ports[name]}/json/" for name in ("MASTER_UI", "WORKER_UI")}
    master = platform.start("spark-master")
    platform.until(lambda: answers(pages["MASTER_UI"]), "the master answers", "spark-master")
    worker = platform.start("spark-worker")
    platform.until(lambda: httpx.get(pages["MASTER_UI"]).json()["aliveworkers"] == 1, "a worker", "spark-worker")

    ticks = published(kafka_settings, random_symbols(3), 40)
    bars, indicators = platform.start("submit", "bars"), platform.start("submit", "indicators")
    platform.until(lambda: not bars_faults(kafka_settings, ticks), "bars equal their trades", "bars")
    state = httpx.get(pages["MASTER_UI"]).json()
    slots = {app["name"]: app["cores"] for app in state["activeapps"]}
    assert slots["marketstream-bars"] == kafka_settings.kafka.partitions + 1
    assert slots.keys() == {"marketstream-bars", "marketstream-indicators"}

    symbols = sorted({tick.symbol for tick in ticks})
    newest_us = max(tick.event_time_us for tick in ticks)

    def indicators_told() -> bool:
        told = [decode_indicators(message.value) for message in messages(kafka_settings, INDICATORS, symbols)]
        return {one.symbol for one in told if one.start_us + MINUTE.us > newest_us} == set(symbols)

    platform.until(indicators_told, "indicators of the newest bars", "indicators")
    assert [platform.stop(job) for job in (bars, indicators)] == [ENDED, ENDED]
    eventually(
        lambda: not httpx.get(pages["MASTER_UI"]).json()["activeapps"],
        within_seconds=30,
        what="the jobs left the cluster",
    )
    platform.stop(worker)
    platform.stop(master)


@pytest.mark.parametrize("trigger", ["realtime", pytest.param("1 second", marks=pytest.mark.long)])
def test_a_query_is_seen_by_prometheus(
    trigger: str, commands: Callable[..., Commands], kafka_settings: Settings
) -> None:
    platform = commands(STREAMING__TRIGGER=trigger, SERVING__METRICS_PER_PROCESS="true")
    symbols = random_symbols(2)
    ticks = published(kafka_settings, symbols, 50)
    publisher = KafkaPublisher(kafka_settings.kafka.bootstrap_servers)
    for symbol in symbols:
        publisher.publish(TICKS, symbol, b"no tick")
    assert publisher.flush(20) == 0
    bars = platform.start("submit", "bars")
    platform.until(lambda: not bars_faults(kafka_settings, ticks), "bars equal their trades", "bars")
    port = platform.ports["METRICS"]

    def seen() -> bool:
        now = metrics(port)
        return now.get(("observed_rows_total", "bars undecodable"), 0) >= len(symbols)

    platform.until(seen, "what is no tick is counted", "bars")
    now = metrics(port)
    mode, interval = ("realtime", 5) if trigger == "realtime" else ("microbatch", 1)
    assert now["trigger_seconds", f"{mode} bars"] == interval
    assert now["input_rows_total", "bars"] >= len(ticks)
    assert now["state_rows", "bars"] >= len(expected_bars(pl.DataFrame([asdict(tick) for tick in ticks]), MINUTE.name))
    assert now["state_bytes", "bars"] > 0
    assert now["late_rows_total", "bars"] == 0
    assert now["phase_seconds_total", "triggerExecution bars"] > 0
    partitions = [f"{number} bars tick_data" for number in range(kafka_settings.kafka.partitions)]

    def none_behind() -> bool:
        lag = {labels: value for (name, labels), value in metrics(port).items() if name == "lag_messages"}
        return lag == dict.fromkeys(partitions, 0)

    platform.until(none_behind, "nothing is left to be taken from any partition", "bars")
    _prometheus_sees(platform, port)
    if trigger == "realtime":
        _checkpoint_is_told(platform)
    assert platform.stop(bars) == ENDED
    if trigger == "realtime":
        _reset_changes_nothing_that_is_stored(platform, ticks)


def _prometheus_sees(platform: Commands, port: int) -> None:
    """Prometheus itself, on what the process serves."""
    program = shutil.which("prometheus")
    if program is None:
        return
    (own,) = free_ports(1)
    config = {
        "global": {"scrape_interval": "1s"},
        "scrape_configs": [{"job_name": "bars", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}],
    }
    (platform.folder / "prometheus.yml").write_text(json.dumps(config))
    process = subprocess.Popen(
        [
            program,
            f"--config.file={platform.folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={platform.folder / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{own}",
            "--log.level=error",
        ],
    )
    try:
        address = f"http://127.0.0.1:{own}"
        eventually(lambda: answers(f"{address}/-/ready"), within_seconds=30, what="Prometheus answers")

        def asked() -> bool:
            query = {"query": "sum by (query) (marketstream_query_lag_messages)"}
            found = httpx.get(f"{address}/api/v1/query", params=query, timeout=5).json()["data"]["result"]
            return [series["metric"] for series in found] == [{"query": "bars"}]

        eventually(asked, within_seconds=30, what="Prometheus has the query's lag")
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)


def _checkpoint_is_told(platform: Commands) -> None:
    """Listed and explained, and not reset while the query runs."""
    listed = {entry["query"]: entry for entry in json.loads(platform.run("checkpoints", "list", "--json"))}
    assert listed["bars"]["running"]
    assert len(listed["bars"]["positions"]) == platform.settings.kafka.partitions
    assert json.loads(platform.run("checkpoints", "explain", "bars", "--json"))["choice"]["resumes"]
    with pytest.raises(AssertionError, match="bars runs"):
        platform.run("checkpoints", "reset", "bars", "--yes")


def _reset_changes_nothing_that_is_stored(platform: Commands, ticks: list[Tick]) -> None:
    """The query loses its state in the middle of bars, which come out whole all the same."""
    said = platform.run("checkpoints", "reset", "bars", "--yes")
    assert "reading what was received since" in said
    more = published(platform.settings, sorted({tick.symbol for tick in ticks}), 10, first=len(ticks) // 2)
    again = platform.start("submit", "bars")
    platform.until(lambda: not bars_faults(platform.settings, ticks + more), "bars equal all their trades", "bars")
    assert platform.stop(again) == ENDED

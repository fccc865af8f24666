"""Kafka as a single KRaft node, from jars in the cache. Writes: `<data_dir>/kafka`."""

import base64
import signal
import subprocess
import sys
import uuid

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from marketstream.contracts.topics import RETENTION_MS
from marketstream.domain.errors import LaunchError
from marketstream.launch.guard import guarded
from marketstream.launch.jars import KAFKA, jars_directory, jars_present
from marketstream.launch.java import find_java
from marketstream.launch.places import infra
from marketstream.launch.servers.base import (
    LOOPBACK,
    Absent,
    Availability,
    Obtainable,
    Ready,
    Server,
    connection_fault,
)
from marketstream.observability.jmx import agent_option

_LOG_LINES = ("-Dlog4j2.level=WARN",)
_JVM = ("-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:InitiatingHeapOccupancyPercent=35", "-Djava.awt.headless=true")
_MIB = 1024 * 1024


class KafkaServer(Server):
    """One broker that is its own controller."""

    name = "kafka"
    title = "Kafka"
    grace_seconds = 30.0
    start_seconds = 120.0

    @property
    def ports(self) -> tuple[int, ...]:
        """The clients' port, the controller's, and that of the agent which shows metrics, if it is on."""
        options = self.settings.kafka
        return options.port, options.controller_port, *([options.metrics_port] if self._agent() else [])

    def availability(self) -> Availability:
        """Jars in the cache, or resolvable."""
        if find_java() is None:
            return Absent("install Java 17 or 21 (a JRE is enough) or point JAVA_HOME at one")
        if jars_present(KAFKA):
            return Ready(str(jars_directory(KAFKA)))
        return Obtainable((sys.executable, "-m", "marketstream.launch.jars"), "resolving Kafka's jars (once, 45 MB)")

    def prepare(self) -> None:
        """Writes the configuration and formats the storage once."""
        self.make_directory()
        properties = "".join(f"{name}={value}\n" for name, value in self._properties().items())
        (self.directory / "server.properties").write_text(properties)
        if not (self.directory / "data" / "meta.properties").exists():
            self._format()

    def command(self) -> list[str]:
        """The broker in the foreground."""
        heap = f"{self.settings.kafka.heap_mb}m"
        options = (f"-Xms{heap}", f"-Xmx{heap}", *_JVM, *self._agent())
        return self._java(*options, "kafka.Kafka", str(self.directory / "server.properties"))

    def fault(self) -> str | None:
        """Metadata from the broker."""
        refused = connection_fault(self.settings.kafka.port)  # spares librdkafka's own complaints while it starts
        if refused is not None:
            return refused
        client = AdminClient({"bootstrap.servers": self.settings.kafka.bootstrap_servers, "log_level": 0})
        try:
            client.list_topics(timeout=3)
        except KafkaException as error:
            return f"Kafka on port {self.settings.kafka.port}: {error}"
        return None

    def _agent(self) -> list[str]:
        option = agent_option(infra("kafka", "jmx-exporter.yml"), LOOPBACK, self.settings.kafka.metrics_port)
        return [option] if option else []

    def _java(self, *arguments: str) -> list[str]:
        java = find_java()
        if java is None:
            raise LaunchError("Kafka needs Java 17 or 21: install one or set JAVA_HOME")
        return [str(java.binary), "-cp", f"{jars_directory(KAFKA)}/*", *_LOG_LINES, *arguments]

    def _format(self) -> None:
        properties = str(self.directory / "server.properties")
        command = self._java("-Xmx128m", "-XX:TieredStopAtLevel=1", "kafka.tools.StorageTool", "format")
        command += [f"--cluster-id={_cluster_id()}", "--config", properties]
        outcome = subprocess.run(
            guarded(command, death_signal=signal.SIGKILL), capture_output=True, text=True, check=False
        )
        if outcome.returncode != 0:
            raise LaunchError(f"Kafka's storage can't be formatted: {outcome.stderr.strip() or outcome.stdout.strip()}")

    def _properties(self) -> dict[str, str | int]:
        port, controller = self.settings.kafka.port, self.settings.kafka.controller_port
        return {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@{LOOPBACK}:{controller}",
            "controller.listener.names": "CONTROLLER",
            "listeners": f"PLAINTEXT://{LOOPBACK}:{port},CONTROLLER://{LOOPBACK}:{controller}",
            "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{port}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": str(self.directory / "data"),
            "auto.create.topics.enable": "false",
            "message.max.bytes": 1_048_588,  # 1 MiB and a record batch's overhead, Kafka's own default
            "log.retention.ms": RETENTION_MS,
            "log.segment.bytes": 128 * _MIB,
            "log.cleaner.dedupe.buffer.size": 16 * _MIB,
            "num.network.threads": 2,
            "num.io.threads": 4,
            "socket.send.buffer.bytes": _MIB,
            "socket.receive.buffer.bytes": _MIB,
            "group.initial.rebalance.delay.ms": 0,
            "offsets.topic.replication.factor": 1,
            "offsets.topic.num.partitions": 8,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "transaction.state.log.num.partitions": 4,
            "share.coordinator.state.topic.replication.factor": 1,
            "share.coordinator.state.topic.min.isr": 1,
        }


def _cluster_id() -> str:
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")

"""Looks for everything that would keep the platform from starting, before anything is started."""

import errno
import shutil
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from marketstream.launch.java import MINIMUM, TRIED, find_java
from marketstream.launch.service import Service

MINIMUM_DISK_GB = 3.0
MINIMUM_MEMORY_GB = 3.0
_GB = 1e9
# The setting that moves a port, where a service's name alone doesn't tell.
_PORT_SETTINGS = {
    "kafka": "MARKETSTREAM_KAFKA__PORT, __CONTROLLER_PORT or __METRICS_PORT",
    "postgres": "MARKETSTREAM_POSTGRES__PORT",
    "redis": "MARKETSTREAM_REDIS__PORT",
    "influxdb": "MARKETSTREAM_INFLUX__PORT",
    "replay": "MARKETSTREAM_REPLAY__PORT",
    "bars": "MARKETSTREAM_STREAMING__UI_PORT or __METRICS_PORT",
    "indicators": "MARKETSTREAM_STREAMING__INDICATORS_UI_PORT or __INDICATORS_METRICS_PORT",
    "spark-master": "MARKETSTREAM_CLUSTER__PORT or __MASTER_UI_PORT",
    "spark-worker": "MARKETSTREAM_CLUSTER__WORKER_UI_PORT",
    "api": "MARKETSTREAM_SERVING__API_PORT",
    "websocket": "MARKETSTREAM_SERVING__WEBSOCKET_PORT",
    "dashboard": "MARKETSTREAM_SERVING__DASHBOARD_PORT",
    "metrics": "MARKETSTREAM_SERVING__METRICS_PORT",
    "prometheus": "MARKETSTREAM_OBSERVABILITY__PROMETHEUS_PORT",
    "alertmanager": "MARKETSTREAM_OBSERVABILITY__ALERTMANAGER_PORT",
    "grafana": "MARKETSTREAM_OBSERVABILITY__GRAFANA_PORT",
}


@dataclass(slots=True)
class Findings:
    """What was found: problems keep the platform from starting, warnings don't."""

    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def inspect_machine(services: Iterable[Service], data_dir: Path) -> Findings:
    """Everything that is wrong, at once: Java, disk, memory, ports."""
    findings = Findings()
    _inspect_java(findings)
    _inspect_room(findings, data_dir)
    for service in services:
        if service.absent is None:
            findings.problems += filter(None, (port_problem(service, port) for port in service.ports))
    return findings


def port_problem(service: Service, port: int) -> str | None:
    """None for a free port, else a sentence that names port, service, holder and the way out."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port in TIME_WAIT is free
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return (
                    f"port {port}, wanted by {service.name}, is held by {_holder(port)}: end it or {_way_out(service)}"
                )
            return f"port {port}, wanted by {service.name}, can't be used ({error.strerror}): {_way_out(service)}"
    return None


def _way_out(service: Service) -> str:
    return f"set {_PORT_SETTINGS[service.name]}" if service.name in _PORT_SETTINGS else "choose another port"


def _holder(port: int) -> str:
    for connection in psutil.net_connections("tcp"):
        if connection.laddr and connection.laddr.port == port and connection.status == psutil.CONN_LISTEN:
            return _describe(connection.pid)
    return "a process that can't be seen from here"


def _describe(pid: int | None) -> str:
    if pid is None:
        return "another user's process"
    try:
        process = psutil.Process(pid)
        return f"{process.name()} (pid {pid}: {' '.join(process.cmdline())[:120]})"
    except psutil.Error:
        return f"pid {pid}"


def _inspect_java(findings: Findings) -> None:
    java = find_java()
    wanted = " or ".join(map(str, TRIED))
    if java is None:
        findings.problems.append(f"no Java is on PATH or under JAVA_HOME: install Java {wanted} (a JRE is enough)")
    elif java.version < MINIMUM:
        findings.problems.append(f"{java.binary} is Java {java.version}: Spark and Kafka need {wanted}; set JAVA_HOME")
    elif java.version not in TRIED:
        findings.warnings.append(f"{java.binary} is Java {java.version}; this platform is tried with {wanted}")


def _inspect_room(findings: Findings, data_dir: Path) -> None:
    existing = next(folder for folder in (data_dir, *data_dir.parents) if folder.exists())
    free = shutil.disk_usage(existing).free / _GB
    if free < MINIMUM_DISK_GB:
        findings.problems.append(
            f"{free:.1f} GB of disk are free under {existing}, and {MINIMUM_DISK_GB:g} GB are needed"
        )
    available = psutil.virtual_memory().available / _GB
    if available < MINIMUM_MEMORY_GB:
        findings.problems.append(f"{available:.1f} GB of memory are available, and {MINIMUM_MEMORY_GB:g} GB are needed")

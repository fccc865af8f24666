"""Everything that keeps the platform from starting is found before anything is started, and said all at once."""

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from marketstream.launch import java, preflight
from marketstream.launch.service import Kind, Service


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def listening(name: str, *ports: int, absent: str | None = None) -> Service:
    return Service(name=name, kind=Kind.SERVER, ports=ports, absent=absent)


def test_a_taken_port_names_port_service_holder_and_setting(taken: int) -> None:
    problem = preflight.port_problem(listening("redis", taken), taken)
    assert problem is not None
    assert f"port {taken}, wanted by redis, is held by" in problem
    assert f"pid {os.getpid()}: " in problem
    assert sys.executable in problem
    assert problem.endswith("set MARKETSTREAM_REDIS__PORT")


def test_a_port_taken_on_every_address_counts() -> None:
    with socket.socket() as listener:
        listener.bind(("0.0.0.0", 0))  # noqa: S104  # the case in question
        listener.listen()
        assert preflight.port_problem(listening("api"), listener.getsockname()[1]) is not None


def test_a_free_port_is_no_problem() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    assert preflight.port_problem(listening("api"), port) is None


def test_all_problems_are_found_at_once(taken: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "MINIMUM_DISK_GB", 1e9)
    monkeypatch.setattr(preflight, "MINIMUM_MEMORY_GB", 1e9)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    services = [listening("kafka", taken), listening("grafana", taken, absent="install it")]
    problems = preflight.inspect_machine(services, tmp_path / "not" / "yet").problems
    assert [word for problem in problems for word in ("Java", "disk", "memory", "kafka") if word in problem] == [
        "Java",
        "disk",
        "memory",
        "kafka",
    ]


@pytest.mark.parametrize(
    ("said", "version", "problems", "warnings"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17, 0, 0),
        ('java version "21" 2023-09-19 LTS', 21, 0, 0),
        ('openjdk version "24.0.1" 2025-04-15', 24, 0, 1),
        ('openjdk version "11.0.20" 2023-07-18', 11, 1, 0),
        ('java version "1.8.0_392"', 8, 1, 0),
    ],
)
def test_java_versions(
    said: str, version: int, problems: int, warnings: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    binary = tmp_path / "bin" / "java"
    binary.parent.mkdir()
    binary.write_text(f"#!/bin/sh\ncat >&2 <<'END'\n{said}\nEND\n")
    binary.chmod(0o700)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert java.find_java() == java.Java(binary, version)
    findings = preflight.Findings()
    preflight._inspect_java(findings)
    assert (len(findings.problems), len(findings.warnings)) == (problems, warnings)


def test_a_java_home_without_java_is_no_java(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert java.find_java() is None


def test_every_service_with_a_port_has_a_way_out() -> None:
    from marketstream.launch.feeds import FeedChoice
    from marketstream.launch.plan import platform_services
    from marketstream.settings import load_settings

    feed = FeedChoice(provider="binance", websocket_url="ws://x", rest_url="http://x", bundled=True)
    for service in platform_services(load_settings(), (feed,)):
        if service.ports:
            assert preflight._way_out(service).startswith("set MARKETSTREAM_"), service.name

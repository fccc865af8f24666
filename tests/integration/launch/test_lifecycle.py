"""The whole platform through its commands: up, up again, deaths, down, and a supervisor that is killed."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from marketstream.launch.leftovers import leftovers
from marketstream.launch.servers.base import connection_fault
from marketstream.testing.platform import Platform, eventually

pytestmark = [pytest.mark.e2e, pytest.mark.servers, pytest.mark.timeout(900)]

LIMIT_SECONDS = 180.0


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    replay = {"PROVIDERS": "binance", "SYMBOLS": "BTCUSDT,ETHUSDT", "REPLAY__TICKS_PER_SECOND": "20"}
    platform = Platform(tmp_path / "data", replay)
    url = f"127.0.0.1:{platform.environment['MARKETSTREAM_REPLAY__PORT']}"
    platform.environment["MARKETSTREAM_BINANCE__WEBSOCKET_URL"] = f"ws://{url}"
    platform.environment["MARKETSTREAM_BINANCE__REST_URL"] = f"http://{url}"
    yield platform
    platform.command("down", limit_seconds=180)


def assert_nothing_is_left(platform: Platform) -> None:
    assert leftovers(platform.settings.data_dir) == []
    ports = [int(value) for name, value in platform.environment.items() if name.endswith("_PORT") and value.isdigit()]
    assert [port for port in ports if connection_fault(port) is None] == []


def test_up_deaths_a_killed_supervisor_up_again_down(platform: Platform) -> None:
    first = platform.command("up", limit_seconds=420)
    assert "bundled replay server" in first.stdout
    before = platform.status()
    assert before["well"], before

    again = platform.command("up", limit_seconds=60)
    assert "already running" in again.stdout
    assert {entry["pid"] for entry in platform.status()["services"]} == {entry["pid"] for entry in before["services"]}

    eventually(
        lambda: platform.service("redis-writer")["lag"] is not None, within_seconds=LIMIT_SECONDS, what="lag is told"
    )
    assert platform.status()["last_tick_age_seconds"] < 30

    for name in ("redis-writer", "postgres"):
        killed = platform.kill(name)
        back = eventually(
            lambda name=name, killed=killed: _back(platform.service(name), killed),
            within_seconds=LIMIT_SECONDS,
            what=f"{name} is back",
        )
        assert back["restarts"] == 1
        assert back["last_ending"] == "ended by SIGKILL"

    os.kill(platform.status()["supervisor_pid"], signal.SIGKILL)
    data_dir = platform.settings.data_dir
    eventually(lambda: not leftovers(data_dir), within_seconds=30, what="every process has gone")
    assert_nothing_is_left(platform)
    platform.command("up", limit_seconds=420)
    assert platform.status()["well"]

    refused = platform.command("clean-data", "--yes", check=False)
    assert "is running" in refused.stderr
    platform.command("down", limit_seconds=180)
    assert_nothing_is_left(platform)
    status = platform.command("status", "--json", check=False)
    assert status.returncode == 1
    assert json.loads(status.stdout)["running"] is False
    assert (platform.settings.data_dir / "kafka" / "data" / "meta.properties").exists()
    platform.command("clean-data", "--yes")
    assert not platform.settings.data_dir.exists()


def _back(entry: dict[str, object], killed: int) -> dict[str, object] | None:
    return entry if entry["well"] and entry["pid"] not in (None, killed) else None


def test_a_taken_port_is_named_before_anything_starts(platform: Platform) -> None:
    port = platform.environment["MARKETSTREAM_REDIS__PORT"]
    code = f"import socket, time; s = socket.create_server(('127.0.0.1', {port})); print('on', flush=True); s.accept()"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "on\n"
            refused = platform.command("up", check=False)
        finally:
            holder.kill()
    assert refused.returncode == 1
    assert f"port {port}, wanted by redis, is held by" in refused.stderr
    assert f"pid {holder.pid}" in refused.stderr
    assert_nothing_is_left(platform)


def test_an_interrupted_up_leaves_nothing(platform: Platform) -> None:
    command = [str(Path(sys.executable).with_name("marketstream")), "up"]
    with subprocess.Popen(command, env=platform.environment, stdout=subprocess.PIPE, text=True) as starting:
        assert starting.stdout is not None
        next(line for line in starting.stdout if line.startswith("postgres: up"))
        starting.send_signal(signal.SIGINT)
        starting.stdout.read()
        assert starting.wait(60) == 130
    assert_nothing_is_left(platform)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_in_front_it_stops_with_its_terminal(platform: Platform, number: signal.Signals) -> None:
    command = [str(Path(sys.executable).with_name("marketstream")), "up", "--foreground"]
    with subprocess.Popen(
        command, env=platform.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as front:
        state = platform.settings.data_dir / "run" / "state.json"
        eventually(
            lambda: (
                state.exists() and any(entry["state"] == "up" for entry in json.loads(state.read_text())["services"])
            ),
            within_seconds=LIMIT_SECONDS,
            what="something is up",
        )
        children = psutil.Process(front.pid).children(recursive=True)
        assert children
        front.send_signal(number)
        assert front.wait(90) == 0
    assert not [child for child in children if child.is_running()]
    assert_nothing_is_left(platform)

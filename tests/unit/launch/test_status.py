"""What the status says, in numbers and in words."""

import json
import os
import time
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from marketstream.cli import app
from marketstream.launch.service import Kind, State
from marketstream.launch.state import PlatformState, RunFolder, ServiceState
from marketstream.launch.status import PlatformStatus, ServiceStatus, changed_settings, first_to_open, platform_status
from marketstream.launch.tables import duration, remark, status_table
from marketstream.settings import load_settings


def service(name: str, state: State = State.UP, **more: object) -> ServiceStatus:
    return ServiceStatus.model_validate({"name": name, "kind": Kind.PROCESS, "state": state, "optional": False, **more})


@pytest.mark.parametrize(
    ("status", "well"),
    [
        (service("a", health="ok"), True),
        (service("a"), True),
        (service("a", health="nothing answers"), False),
        (service("a", State.DONE), True),
        (service("a", State.ABSENT), True),
        (service("a", State.RESTARTING), False),
        (service("a", State.STARTING), False),
        (service("a", State.FAILED), False),
        (service("a", State.DOWN), False),
    ],
)
def test_wellness(status: ServiceStatus, well: bool) -> None:
    assert status.well is well
    assert PlatformStatus(running=True, services=(service("b"), status)).well is well


def test_a_platform_that_does_not_run_is_not_well() -> None:
    assert not PlatformStatus(running=False).well


def test_restarts_are_told_with_their_cause() -> None:
    status = service("bars", restarts=2, last_restart_seconds_ago=65, last_ending="ended by SIGKILL")
    assert remark(status) == "2 restarts, the last 1 min 5 s ago: ended by SIGKILL"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, ""), (0.4, "0 s"), (59, "59 s"), (61, "1 min 1 s"), (3_700, "1 h 1 min"), (90_000, "1 d 1 h")],
)
def test_durations(seconds: float | None, words: str) -> None:
    assert duration(seconds) == words


def test_the_table_has_everything_a_person_asks_for() -> None:
    status = PlatformStatus(
        running=True,
        feed="binance, from the bundled replay server",
        last_tick_age_seconds=2,
        changed_settings=("MARKETSTREAM_SYMBOLS",),
        services=(
            service("dashboard", health="ok", address="http://127.0.0.1:8050", memory_mb=100.4, uptime_seconds=5),
            service("redis-writer", lag=1234),
            service("influxdb", State.ABSENT, reason="install it like so"),
            service("api", health="status 500"),
        ),
    )
    console = Console(width=160, record=True, file=open(os.devnull, "w"))  # noqa: SIM115  # the console's own
    console.print(status_table(status))
    text = console.export_text()
    for expected in (
        "http://127.0.0.1:8050",
        "100 MB",
        "1,234",
        "influxdb: install it like so",
        "unhealthy",
        "status 500",
        "binance, from the bundled replay server",
        "2 s ago",
        "MARKETSTREAM_SYMBOLS",
    ):
        assert expected in text
    console.file.close()


def test_only_what_runs_is_offered_to_open() -> None:
    services = [service("dashboard", address="http://a"), service("grafana", State.ABSENT, address="http://b")]
    assert first_to_open(services) == [("Charts", "http://a")]


def published(pid: int, fingerprint: dict[str, str] | None = None) -> PlatformState:
    entry = ServiceState(
        name="producer",
        kind=Kind.PROCESS,
        state=State.UP,
        reason="",
        optional=False,
        pid=pid,
        since=time.time() - 10,
        restarts=0,
        restarted_at=None,
        last_ending="",
        ports=(),
        address="",
    )
    return PlatformState(
        supervisor_pid=os.getpid(),
        started_at=time.time() - 20,
        feed="x",
        fingerprint=fingerprint or {},
        services=(entry,),
    )


def test_changed_settings_are_named(tmp_path: Path) -> None:
    settings = load_settings(data_dir=tmp_path)
    from marketstream.launch.daemon import fingerprint

    same = published(1, fingerprint(settings))
    assert changed_settings(same, settings) == ()
    other = load_settings(data_dir=tmp_path, symbols=["AAA"])
    assert changed_settings(same, other) == ("MARKETSTREAM_SYMBOLS",)


def test_a_published_process_that_has_gone_is_found_out(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    with folder.locked():
        for pid, well in ((os.getpid(), True), (2**22 + 1, False)):
            folder.write(published(pid))
            (status,) = platform_status(load_settings(data_dir=tmp_path, kafka={"port": 1})).services
            assert status.well is well
    assert status.health == "its process has gone"


def test_the_command_says_down_and_exits_with_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARKETSTREAM_DATA_DIR", str(tmp_path / "none"))
    monkeypatch.setenv("MARKETSTREAM_LAUNCH", "native")
    answer = CliRunner().invoke(app, ["status", "--json"])
    assert answer.exit_code == 1
    report = json.loads(answer.stdout)
    assert report["running"] is False
    assert {entry["state"] for entry in report["services"]} <= {"down", "absent"}
    assert "kafka" in {entry["name"] for entry in report["services"]}


def test_data_is_removed_only_where_it_is_ours_and_at_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARKETSTREAM_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("MARKETSTREAM_LAUNCH", "native")
    precious = tmp_path / "thesis.txt"
    precious.write_text("years of work")
    runner = CliRunner()
    assert "doesn't look like" in str(runner.invoke(app, ["clean-data", "--yes"]).exception)
    folder = RunFolder(tmp_path)
    with folder.locked():
        assert "is running" in str(runner.invoke(app, ["clean-data", "--yes"]).exception)
    assert "say --yes" in str(runner.invoke(app, ["clean-data"]).exception)
    assert precious.exists()
    assert runner.invoke(app, ["clean-data", "--yes"]).exit_code == 0
    assert not tmp_path.exists()


def test_logs_of_an_unknown_service_name_the_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARKETSTREAM_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("MARKETSTREAM_LAUNCH", "native")
    logs = RunFolder(tmp_path).logs
    logs.mkdir()
    (logs / "api.log").write_text("one\ntwo\nthree\n")
    runner = CliRunner()
    assert runner.invoke(app, ["logs", "api", "-n", "2"]).stdout == "two\nthree\n"
    assert "these have: api" in str(runner.invoke(app, ["logs", "nope"]).exception)

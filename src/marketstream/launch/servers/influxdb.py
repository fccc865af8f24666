"""InfluxDB 2, from PATH or built once from its Go module. Writes: `<data_dir>/influxdb`."""

import subprocess
import sys
from pathlib import Path

import httpx

from marketstream.domain.errors import LaunchError
from marketstream.launch.answers import ask
from marketstream.launch.influx_build import built_binary, missing_tools
from marketstream.launch.places import on_path
from marketstream.launch.secrets import admin_secret
from marketstream.launch.servers.base import LOOPBACK, Absent, Availability, Obtainable, Ready, Server

_ADMIN = "admin"
_DAY_SECONDS = 24 * 3_600
_MIB = 1024 * 1024


class InfluxServer(Server):
    """One InfluxDB with its organisation, its bucket and one token."""

    name = "influxdb"
    title = "InfluxDB"

    @property
    def ports(self) -> tuple[int, ...]:
        """The HTTP API's port."""
        return (self.settings.influx.port,)

    def availability(self) -> Availability:
        """PATH, the cache, or a build where its tools are."""
        binary = _binary()
        if binary is not None:
            return Ready(str(binary))
        missing = missing_tools()
        if missing:
            return Absent(
                f"install influxd 2.7, or what builds it once (missing here: {', '.join(missing)}), and `make up` again"
            )
        command = (sys.executable, "-m", "marketstream.launch.influx_build")
        return Obtainable(command, "building InfluxDB from its Go module (once, 2-5 min)")

    def prepare(self) -> None:
        """Creates the data directory."""
        self.make_directory()

    def command(self) -> list[str]:
        """The server in the foreground."""
        binary = _binary()
        if binary is None:
            raise LaunchError("influxd is neither on PATH nor built")
        return [str(binary)]

    def environment(self) -> dict[str, str]:
        """The whole configuration; memory limits fit a machine shared with everything else."""
        return {
            "INFLUXD_BOLT_PATH": str(self.directory / "influxd.bolt"),
            "INFLUXD_SQLITE_PATH": str(self.directory / "influxd.sqlite"),
            "INFLUXD_ENGINE_PATH": str(self.directory / "engine"),
            "INFLUXD_HTTP_BIND_ADDRESS": f"{LOOPBACK}:{self.settings.influx.port}",
            "INFLUXD_REPORTING_DISABLED": "true",
            "INFLUXD_LOG_LEVEL": "warn",
            "INFLUXD_STORAGE_CACHE_MAX_MEMORY_SIZE": str(256 * _MIB),
            "INFLUXD_STORAGE_CACHE_SNAPSHOT_MEMORY_SIZE": str(16 * _MIB),
            "INFLUXD_STORAGE_MAX_CONCURRENT_COMPACTIONS": "1",
            "INFLUXD_QUERY_CONCURRENCY": "8",
            "INFLUXD_QUERY_QUEUE_SIZE": "64",
            "GOMEMLIMIT": f"{384 * _MIB}",
        }

    def fault(self) -> str | None:
        """Its own health report."""
        try:
            answer = ask(f"{self._url}/health")
        except httpx.HTTPError as error:
            return f"InfluxDB on port {self.settings.influx.port}: {error}"
        if answer.status_code != httpx.codes.OK:
            return f"InfluxDB on port {self.settings.influx.port}: {answer.text[:200]}"
        return None

    def after_start(self) -> None:
        """Onboards a new instance, and sees to it that the token opens it."""
        options = self.settings.influx
        try:
            with httpx.Client(base_url=self._url, timeout=20) as client:
                if client.get("/api/v2/setup").raise_for_status().json()["allowed"]:
                    client.post("/api/v2/setup", json=self._onboarding()).raise_for_status()
                headers = {"Authorization": f"Token {options.token.get_secret_value()}"}
                buckets = client.get("/api/v2/buckets", params={"name": options.bucket}, headers=headers)
        except httpx.HTTPError as error:
            raise LaunchError(f"InfluxDB refused its set-up: {error}") from error
        if buckets.status_code != httpx.codes.OK:
            raise LaunchError(
                "InfluxDB doesn't accept the token of the settings; it keeps the one it was set up with:"
                f" put that back, or remove its data ({self.directory})"
            )

    @property
    def _url(self) -> str:
        return f"http://{LOOPBACK}:{self.settings.influx.port}"

    def _onboarding(self) -> dict[str, str | int]:
        options = self.settings.influx
        return {
            "username": _ADMIN,
            "password": admin_secret(self.settings.data_dir, "INFLUXDB_ADMIN_PASSWORD"),
            "org": options.organisation,
            "bucket": options.bucket,
            "retentionPeriodSeconds": options.retention_days * _DAY_SECONDS,
            "token": options.token.get_secret_value(),
        }


def _binary() -> Path | None:
    found = on_path("influxd")
    if found is not None and _is_version_2(found):
        return found
    return built_binary()


def _is_version_2(binary: Path) -> bool:
    outcome = subprocess.run([binary, "version"], capture_output=True, text=True, check=False)
    return "InfluxDB v1" not in outcome.stdout and "InfluxDB" in outcome.stdout

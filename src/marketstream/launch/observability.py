"""Prometheus, Alertmanager and Grafana, where this machine has them. Writes: a folder of each under `<data_dir>`."""

from collections.abc import Mapping
from pathlib import Path

from marketstream.domain.errors import LaunchError
from marketstream.launch.answers import http_fault
from marketstream.launch.places import checkout, infra, on_path
from marketstream.launch.secrets import admin_secret
from marketstream.launch.servers.base import LOOPBACK
from marketstream.launch.service import Kind, Service
from marketstream.settings import Settings

_ALERTMANAGERS = ("alertmanager", "prometheus-alertmanager")  # upstream's name, Debian's name
_GRAFANAS = ("grafana", "grafana-server")
_GRAFANA_HOMES = (Path("/usr/share/grafana"), Path("/opt/homebrew/share/grafana"), Path("/usr/local/share/grafana"))


def observability_services(settings: Settings) -> tuple[Service, ...]:
    """The three, each absent with a way to get it where its program isn't on PATH."""
    return _prometheus(settings), _alertmanager(settings), _grafana(settings)


def _prometheus(settings: Settings) -> Service:
    port = settings.observability.prometheus_port
    home = settings.data_dir / "prometheus"
    binary = on_path("prometheus")
    options = ["--storage.tsdb.retention.time=15d", "--enable-feature=exemplar-storage", "--log.level=warn"]
    command = [
        str(binary),
        f"--config.file={home / 'prometheus.yml'}",
        f"--storage.tsdb.path={home / 'data'}",
        *options,
    ]
    return Service(
        name="prometheus",
        kind=Kind.OBSERVABILITY,
        absent=None if binary else "install prometheus (Debian: apt install prometheus)",
        optional=True,
        after=("metrics",),
        prepare=lambda: _configure_prometheus(settings, home),
        command=lambda: [*command, f"--web.listen-address={LOOPBACK}:{port}"],
        fault=lambda: http_fault(f"http://{LOOPBACK}:{port}/-/ready"),
        ports=(port,),
        address=f"http://{LOOPBACK}:{port}",
    )


def _configure_prometheus(settings: Settings, home: Path) -> None:
    """Puts the checkout's configuration beside the data, with the ports of these settings."""
    home.mkdir(parents=True, exist_ok=True)
    text = infra("prometheus", "prometheus.yml").read_text()
    for usual, port in _actual_ports(settings).items():
        text = text.replace(f'"{LOOPBACK}:{usual}"', f'"{LOOPBACK}:{port}"' if port else "")
    (home / "prometheus.yml").write_text(text)
    for name in ("recording.yml", "rules.yml"):
        (home / name).write_text(infra("prometheus", name).read_text())


def _actual_ports(settings: Settings) -> Mapping[int, int]:
    """Where each target of the checkout's configuration is with these settings; 0 where there is none."""
    return {
        9100: settings.serving.metrics_port,
        9090: settings.observability.prometheus_port,
        9093: 0 if _absent(_ALERTMANAGERS) else settings.observability.alertmanager_port,
        9404: settings.kafka.metrics_port,
        9405: settings.streaming.metrics_port,
        9406: settings.streaming.indicators_metrics_port,
        8086: settings.influx.port,
    }


def _absent(names: tuple[str, ...]) -> bool:
    return not any(map(on_path, names))


def _alertmanager(settings: Settings) -> Service:
    port = settings.observability.alertmanager_port
    home = settings.data_dir / "alertmanager"
    binary = next(filter(None, map(on_path, _ALERTMANAGERS)), None)
    return Service(
        name="alertmanager",
        kind=Kind.OBSERVABILITY,
        absent=None if binary else "install alertmanager (Debian: apt install prometheus-alertmanager)",
        optional=True,
        prepare=lambda: home.mkdir(parents=True, exist_ok=True),
        command=lambda: [
            str(binary),
            f"--config.file={infra('alertmanager', 'alertmanager.yml')}",
            f"--storage.path={home}",
            f"--web.listen-address={LOOPBACK}:{port}",
            "--cluster.listen-address=",
            "--log.level=warn",
        ],
        fault=lambda: http_fault(f"http://{LOOPBACK}:{port}/-/ready"),
        ports=(port,),
        address=f"http://{LOOPBACK}:{port}",
    )


def _grafana(settings: Settings) -> Service:
    port = settings.observability.grafana_port
    binary = next(filter(None, map(on_path, _GRAFANAS)), None)
    subcommand = ["server"] if binary is not None and binary.name == "grafana" else []
    return Service(
        name="grafana",
        kind=Kind.OBSERVABILITY,
        absent=None
        if binary
        else "install Grafana from grafana.com (no package of it is in Debian), or use containers",
        optional=True,
        after=("postgres", "prometheus"),
        command=lambda: [str(binary), *subcommand, f"--homepath={_grafana_home()}"],
        environment=lambda: _grafana_environment(settings),
        fault=lambda: http_fault(f"http://{LOOPBACK}:{port}/api/health"),
        ports=(port,),
        address=f"http://{LOOPBACK}:{port}",
    )


def _grafana_home() -> Path:
    for home in _GRAFANA_HOMES:
        if home.exists():
            return home
    raise LaunchError(f"Grafana's own files are in none of {', '.join(map(str, _GRAFANA_HOMES))}")


def _grafana_environment(settings: Settings) -> Mapping[str, str]:
    home = settings.data_dir / "grafana"
    postgres, influx = settings.postgres, settings.influx
    return {
        "GF_SERVER_HTTP_ADDR": LOOPBACK,
        "GF_SERVER_HTTP_PORT": str(settings.observability.grafana_port),
        "GF_PATHS_DATA": str(home),
        "GF_PATHS_LOGS": str(home / "logs"),
        "GF_PATHS_PLUGINS": str(home / "plugins"),
        "GF_PATHS_PROVISIONING": str(checkout("grafana", "provisioning")),
        "GF_SECURITY_ADMIN_PASSWORD": admin_secret(settings.data_dir, "GRAFANA_ADMIN_PASSWORD"),
        "GF_USERS_ALLOW_SIGN_UP": "false",
        "GF_ANALYTICS_REPORTING_ENABLED": "false",
        "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
        "GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH": str(checkout("grafana", "dashboards", "system.json")),
        "DASHBOARDS_DIRECTORY": str(checkout("grafana", "dashboards")),
        "ALERTMANAGER_URL": f"http://{LOOPBACK}:{settings.observability.alertmanager_port}",
        "PROMETHEUS_URL": f"http://{LOOPBACK}:{settings.observability.prometheus_port}",
        "POSTGRES_ADDRESS": f"{postgres.host}:{postgres.port}",
        "POSTGRES_DATABASE": postgres.database,
        "POSTGRES_READER": postgres.reader,
        "POSTGRES_READER_PASSWORD": postgres.reader_password.get_secret_value(),
        "INFLUXDB_URL": influx.url,
        "INFLUXDB_ORGANISATION": influx.organisation,
        "INFLUXDB_BUCKET": influx.bucket,
        "INFLUXDB_TOKEN": influx.token.get_secret_value(),
    }

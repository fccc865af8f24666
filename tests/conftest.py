"""Real servers for tests: started on first use, on free ports, in a temporary directory; stopped when the session ends.

Every fixture here yields a `Settings` whose ports and passwords point at what runs, or the URL of a lake. A server that
this machine lacks is a failure, except InfluxDB and the object store, which are skipped unless
MARKETSTREAM_REQUIRE_SERVERS=1.
"""

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import pytest
import structlog
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from marketstream.launch.running import running
from marketstream.launch.secrets import ensure_secrets
from marketstream.launch.servers import Absent, Obtainable, all_servers
from marketstream.settings import Settings, load_settings
from marketstream.testing.platform import free_ports
from object_stores import BUCKET, KEYS, ObjectStoreServer, make_bucket

# So that helpers' assertions tell what they compared, as tests' do.
pytest.register_assert_rewrite(
    *(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem not in sys.modules)
)
# A busy machine is slow now and then, which says nothing of the code.
hypothesis_settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("patient")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Which tests run and how hard tests/chaos goes about it; `make test-long`, `test-chaos`, `test-crash` do more."""
    parser.addoption("--long", action="store_true", help="run the tests marked long, too")
    parser.addoption(
        "--s3-endpoint",
        help="run the lake's tests there, such as 127.0.0.1:9000, by the keys of tests/object_stores.py",
    )
    group = parser.getgroup("chaos")
    group.addoption("--chaos-faults", type=int, default=6, help="how many faults a run injects")
    group.addoption("--chaos-seconds", type=float, default=24.0, help="over how long they are spread")
    group.addoption("--chaos-rate", type=float, default=400.0, help="ticks a second")
    group.addoption("--chaos-providers", default="polygon", help="separated by commas")
    group.addoption("--chaos-seed", type=int, default=1, help="of the faults' order")
    group.addoption("--crash-rounds", type=int, default=7, help="how many processes a run kills")
    group.addoption("--crash-seconds", type=float, default=45.0, help="over how long the day is played")
    group.addoption("--crash-trades", type=int, default=12_000, help="about how many trades the day has")
    group.addoption("--crash-seed", type=int, default=1, help="of the kills' order and moments")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out the long tests unless they are asked for."""
    if config.getoption("--long"):
        return
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker(pytest.mark.skip(reason="long: another way of what a shorter test does; `make test-long`"))


def _isolated_settings(data_dir: Path) -> Settings:
    """Settings with a port of their own for everything, and with generated passwords."""
    kafka, controller, postgres, redis, influx, api, dashboard, metrics, bars, indicators, replay, websocket = (
        free_ports(12)
    )
    ensure_secrets(data_dir)
    return load_settings(
        data_dir=data_dir,
        kafka={"port": kafka, "controller_port": controller, "metrics_port": 0, "heap_mb": 256},
        postgres={"port": postgres},
        redis={"port": redis},
        influx={"port": influx},
        serving={"api_port": api, "websocket_port": websocket, "dashboard_port": dashboard, "metrics_port": metrics},
        streaming={
            "ui_port": bars,
            "indicators_ui_port": indicators,
            "metrics_port": 0,
            "indicators_metrics_port": 0,
        },
        replay={"port": replay},
    )


class ServerPool:
    """Starts each server at most once."""

    def __init__(self, data_dir: Path) -> None:
        self.settings = _isolated_settings(data_dir)
        self._servers = {server.name: server for server in all_servers(self.settings)}
        self._started: set[str] = set()
        self._stack = ExitStack()

    def require(self, *names: str) -> Settings:
        """Settings that point at these running servers."""
        for name in names:
            server = self._servers[name]
            _skip_without_influxdb(name, server.availability())
            if name not in self._started:
                self._stack.enter_context(running(server, self.settings.data_dir / "logs" / f"{name}.log"))
                self._started.add(name)
        return self.settings

    def close(self) -> None:
        """Stops all of them, the newest first."""
        self._stack.close()


def _skip_without_influxdb(name: str, availability: object) -> None:
    if name != "influxdb" or os.environ.get("MARKETSTREAM_REQUIRE_SERVERS") == "1":
        return
    if isinstance(availability, Absent):
        pytest.skip(f"InfluxDB is not here: {availability.reason}")
    if isinstance(availability, Obtainable):
        pytest.skip("InfluxDB is not built yet: `make up` or `python -m marketstream.launch.influx_build` builds it")


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    """A command run within a test sets up logging onto that test's own output, which is closed when it ends."""
    yield
    structlog.reset_defaults()
    root = logging.getLogger()
    for handler in list(root.handlers):
        if isinstance(handler.formatter, structlog.stdlib.ProcessorFormatter):
            root.removeHandler(handler)


@pytest.fixture(scope="session")
def isolated_settings() -> Callable[[Path], Settings]:
    """`isolated_settings(data_dir)` gives settings with free ports and passwords of their own; nothing runs there."""
    return _isolated_settings


@pytest.fixture(scope="session")
def _server_pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerPool]:
    pool = ServerPool(tmp_path_factory.mktemp("servers"))
    try:
        yield pool
    finally:
        pool.close()


@pytest.fixture(scope="session")
def server_settings(_server_pool: ServerPool) -> Callable[..., Settings]:
    """`server_settings("kafka", "redis")` gives settings that point at these, running."""
    return _server_pool.require


@pytest.fixture(scope="session")
def kafka_settings(_server_pool: ServerPool) -> Settings:
    """Settings that point at a running Kafka; topics are the test's to create, under random names."""
    return _server_pool.require("kafka")


@pytest.fixture(scope="session")
def postgres_settings(_server_pool: ServerPool) -> Settings:
    """Settings that point at a running PostgreSQL with its roles, its database and no tables."""
    return _server_pool.require("postgres")


@pytest.fixture(scope="session")
def redis_settings(_server_pool: ServerPool) -> Settings:
    """Settings that point at a running, empty Redis."""
    return _server_pool.require("redis")


@pytest.fixture(scope="session")
def influx_settings(_server_pool: ServerPool) -> Settings:
    """Settings that point at a running InfluxDB with its bucket."""
    return _server_pool.require("influxdb")


@pytest.fixture(scope="session")
def _s3_endpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    given = request.config.getoption("--s3-endpoint")
    if given:
        make_bucket(given)
        yield given
        return
    server = ObjectStoreServer(tmp_path_factory.mktemp("object-store"))
    availability = server.availability()
    if isinstance(availability, Absent) and os.environ.get("MARKETSTREAM_REQUIRE_SERVERS") != "1":
        pytest.skip(f"no object store is here: {availability.reason}")
    with running(server, server.settings.data_dir / "seaweedfs.log"):
        yield server.endpoint


@pytest.fixture
def s3_environment(_s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What a user of a store that speaks S3 has in the environment; set while the test runs."""
    variables = {**KEYS, "AWS_ENDPOINT_URL": f"http://{_s3_endpoint}"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return variables


@pytest.fixture
def s3_lake(s3_environment: dict[str, str]) -> str:
    """The URL of a new lake in an object store."""
    return f"s3a://{BUCKET}/{uuid4().hex}"


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.servers)])
def lake_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a new lake: once a folder, once in an object store."""
    return str(tmp_path / "lake") if request.param == "folder" else request.getfixturevalue("s3_lake")

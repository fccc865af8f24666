"""Each server starts from nothing, lets only its own clients in, keeps its data over a restart and leaves nothing."""

import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import psycopg2
import pytest
import redis
from confluent_kafka.admin import AdminClient

from marketstream.bus.admin import ensure_topics
from marketstream.domain.errors import LaunchError
from marketstream.launch.running import running
from marketstream.launch.servers import Absent, InfluxServer, KafkaServer, PostgresServer, RedisServer
from marketstream.launch.servers.base import Server, connection_fault
from marketstream.settings import PostgresSettings, Settings

pytestmark = pytest.mark.servers


MakeSettings = Callable[[Path], Settings]


@pytest.fixture
def settings(isolated_settings: MakeSettings, tmp_path: Path) -> Settings:
    return isolated_settings(tmp_path / "data")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "server.log"


def listening_addresses(pid: int) -> set[str]:
    connections = psutil.Process(pid).net_connections("tcp")
    return {connection.laddr.ip for connection in connections if connection.status == psutil.CONN_LISTEN}


def assert_nothing_left(server: Server, pid: int) -> None:
    assert all(connection_fault(port) is not None for port in server.ports)
    assert not [process for process in psutil.process_iter(["pid"]) if _in_group(process.pid, pid)]


def _in_group(pid: int, group: int) -> bool:
    try:
        return os.getpgid(pid) == group
    except ProcessLookupError:
        return False


def test_kafka_keeps_topics_over_a_restart(settings: Settings, log: Path) -> None:
    server = KafkaServer(settings)
    with running(server, log) as process:
        assert ensure_topics(settings.kafka.bootstrap_servers, ("kept",), 3) == ["kept"]
        assert listening_addresses(process.pid) <= {"127.0.0.1", "::ffff:127.0.0.1"}
    assert_nothing_left(server, process.pid)
    with running(server, log):
        topics = AdminClient({"bootstrap.servers": settings.kafka.bootstrap_servers}).list_topics(timeout=10).topics
        assert len(topics["kept"].partitions) == 3


def connect(options: PostgresSettings, user: str, password: str) -> "psycopg2.extensions.connection":
    return psycopg2.connect(
        host=options.host, port=options.port, user=user, password=password, dbname=options.database, connect_timeout=5
    )


def test_postgres_has_its_roles_and_keeps_rows_over_a_restart(settings: Settings, log: Path) -> None:
    server = PostgresServer(settings)
    options = settings.postgres
    owner = options.owner, options.owner_password.get_secret_value()
    with running(server, log) as process:
        with connect(options, *owner) as connection, connection.cursor() as cursor:
            cursor.execute("create table kept (n int)")
            cursor.execute("insert into kept values (42)")
        connection.close()
        assert listening_addresses(process.pid) == {"127.0.0.1"}
    assert_nothing_left(server, process.pid)
    with running(server, log):
        with connect(options, *owner) as connection, connection.cursor() as cursor:
            cursor.execute("select n from kept")
            assert cursor.fetchall() == [(42,)]
        connection.close()


@pytest.fixture
def running_postgres(settings: Settings, log: Path) -> Iterator[Settings]:
    with running(PostgresServer(settings), log):
        yield settings


def test_postgres_refuses_wrong_passwords_and_strangers(running_postgres: Settings) -> None:
    options = running_postgres.postgres
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        connect(options, options.reader, "wrong")
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        connect(options, "nobody_known", "wrong")


def test_postgres_reader_and_writer_own_nothing(running_postgres: Settings) -> None:
    options = running_postgres.postgres
    for user, password in (
        (options.writer, options.writer_password),
        (options.reader, options.reader_password),
        (options.access, options.access_password),
    ):
        connection = connect(options, user, password.get_secret_value())
        with connection.cursor() as cursor:
            cursor.execute("select rolsuper or rolcreatedb or rolcreaterole from pg_roles where rolname = current_user")
            assert cursor.fetchone() == (False,)
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                cursor.execute(f'create table "{options.schema_name}".mine (n int)')
        connection.close()


def test_postgres_survives_sigkill(settings: Settings, log: Path) -> None:
    server = PostgresServer(settings)
    with running(server, log) as process:
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    with running(server, log):
        assert server.fault() is None


def test_postgres_runs_from_every_source_here(
    isolated_settings: MakeSettings, tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from marketstream.launch.servers import postgres

    folders = list(postgres._folders())
    for number, folder in enumerate(folders):
        monkeypatch.setattr(postgres, "_folders", lambda folder=folder: iter([folder]))
        fresh = isolated_settings(tmp_path / str(number))
        with running(PostgresServer(fresh), log):
            connection = connect(fresh.postgres, fresh.postgres.owner, fresh.postgres.owner_password.get_secret_value())
            assert str(connection.server_version // 10_000) == postgres._major(folder)
            connection.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to give up being root")
def test_postgres_runs_for_root_from_a_closed_home(isolated_settings: MakeSettings, log: Path, tmp_path: Path) -> None:
    closed = tmp_path / "home"
    closed.mkdir(mode=0o700)
    server = PostgresServer(isolated_settings(closed / "deep" / "data"))
    with running(server, log):
        assert server.fault() is None
    shutil.rmtree(closed)


@pytest.fixture
def without_namespaces(monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root has to give up being root")
    monkeypatch.setattr("marketstream.launch.servers.postgres._works", lambda _run_as: False)


@pytest.mark.usefixtures("without_namespaces")
def test_postgres_runs_as_somebody_else_where_namespaces_are_forbidden(
    isolated_settings: MakeSettings, log: Path
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        server = PostgresServer(isolated_settings(Path(folder) / "data"))
        with running(server, log) as process:
            assert psutil.Process(process.pid).uids().effective != 0
            assert server.fault() is None
        assert_nothing_left(server, process.pid)


@pytest.mark.usefixtures("without_namespaces")
def test_postgres_says_what_to_do_where_nobody_else_gets_in(
    isolated_settings: MakeSettings, log: Path, tmp_path: Path
) -> None:
    tmp_path.chmod(0o700)
    with (
        pytest.raises(LaunchError, match="set MARKETSTREAM_DATA_DIR"),
        running(PostgresServer(isolated_settings(tmp_path / "data")), log),
    ):
        pass


def test_redis_wants_its_password_and_keeps_keys_over_a_restart(settings: Settings, log: Path) -> None:
    server = RedisServer(settings)
    options = settings.redis
    with running(server, log) as process:
        with redis.Redis(port=options.port, password=options.password.get_secret_value()) as client:
            client.set("kept", "42")
        with redis.Redis(port=options.port) as stranger, pytest.raises(redis.AuthenticationError):
            stranger.ping()
        assert listening_addresses(process.pid) == {"127.0.0.1"}
        assert options.password.get_secret_value() not in " ".join(psutil.Process(process.pid).cmdline())
    assert_nothing_left(server, process.pid)
    with (
        running(server, log),
        redis.Redis(port=options.port, password=options.password.get_secret_value()) as client,
    ):
        assert client.get("kept") == b"42"


def test_influxdb_is_onboarded_once(settings: Settings, log: Path) -> None:
    server = InfluxServer(settings)
    availability = server.availability()
    if isinstance(availability, Absent) and os.environ.get("MARKETSTREAM_REQUIRE_SERVERS") != "1":
        pytest.skip(availability.reason)
    headers = {"Authorization": f"Token {settings.influx.token.get_secret_value()}"}
    for _ in range(2):
        with running(server, log) as process:
            buckets = httpx.get(f"{settings.influx.url}/api/v2/buckets", headers=headers).json()["buckets"]
            wanted = next(bucket for bucket in buckets if bucket["name"] == settings.influx.bucket)
            assert wanted["retentionRules"][0]["everySeconds"] == settings.influx.retention_days * 86_400
            assert httpx.get(f"{settings.influx.url}/api/v2/buckets").status_code == 401
            assert listening_addresses(process.pid) == {"127.0.0.1"}
        assert_nothing_left(server, process.pid)

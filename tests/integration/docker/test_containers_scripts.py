"""What containers run at their start, run here against the same servers without containers."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
import redis
import yaml
from psycopg2 import sql

from marketstream.launch.secrets import admin_secret
from marketstream.launch.servers import all_servers
from marketstream.launch.servers.postgres import SUPERUSER
from marketstream.settings import Settings

pytestmark = pytest.mark.servers

DOCKER = Path(__file__).parents[3] / "infra" / "docker"
ROLES = ("marketstream_owner", "marketstream_writer", "marketstream_reader", "marketstream_access")
DATABASE = "container_start"


@pytest.fixture
def superuser(postgres_settings: Settings) -> Iterator[dict[str, str]]:
    """The environment that PostgreSQL's image gives its set-up scripts, on a server without the platform's roles."""
    options = postgres_settings.postgres
    password = admin_secret(postgres_settings.data_dir, "POSTGRES_SUPERUSER_PASSWORD")
    connection = psycopg2.connect(
        host=options.host, port=options.port, user=SUPERUSER, password=password, dbname="postgres"
    )
    connection.autocommit = True
    with connection.cursor() as cursor:
        for role in ROLES:  # out of the way, and back afterwards
            cursor.execute(sql.SQL("alter role {} rename to {}").format(*map(sql.Identifier, (role, f"{role}_kept"))))
        cursor.execute(sql.SQL("create database {}").format(sql.Identifier(DATABASE)))
    yield {
        "PGHOST": options.host,
        "PGPORT": str(options.port),
        "PGPASSWORD": password,
        "POSTGRES_USER": SUPERUSER,
        "POSTGRES_DB": DATABASE,
        "OWNER_PASSWORD": "o'w\"n $er",
        "WRITER_PASSWORD": "writer",
        "READER_PASSWORD": "reader",
        "ACCESS_PASSWORD": "access",
    }
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(DATABASE)))
        for role in ROLES:
            cursor.execute(sql.SQL("drop role if exists {}").format(sql.Identifier(role)))
            cursor.execute(sql.SQL("alter role {} rename to {}").format(*map(sql.Identifier, (f"{role}_kept", role))))
        for role, secret in zip(ROLES, _passwords(postgres_settings), strict=True):  # renaming may drop a password
            cursor.execute(sql.SQL("alter role {} password {}").format(sql.Identifier(role), sql.Literal(secret)))
    connection.close()


def _passwords(settings: Settings) -> list[str]:
    options = settings.postgres
    held = (options.owner_password, options.writer_password, options.reader_password, options.access_password)
    return [password.get_secret_value() for password in held]


def test_the_database_starts_with_its_roles(superuser: dict[str, str], postgres_settings: Settings) -> None:
    binaries = _postgres_binaries(postgres_settings)
    environment = {**os.environ, **superuser, "PATH": f"{binaries}:{os.environ['PATH']}"}
    subprocess.run([str(DOCKER / "timescaledb" / "roles.sh")], env=environment, check=True, capture_output=True)

    def connect(role: str, password: str) -> "psycopg2.extensions.connection":
        port = int(superuser["PGPORT"])
        return psycopg2.connect(host="127.0.0.1", port=port, user=role, password=password, dbname=DATABASE)

    owner = connect("marketstream_owner", superuser["OWNER_PASSWORD"])
    with owner, owner.cursor() as cursor:
        cursor.execute("create table probe (id int); grant select on probe to marketstream_reader")
    owner.close()
    reader = connect("marketstream_reader", "reader")
    with reader.cursor() as cursor:
        cursor.execute("select * from probe")
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            cursor.execute("insert into probe values (1)")
    reader.close()
    writer = connect("marketstream_writer", "writer")
    with writer.cursor() as cursor, pytest.raises(psycopg2.errors.InsufficientPrivilege):
        cursor.execute("create table mine (id int)")
    writer.close()


def _postgres_binaries(settings: Settings) -> str:
    server = next(server for server in all_servers(settings) if server.name == "postgres")
    return str(Path(server.command()[0]).parent)


def test_redis_takes_its_configuration_and_password_from_standard_input(
    tmp_path: Path, redis_settings: Settings, free_ports: list[int]
) -> None:
    service = yaml.safe_load((DOCKER / "core.yml").read_text())["services"]["redis"]
    shell, flag, script = service["command"]
    server = next(server for server in all_servers(redis_settings) if server.name == "redis")
    script = (
        script.replace("$$", "$")
        .replace("dir /data", f"dir {tmp_path}")
        .replace("'save", f"'port {free_ports[0]}' 'bind 127.0.0.1' 'save")
    )
    script = script.replace("redis-server -", f"{server.command()[0]} -")
    process = subprocess.Popen(
        [shell, flag, script],
        env={**os.environ, "REDIS_PASSWORD": "hidden"},
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        client = redis.Redis(port=free_ports[0], password="hidden")
        _until_answered(client)
        assert client.config_get("appendonly") == {"appendonly": "yes"}
        assert client.config_get("maxmemory") == {"maxmemory": str(512 * 1024 * 1024)}
        assert "hidden" not in Path(f"/proc/{process.pid}/cmdline").read_text()
        client.close()
        stranger = redis.Redis(port=free_ports[0])
        with pytest.raises(redis.AuthenticationError):
            stranger.ping()
        stranger.close()
    finally:
        os.killpg(process.pid, signal.SIGTERM)  # the shell, and the server behind its pipe
        process.wait(timeout=10)


def _until_answered(client: "redis.Redis") -> None:
    deadline = time.monotonic() + 15
    while True:
        try:
            client.ping()
        except redis.ConnectionError:
            assert time.monotonic() < deadline, "Redis did not start"
        else:
            return

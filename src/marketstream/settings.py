"""Every setting of the platform and the only reader of the environment.

Environment variables are `MARKETSTREAM_` plus the field's name, nested by `__` (`MARKETSTREAM_KAFKA__PORT=9192`).
`.env` in the working directory is read too, and `<data_dir>/secrets.env`, which the launcher writes.
"""

import os
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict, SettingsError

from marketstream.domain.errors import ConfigurationError
from marketstream.domain.interval import Interval

Port = Annotated[int, Field(ge=1, le=65_535)]
ProviderName = Literal["auto", "binance", "polygon"]
SECRETS_FILE = "secrets.env"
METRICS_DIRECTORY_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


def _split(value: Any) -> Any:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


class Section(BaseModel):
    """A group of settings; unknown names are refused, so a misspelt one is noticed."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ProviderSettings(Section):
    """Where a provider is and what opens it."""

    websocket_url: str
    rest_url: str
    api_key: SecretStr = SecretStr("")


class IngestSettings(Section):
    """What is accepted from providers."""

    allowed_lateness_seconds: float = Field(default=10.0, ge=0, le=3_600)
    max_frame_bytes: int = Field(default=1024 * 1024, ge=1_024)
    queue_frames: int = Field(
        default=1_000, ge=1, description="frames read but not yet published; then the socket waits"
    )
    backoff_initial_seconds: float = Field(default=1.0, gt=0)
    backoff_max_seconds: float = Field(default=60.0, gt=0)


class KafkaSettings(Section):
    """The broker."""

    host: str = "127.0.0.1"
    port: Port = 9092
    controller_port: Port = 19092
    partitions: int = Field(default=4, ge=1, le=256)
    heap_mb: int = Field(default=512, ge=256)

    @property
    def bootstrap_servers(self) -> str:
        """As Kafka clients want it."""
        return f"{self.host}:{self.port}"


class PostgresSettings(Section):
    """PostgreSQL, with or without the TimescaleDB extension."""

    host: str = "127.0.0.1"
    port: Port = 5432
    database: str = "marketstream"
    schema_name: str = "public"
    owner: str = "marketstream_owner"
    owner_password: SecretStr = SecretStr("")
    writer: str = "marketstream_writer"
    writer_password: SecretStr = SecretStr("")
    reader: str = "marketstream_reader"
    reader_password: SecretStr = SecretStr("")


class RedisSettings(Section):
    """The cache."""

    host: str = "127.0.0.1"
    port: Port = 6379
    database: int = Field(default=0, ge=0)
    password: SecretStr = SecretStr("")


class InfluxSettings(Section):
    """InfluxDB 2."""

    host: str = "127.0.0.1"
    port: Port = 8086
    organisation: str = "marketstream"
    bucket: str = "market_data"
    retention_days: int = Field(default=90, ge=1)
    token: SecretStr = SecretStr("")

    @property
    def url(self) -> str:
        """Base address of the HTTP API."""
        return f"http://{self.host}:{self.port}"


class StreamingSettings(Section):
    """The Spark query that makes bars."""

    trigger: str = Field(default="realtime", description="`realtime`, or a micro-batch interval such as `1 second`")
    realtime_checkpoint_seconds: int = Field(default=60, ge=5)
    intervals: Annotated[list[str], NoDecode] = ["1min", "5min", "15min"]
    master: str = Field(default="local", description="`local` sizes its slots by itself; or a Spark master's URL")
    driver_memory_mb: int = Field(default=1_024, ge=512)
    shuffle_partitions: int = Field(default=1, ge=1, le=256)
    state_rows_max: int = Field(default=5_000_000, ge=1_000, description="bars in state before old ones are shed")
    ui_port: Port = 4040

    _split_intervals = field_validator("intervals", mode="before")(_split)

    @field_validator("intervals")
    @classmethod
    def _known_intervals(cls, names: list[str]) -> list[str]:
        intervals = sorted(map(Interval.parse, names))
        if not intervals or len(set(intervals)) != len(intervals):
            raise ValueError("name at least one interval, each once")
        return [interval.name for interval in intervals]


class WriterSettings(Section):
    """How the store writers batch."""

    max_messages: int = Field(default=5_000, ge=1)
    redis_flush_seconds: float = Field(default=0.002, ge=0)
    timescale_flush_seconds: float = Field(default=0.2, ge=0)
    influx_flush_seconds: float = Field(default=1.0, ge=0)
    tick_retention_days: int = Field(default=7, ge=1)
    retention_days: int = Field(default=365, ge=1)


class ServingSettings(Section):
    """REST and screens."""

    host: str = "127.0.0.1"
    api_port: Port = 8000
    dashboard_port: Port = 8050
    metrics_port: Port = 9100
    metrics_per_process: bool = Field(
        default=False, description="each process serves its own metrics (containers) instead of one exporter for all"
    )
    stale_after_seconds: float = Field(default=30.0, gt=0)
    allow_remote: bool = Field(
        default=False,
        description="DANGER: lets REST and screens bind a host that is not loopback, though nothing asks who is there. "
        "Only for a container whose ports are published on loopback",
    )


class ObservabilitySettings(Section):
    """Where Prometheus, Alertmanager and Grafana listen when the launcher starts them; always on loopback."""

    prometheus_port: Port = 9090
    alertmanager_port: Port = 9093
    grafana_port: Port = 3000


class ReplaySettings(Section):
    """The bundled replay server: the demo feed and the load for tests and benchmarks."""

    host: str = "127.0.0.1"
    port: Port = 8765
    file: Path | None = Field(default=None, description="CSV or Parquet of trades; without it a market is generated")
    speed: str = Field(default="1", description="a factor such as `1` or `60`, or `max`")
    loop: bool = False
    seed: int = 7
    ticks_per_second: float = Field(default=50.0, gt=0, le=100_000)
    arrivals: Literal["clustered", "even"] = Field(
        default="clustered", description="when the generated market trades; `even` is an exact rate"
    )
    history_seconds: float = Field(
        default=86_400.0, ge=0, description="how far back a generated market starts at any speed but 1"
    )
    ping_seconds: float = Field(default=20.0, gt=0)
    refused_keys: Annotated[list[str], NoDecode] = Field(default=[], description="API keys answered with auth_failed")
    admin: bool = Field(default=False, description="whether `/admin` takes commands that inject faults")

    _split_keys = field_validator("refused_keys", mode="before")(_split)


class Settings(BaseSettings):
    """All settings; build it with `load_settings`."""

    model_config = SettingsConfigDict(
        env_prefix="MARKETSTREAM_",
        env_nested_delimiter="__",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        nested_model_default_partial_update=True,
    )

    symbols: Annotated[list[str], NoDecode] = ["BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT", "XRPUSDT"]
    providers: Annotated[list[ProviderName], NoDecode] = Field(default=["auto"], description="in failover order")
    data_dir: Path = Path(".marketstream")
    launch: Literal["auto", "native", "compose"] = "auto"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["console", "json"] = "console"

    ingest: IngestSettings = IngestSettings()
    binance: ProviderSettings = ProviderSettings(
        websocket_url="wss://data-stream.binance.vision", rest_url="https://data-api.binance.vision"
    )
    polygon: ProviderSettings = ProviderSettings(
        websocket_url="wss://socket.massive.com/stocks", rest_url="https://api.massive.com"
    )
    kafka: KafkaSettings = KafkaSettings()
    postgres: PostgresSettings = PostgresSettings()
    redis: RedisSettings = RedisSettings()
    influx: InfluxSettings = InfluxSettings()
    streaming: StreamingSettings = StreamingSettings()
    writers: WriterSettings = WriterSettings()
    serving: ServingSettings = ServingSettings()
    observability: ObservabilitySettings = ObservabilitySettings()
    replay: ReplaySettings = ReplaySettings()

    _split_lists = field_validator("symbols", "providers", mode="before")(_split)

    @field_validator("symbols")
    @classmethod
    def _canonical_symbols(cls, symbols: list[str]) -> list[str]:
        canonical = list(dict.fromkeys(symbol.upper() for symbol in symbols))
        if not canonical:
            raise ValueError("name at least one symbol")
        return canonical

    @field_validator("data_dir")
    @classmethod
    def _absolute(cls, path: Path) -> Path:
        return path.expanduser().absolute()

    @cached_property
    def intervals(self) -> tuple[Interval, ...]:
        """The bar intervals, shortest first."""
        return tuple(map(Interval.parse, self.streaming.intervals))


def load_settings(**overrides: Any) -> Settings:
    """Reads the environment, `.env` and the launcher's secrets; `overrides` win.

    Raises:
        ConfigurationError: A setting is wrong; the message names its variable and the fault.
    """
    try:
        data_dir = _read((".env",), overrides).data_dir
        return _read((data_dir / SECRETS_FILE, ".env"), overrides)
    except ValidationError as error:
        raise ConfigurationError(
            "; ".join(map(_explain, error.errors(include_input=False, include_url=False)))
        ) from error
    except SettingsError as error:
        raise ConfigurationError(f"{error}: set its parts one by one, as in MARKETSTREAM_KAFKA__PORT=9192") from error


def _read(env_files: tuple[Path | str, ...], overrides: dict[str, Any]) -> Settings:
    return Settings(_env_file=env_files, **overrides)  # pydantic-settings' own parameter


def _explain(fault: ErrorDetails) -> str:
    parts = [str(part).upper() for part in fault["loc"] if isinstance(part, str)]
    return f"MARKETSTREAM_{'__'.join(parts)}: {fault['msg']}"


def cache_dir() -> Path:
    """Where downloads and builds are kept between checkouts."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "marketstream"


def metrics_directory() -> Path | None:
    """Where processes leave their metrics as files, by prometheus-client's variable; None where each keeps its own."""
    named = os.environ.get(METRICS_DIRECTORY_VARIABLE)
    return Path(named) if named else None

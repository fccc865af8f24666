"""Every setting of the platform and the only reader of the environment.

Environment variables are `MARKETSTREAM_` plus the field's name, nested by `__` (`MARKETSTREAM_KAFKA__PORT=9192`).
`.env` in the working directory is read too, and `<data_dir>/secrets.env`, which the launcher writes.
"""

import os
import re
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict, SettingsError

from marketstream.domain.conditions import RulesName
from marketstream.domain.errors import ConfigurationError
from marketstream.domain.interval import Interval

Port = Annotated[int, Field(ge=1, le=65_535)]
AgentPort = Annotated[int, Field(ge=0, le=65_535)]  # 0 for none
ProviderName = Literal["auto", "polygon", "finage", "alpha_vantage", "fmp", "finazon", "binance", "binance_usdm"]
ChannelName = Literal["trades", "quotes", "bars"]
SECRETS_FILE = "secrets.env"
METRICS_DIRECTORY_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
METRICS_FOLDER = "metrics"  # of the data directory: what that variable says natively
_DAY_MINUTES = 1_440


def _split(value: Any) -> Any:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


class Section(BaseModel):
    """A group of settings; unknown names are refused, so a misspelt one is noticed."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ProviderSettings(Section):
    """Where a provider is and what opens it."""

    websocket_url: str = Field(description="where its stream is")
    rest_url: str = Field(description="where its REST API is")
    api_key: SecretStr = Field(default=SecretStr(""), description="opens it, where it needs a key")
    symbol_names: dict[str, str] = Field(
        default={}, description='its own names of symbols where they differ, as JSON: `{"BRK.B":"BRK-B"}`'
    )


class BinanceSettings(ProviderSettings):
    """Where Binance is, and how it wants to be asked."""

    rotate_seconds: float = Field(
        default=23 * 3_600.0, gt=0, description="a connection is replaced at this age; Binance ends it at 24 h"
    )
    weight_per_minute: int = Field(default=4_800, ge=20, description="REST request weight this client allows itself")


class FinageSettings(ProviderSettings):
    """Where Finage is; the WebSocket's host and key are the customer's own, and each market has a host."""

    crypto_websocket_url: str = Field(default="", description="where its crypto stream is, if elsewhere")
    forex_websocket_url: str = Field(
        default="", description="where its stream of currencies and metals is, if elsewhere"
    )
    rest_api_key: SecretStr = Field(default=SecretStr(""), description="opens REST; the socket's key is another")
    requests_per_minute: int = Field(default=60, ge=1, description="REST requests this client allows itself")


class AlphaVantageSettings(ProviderSettings):
    """Where Alpha Vantage is, and what the plan allows; it has no stream and is polled."""

    requests_per_minute: int = Field(default=5, ge=1, description="the plan's burst limit")
    requests_per_day: int = Field(default=25, ge=1, description="the plan's daily quota, shared by all symbols")
    interval: Literal["1min", "5min", "15min", "30min", "60min"] = Field(
        default="1min", description="bar length asked for"
    )


class FmpSettings(ProviderSettings):
    """Where Financial Modeling Prep is; crypto and forex have hosts of their own."""

    crypto_websocket_url: str = Field(
        default="wss://crypto.financialmodelingprep.com", description="where its crypto stream is"
    )
    forex_websocket_url: str = Field(
        default="wss://forex.financialmodelingprep.com", description="where its forex stream is"
    )
    requests_per_minute: int = Field(default=300, ge=1, description="REST requests this client allows itself")


class FinazonSettings(ProviderSettings):
    """Where Finazon is, and which of its datasets."""

    dataset: str = Field(default="us_stocks_essential", description="dataset subscribed to")
    frequency: Literal["1s", "10s", "1m"] = Field(default="1s", description="how often a bar's newest state comes")
    aggregation: Literal["1m", "5m"] = Field(default="1m", description="bar length")
    requests_per_minute: int = Field(default=60, ge=1, description="REST requests this client allows itself")


class PolygonSettings(ProviderSettings):
    """Where Polygon / Massive is."""

    requests_per_minute: int = Field(default=300, ge=1, description="REST requests this client allows itself")


class IngestSettings(Section):
    """What is accepted from providers."""

    allowed_lateness_seconds: float = Field(
        default=10.0, ge=0, le=3_600, description="a trade further behind its symbol's newest is refused as late"
    )
    max_frame_bytes: int = Field(default=1024 * 1024, ge=1_024, description="a larger frame is refused unread")
    queue_frames: int = Field(
        default=1_000, ge=1, description="frames read but not yet published; then the socket waits"
    )
    channels: Annotated[list[ChannelName], NoDecode] = Field(
        default=["trades"], description="what is subscribed to; a provider that has none of it is asked for its bars"
    )
    backoff_initial_seconds: float = Field(default=1.0, gt=0, description="wait before the second connection attempt")
    backoff_max_seconds: float = Field(default=60.0, gt=0, description="longest wait between attempts")
    retries_max: int = Field(
        default=10, ge=1, description="failed attempts in a row after which an alert is raised; trying goes on slowly"
    )

    _split_channels = field_validator("channels", mode="before")(_split)


class FailoverSettings(Section):
    """When a feed counts as ill, and when as well again."""

    failures: int = Field(default=2, ge=1, description="failed connections in a row that open its breaker")
    first_message_seconds: float = Field(
        default=3.0, gt=0, description="a feed that acknowledged and sent nothing for this long is asked about"
    )
    silence_seconds: float = Field(
        default=3.0, gt=0, description="a feed that fell silent for this long is asked about over REST"
    )
    symbol_silence_seconds: float = Field(
        default=60.0, gt=0, description="a symbol that fell silent for this long is asked about over REST, twice"
    )
    max_lag_seconds: float = Field(
        default=10.0, gt=0, description="trades this much later than at the feed's best make it stale"
    )
    lag_patience_seconds: float = Field(default=3.0, ge=0, description="how long it may be stale")
    open_seconds: float = Field(default=30.0, gt=0, description="before an ill feed is probed; doubles up to 10 min")
    healthy_seconds: float = Field(default=30.0, ge=0, description="a probed feed well for this long takes over again")


class GapSettings(Section):
    """How missing trades are fetched."""

    grace_seconds: float = Field(
        default=0.5, ge=0, description="how long a missing trade may still come by the stream, in disorder"
    )
    concurrency: int = Field(default=4, ge=1, le=64, description="gaps filled at the same time")
    max_trades: int = Field(default=500_000, ge=1, description="a larger gap is recorded as unfillable")
    give_up_seconds: float = Field(
        default=3_600.0, gt=0, description="a gap that could not be filled for this long is recorded as unfillable"
    )


class KafkaSettings(Section):
    """The broker."""

    host: str = Field(default="127.0.0.1", description="where the broker is")
    port: Port = Field(default=9092, description="where it listens")
    controller_port: Port = Field(default=19092, description="where its controller listens (native launch)")
    metrics_port: AgentPort = Field(
        default=9404, description="where it shows its own metrics to Prometheus (native launch); 0 for nowhere"
    )
    partitions: int = Field(default=4, ge=1, le=256, description="of every topic created")
    heap_mb: int = Field(default=512, ge=256, description="of the broker's JVM (native launch)")

    @property
    def bootstrap_servers(self) -> str:
        """As Kafka clients want it."""
        return f"{self.host}:{self.port}"


class PostgresSettings(Section):
    """PostgreSQL, with or without the TimescaleDB extension."""

    host: str = Field(default="127.0.0.1", description="where it is")
    port: Port = Field(default=5432, description="where it listens")
    database: str = Field(default="marketstream", description="database name")
    schema_name: str = Field(default="public", description="schema of every table")
    owner: str = Field(default="marketstream_owner", description="role that owns the tables and migrates them")
    owner_password: SecretStr = Field(default=SecretStr(""), description="generated by the launcher")
    writer: str = Field(default="marketstream_writer", description="role that only adds and updates")
    writer_password: SecretStr = Field(default=SecretStr(""), description="generated by the launcher")
    reader: str = Field(default="marketstream_reader", description="role that only reads")
    reader_password: SecretStr = Field(default=SecretStr(""), description="generated by the launcher")
    access: str = Field(
        default="marketstream_access", description="role that reads API keys and adds to the audit log, and no more"
    )
    access_password: SecretStr = Field(default=SecretStr(""), description="generated by the launcher")


class RedisSettings(Section):
    """The cache."""

    host: str = Field(default="127.0.0.1", description="where it is")
    port: Port = Field(default=6379, description="where it listens")
    database: int = Field(default=0, ge=0, description="logical database")
    password: SecretStr = Field(default=SecretStr(""), description="generated by the launcher")


class InfluxSettings(Section):
    """InfluxDB 2."""

    host: str = Field(default="127.0.0.1", description="where it is")
    port: Port = Field(default=8086, description="where it listens")
    organisation: str = Field(default="marketstream", description="organisation")
    bucket: str = Field(default="market_data", description="bucket")
    retention_days: int = Field(default=90, ge=1, description="how long the bucket keeps points")
    token: SecretStr = Field(default=SecretStr(""), description="generated by the launcher")

    @property
    def url(self) -> str:
        """Base address of the HTTP API."""
        return f"http://{self.host}:{self.port}"


class StreamingSettings(Section):
    """The Spark queries that make bars and indicators."""

    trigger: str = Field(default="realtime", description="`realtime`, or a micro-batch interval such as `1 second`")
    realtime_checkpoint_seconds: int = Field(
        default=300, ge=5, description="real-time mode's checkpoint interval: a restart replays up to this much"
    )
    intervals: Annotated[list[str], NoDecode] = Field(default=["1min", "5min", "15min"], description="bar lengths")
    trade_conditions: RulesName = Field(
        default="consolidated",
        description="which trades update what: by the `consolidated` tape's rules for sale conditions, or `all` all",
    )
    master: str = Field(
        default="local",
        description="`local` sizes its slots by itself; `standalone` is a cluster of one's own; or a master's URL",
    )
    executor_memory_mb: int = Field(default=1_024, ge=512, description="heap of each executor, on a cluster")
    driver_host: str = Field(
        default="", description="what a cluster's executors call the driver by; by default this machine's name"
    )
    driver_bind_address: str = Field(default="", description="what the driver listens on; by default `driver_host`")
    spark_conf: dict[str, str] = Field(
        default={}, description='more of Spark\'s own configuration, as JSON: `{"spark.executor.cores":"4"}`'
    )
    driver_memory_mb: int = Field(default=1_024, ge=512, description="heap of Spark's driver")
    shuffle_partitions: int = Field(default=1, ge=1, le=256, description="of the query; each takes a slot")
    state_rows_max: int = Field(default=5_000_000, ge=1_000, description="bars in state before old ones are shed")
    ui_port: Port = Field(default=4040, description="Spark's own page of the bars job")
    indicators_trigger: str = Field(
        default="1 second", description="how often indicators follow the bars; `0 seconds` for as often as possible"
    )
    indicators_memory_mb: int = Field(default=512, ge=384, description="heap of the indicators job's driver")
    indicators_ui_port: Port = Field(default=4041, description="Spark's own page of the indicators job")
    metrics_port: AgentPort = Field(
        default=9405, description="where the bars job's JVM shows its own metrics to Prometheus; 0 for nowhere"
    )
    indicators_metrics_port: AgentPort = Field(
        default=9406, description="where the indicators job's JVM shows its own metrics; 0 for nowhere"
    )
    idle_grace_seconds: float = Field(
        default=1.0,
        gt=0,
        le=3_600,
        description="how much longer than the allowed lateness a silent symbol is waited for before its bars are final",
    )

    _split_intervals = field_validator("intervals", mode="before")(_split)

    @field_validator("intervals")
    @classmethod
    def _known_intervals(cls, names: list[str]) -> list[str]:
        intervals = sorted(map(Interval.parse, names))
        if not intervals or len(set(intervals)) != len(intervals):
            raise ValueError("name at least one interval, each once")
        return [interval.name for interval in intervals]


class ArchiveSettings(Section):
    """The data lake of Parquet files, which `make submit JOB=archive` fills."""

    url: str = Field(
        default="",
        description="a folder, or a place such as `s3://bucket/lake`; by default `lake` in the data directory",
    )
    trigger: str = Field(default="1 minute", description="how often the job takes what has come")
    batch_messages: int = Field(default=1_000_000, ge=1, description="most messages it takes at once")
    tasks: int = Field(
        default=2, ge=1, le=256, description="partitions it writes at the same time, a file open in each"
    )
    file_minutes: int = Field(default=60, description="minutes of ticks in one file until its day is compacted")
    compacted_rows: int = Field(default=2_000_000, ge=1, description="most rows in a compacted file")
    memory_mb: int = Field(default=768, ge=512, description="heap of the job's driver")
    ui_port: Port = Field(default=4042, description="Spark's own page of the archive and rebuild jobs")

    @field_validator("file_minutes")
    @classmethod
    def _divides_a_day(cls, minutes: int) -> int:
        if minutes < 1 or _DAY_MINUTES % minutes:
            raise ValueError("file_minutes must divide a day, such as 5, 15 or 60")
        return minutes


class ClusterSettings(Section):
    """A standalone Spark cluster of one's own: `MARKETSTREAM_STREAMING__MASTER=standalone` starts and uses it."""

    host: str = Field(
        default="127.0.0.1",
        description="where its master or worker listens. DANGER beyond loopback: whoever reaches it can run code here",
    )
    port: Port = Field(default=7077, description="where its master listens")
    master_ui_port: Port = Field(default=8080, description="the master's own page")
    worker_ui_port: Port = Field(default=8081, description="the worker's own page")
    worker_slots: int = Field(default=0, ge=0, description="task slots of the worker; 0 for what all jobs need")
    worker_memory_mb: int = Field(default=0, ge=0, description="memory for executors; 0 for what all jobs need")


class IndicatorSettings(Section):
    """How many bars each technical indicator looks at; the names are those of `IndicatorParameters`."""

    sma: Annotated[tuple[int, ...], NoDecode] = Field(
        default=(20, 50, 200), description="simple moving averages of the close; `,` for none"
    )
    ema: Annotated[tuple[int, ...], NoDecode] = Field(
        default=(12, 20, 26, 50), description="exponential moving averages of the close; `,` for none"
    )
    rsi: int = Field(default=14, ge=2, description="Wilder's relative strength index")
    macd_fast: int = Field(default=12, ge=1, description="the faster of MACD's averages")
    macd_slow: int = Field(default=26, ge=2, validate_default=True, description="the slower one; above the faster")
    macd_signal: int = Field(default=9, ge=1, description="the average of their difference")
    bollinger: int = Field(default=20, ge=2, description="Bollinger bands")
    bollinger_deviations: float = Field(
        default=2.0, gt=0, allow_inf_nan=False, description="standard deviations from the bands' middle to their edges"
    )
    vwap: int = Field(default=20, ge=1, description="rolling volume-weighted average price")
    atr: int = Field(default=14, ge=1, description="Wilder's average true range")
    volume_ratio: int = Field(default=20, ge=1, description="bars before, whose mean volume is compared with")
    volatility: int = Field(default=20, ge=2, description="log returns whose standard deviation is told")

    _split_periods = field_validator("sma", "ema", mode="before")(_split)

    @field_validator("sma", "ema")
    @classmethod
    def _different_periods(cls, periods: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(periods)) < len(periods) or any(period < 1 for period in periods):
            raise ValueError("name different periods of at least 1, such as 20,50,200")
        return periods

    @field_validator("macd_slow")
    @classmethod
    def _slower(cls, slow: int, others: ValidationInfo) -> int:
        if others.data.get("macd_fast", 0) >= slow:
            raise ValueError("macd_slow must be above macd_fast, such as 26 and 12")
        return slow


class WriterSettings(Section):
    """How the store writers batch."""

    max_messages: int = Field(default=5_000, ge=1, description="most messages in one batch")
    redis_flush_seconds: float = Field(default=0.005, ge=0, description="how long a batch for Redis may collect")
    timescale_flush_seconds: float = Field(default=0.2, ge=0, description="how long a batch for PostgreSQL may collect")
    influx_flush_seconds: float = Field(default=1.0, ge=0, description="how long a batch for InfluxDB may collect")
    tick_retention_days: int = Field(default=7, ge=1, description="how long PostgreSQL keeps ticks")
    retention_days: int = Field(default=365, ge=1, description="how long PostgreSQL keeps everything else")


class ServingSettings(Section):
    """REST and screens."""

    host: str = Field(
        default="127.0.0.1",
        description="address that REST and screens listen on; any but loopback needs `MARKETSTREAM_ACCESS__REQUIRED`",
    )
    api_port: Port = Field(default=8000, description="REST")
    websocket_port: Port = Field(default=8001, description="WebSocket")
    dashboard_port: Port = Field(default=8050, description="Dash")
    metrics_host: str = Field(
        default="127.0.0.1", description="address that metrics listen on; nothing ever asks who reads them"
    )
    metrics_port: Port = Field(default=9100, description="Prometheus metrics")
    metrics_per_process: bool = Field(
        default=False, description="each process serves its own metrics (containers) instead of one exporter for all"
    )
    stale_after_seconds: float = Field(default=30.0, gt=0, description="data older than this is shown as stale")
    cors_origins: Annotated[list[str], NoDecode] = Field(
        default=[],
        description="origins whose pages may read REST and connect to the WebSocket, such as `https://charts.example`; "
        "`*` for all",
    )
    metrics_addresses: Annotated[list[str], NoDecode] = Field(
        default=[], description="pages of metrics that REST sums up; by default that of the exporter at `metrics_port`"
    )
    allow_remote: bool = Field(
        default=False,
        description="DANGER: lets REST and screens bind a host that is not loopback, though nothing asks who is there. "
        "Only for a container whose ports are published on loopback",
    )
    tls_certificate: Path | None = Field(default=None, description="PEM file; with it and its key, HTTPS is spoken")
    tls_key: Path | None = Field(default=None, description="PEM file of the certificate's private key")
    trusted_proxies: Annotated[list[str], NoDecode] = Field(
        default=["127.0.0.1", "::1"], description="whose word is taken for where a request came from; `,` for nobody's"
    )

    _split_lists = field_validator("cors_origins", "metrics_addresses", "trusted_proxies", mode="before")(_split)

    @field_validator("cors_origins")
    @classmethod
    def _whole_origins(cls, origins: list[str]) -> list[str]:
        for origin in origins:
            if origin != "*" and not re.fullmatch(r"https?://[^/?#@\s]+", origin):
                raise ValueError(
                    f"{origin!r} is no origin; write it as https://charts.example or http://127.0.0.1:3000"
                )
        return origins

    @model_validator(mode="after")
    def _certificate_and_key(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("set both MARKETSTREAM_SERVING__TLS_CERTIFICATE and MARKETSTREAM_SERVING__TLS_KEY")
        return self


class AccessSettings(Section):
    """Who may use REST, screens, GraphQL and WebSockets."""

    required: bool = Field(
        default=False,
        description="everybody must bring an API key or a token; without it all are admins, on loopback alone",
    )
    pepper: SecretStr = Field(
        default=SecretStr(""),
        description="what API keys are hashed with, at least 32 characters; generated by the launcher. A new one makes "
        "every key void",
    )
    cache_seconds: float = Field(
        default=5.0, gt=0, le=300, description="how often API keys are read again, and so how late a revocation is"
    )
    outage_seconds: float = Field(
        default=3_600.0, ge=0, description="how long known API keys hold while the database is away"
    )
    jwt: Literal["off", "HS256", "RS256", "ES256"] = Field(
        default="off", description="the one algorithm by which tokens are signed"
    )
    jwt_secret: SecretStr = Field(default=SecretStr(""), description="of HS256, at least 32 bytes")
    jwt_keys: str = Field(
        default="",
        description="of RS256 and ES256: where the JWKS is, an https URL or a file; read again as it changes",
    )
    jwt_keys_seconds: float = Field(default=300.0, gt=0, description="how often the JWKS is read again")
    jwt_issuer: str = Field(default="", description="what tokens must have as `iss`")
    jwt_audience: str = Field(default="", description="what tokens must have as `aud`")
    jwt_role_claim: str = Field(
        default="role", description="which claim has the role, or a list of roles; `a.b` for `b` in `a`"
    )
    jwt_leeway_seconds: float = Field(default=10.0, ge=0, le=300, description="how far clocks may differ")
    requests_per_second: float = Field(
        default=100.0, gt=0, description="requests that one principal may make, in each process"
    )
    burst: int = Field(default=200, ge=1, description="requests that one may make at once")
    failures: int = Field(
        default=10, ge=1, description="wrong credentials that one address may bring at once, before it has to wait"
    )
    failure_seconds: float = Field(default=300.0, gt=0, description="until an address may bring all of them again")
    session_hours: float = Field(default=12.0, gt=0, le=720, description="how long a sign-in to the screens holds")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        missing = [
            f"MARKETSTREAM_ACCESS__{name}"
            for name, wanted in (
                ("JWT_SECRET (32 bytes)", self.jwt == "HS256" and len(self.jwt_secret.get_secret_value()) < 32),
                ("JWT_KEYS", self.jwt in ("RS256", "ES256") and not self.jwt_keys),
                ("JWT_ISSUER", self.jwt != "off" and not self.jwt_issuer),
                ("JWT_AUDIENCE", self.jwt != "off" and not self.jwt_audience),
                ("PEPPER (32 characters)", 0 < len(self.pepper.get_secret_value()) < 32),
                ("PEPPER or ..._JWT", self.required and self.jwt == "off" and not self.pepper.get_secret_value()),
            )
            if wanted
        ]
        if missing:
            raise ValueError(f"set {', '.join(missing)}")
        return self


class WebSocketSettings(Section):
    """What each client of the WebSocket may have, and when it is given up; `SERVING__WEBSOCKET_PORT` says where."""

    max_clients: int = Field(default=5_000, ge=1, description="connections in all")
    max_clients_per_address: int = Field(default=2_000, ge=1, description="connections from one address")
    max_clients_per_principal: int = Field(default=100, ge=1, description="connections of one key or user")
    max_symbols: int = Field(default=500, ge=1, description="symbols one connection may name")
    wildcard: bool = Field(default=True, description="whether `*` may be subscribed to, which is every symbol")
    max_message_bytes: int = Field(default=32_768, ge=256, description="longest message taken from a client")
    requests_per_second: float = Field(default=10.0, gt=0, description="messages taken from a client, on the long run")
    requests_burst: int = Field(default=50, ge=1, description="messages taken from a client at once")
    queue_updates: int = Field(default=1_000, ge=10, description="updates that wait for a client that reads slowly")
    shed_after_seconds: float = Field(
        default=10.0, gt=0, description="how long updates may wait for a client before it is disconnected"
    )
    replay_updates: int = Field(default=500, ge=0, description="updates kept of each connection, to be resumed from")
    resume_seconds: float = Field(default=60.0, ge=0, description="how long a lost connection can be resumed")
    heartbeat_seconds: float = Field(default=15.0, gt=0, description="how often each client is told that all is well")
    auth_seconds: float = Field(default=10.0, gt=0, description="how long a client may take to say who it is")
    gather_ms: float = Field(
        default=2.0, ge=0, le=1_000, description="how long updates collect before they go out, in ms"
    )


class GraphqlSettings(Section):
    """What one GraphQL operation may ask; its subscriptions' queues are bounded as the WebSocket's clients are."""

    enabled: bool = Field(default=True, description="whether REST's process serves `/graphql`")
    introspection: bool = Field(default=True, description="whether clients may ask for the schema")
    max_body_bytes: int = Field(default=65_536, ge=1_024, description="longest request taken")
    max_tokens: int = Field(default=1_500, ge=10, description="words and signs of one document")
    max_depth: int = Field(default=10, ge=2, description="how deep selections may be nested")
    max_fields: int = Field(default=400, ge=10, description="fields of one document, fragments written out")
    max_aliases: int = Field(default=30, ge=0, description="aliases of one document, fragments written out")
    max_cost: int = Field(default=50_000, ge=100, description="about how many values one answer may hold")
    timeout_seconds: float = Field(default=15.0, gt=0, description="longest that one query may take")
    max_operations: int = Field(default=20, ge=1, description="subscriptions and queries of one connection at a time")
    linger_seconds: float = Field(
        default=30.0, ge=0, description="how long Kafka is still read after the last subscription has ended"
    )


class ObservabilitySettings(Section):
    """Where Prometheus, Alertmanager and Grafana listen when the launcher starts them; always on loopback."""

    prometheus_port: Port = Field(default=9090, description="Prometheus")
    alertmanager_port: Port = Field(default=9093, description="Alertmanager")
    grafana_port: Port = Field(default=3000, description="Grafana")


class ReplaySettings(Section):
    """The bundled replay server: the demo feed and the load for tests and benchmarks."""

    host: str = Field(default="127.0.0.1", description="where it listens, and where the producer finds it")
    port: Port = Field(default=8765, description="where it listens")
    file: Path | None = Field(default=None, description="CSV or Parquet of trades; without it a market is generated")
    speed: str = Field(default="1", description="a factor such as `1` or `60`, or `max`")
    loop: bool = Field(default=False, description="start over at the end of the file")
    sale_conditions: bool = Field(
        default=False, description="tell the file's sale conditions, by which a trade may update less of its bars"
    )
    seed: int = Field(default=7, description="of the generated market; the same seed gives the same trades")
    ticks_per_second: float = Field(
        default=50.0, gt=0, le=100_000, description="of the generated market, over all symbols"
    )
    arrivals: Literal["clustered", "even"] = Field(
        default="clustered", description="when the generated market trades; `even` is an exact rate"
    )
    history_seconds: float = Field(
        default=86_400.0, ge=0, description="how far back a generated market starts at any speed but 1"
    )
    ping_seconds: float = Field(default=20.0, gt=0, description="how often it sends a heartbeat to its clients")
    refused_keys: Annotated[list[str], NoDecode] = Field(default=[], description="API keys that every provider refuses")
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

    symbols: Annotated[list[str], NoDecode] = Field(
        default=["BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT", "XRPUSDT"], description="what to subscribe to"
    )
    providers: Annotated[list[ProviderName], NoDecode] = Field(default=["auto"], description="in failover order")
    data_dir: Path = Field(default=Path(".marketstream"), description="everything the native platform keeps")
    launch: Literal["auto", "native", "compose"] = Field(
        default="auto", description="how `make up` starts the servers; `auto` takes containers where an engine answers"
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(default="INFO", description="least that is logged")
    log_format: Literal["console", "json"] = Field(
        default="console", description="lines for people, or one JSON object a line"
    )

    ingest: IngestSettings = IngestSettings()
    failover: FailoverSettings = FailoverSettings()
    gaps: GapSettings = GapSettings()
    polygon: PolygonSettings = PolygonSettings(
        websocket_url="wss://socket.massive.com/stocks", rest_url="https://api.massive.com"
    )
    finage: FinageSettings = FinageSettings(
        websocket_url="wss://CUSTOMER.finage.ws:6010", rest_url="https://api.finage.co.uk"
    )
    alpha_vantage: AlphaVantageSettings = AlphaVantageSettings(websocket_url="", rest_url="https://www.alphavantage.co")
    fmp: FmpSettings = FmpSettings(
        websocket_url="wss://websockets.financialmodelingprep.com", rest_url="https://financialmodelingprep.com"
    )
    finazon: FinazonSettings = FinazonSettings(
        websocket_url="wss://ws.finazon.io/v1", rest_url="https://api.finazon.io"
    )
    binance: BinanceSettings = BinanceSettings(
        websocket_url="wss://data-stream.binance.vision", rest_url="https://data-api.binance.vision"
    )
    binance_usdm: BinanceSettings = BinanceSettings(
        websocket_url="wss://fstream.binance.com", rest_url="https://fapi.binance.com", weight_per_minute=1_800
    )
    kafka: KafkaSettings = KafkaSettings()
    postgres: PostgresSettings = PostgresSettings()
    redis: RedisSettings = RedisSettings()
    influx: InfluxSettings = InfluxSettings()
    streaming: StreamingSettings = StreamingSettings()
    archive: ArchiveSettings = ArchiveSettings()
    cluster: ClusterSettings = ClusterSettings()
    indicators: IndicatorSettings = IndicatorSettings()
    writers: WriterSettings = WriterSettings()
    serving: ServingSettings = ServingSettings()
    websocket: WebSocketSettings = WebSocketSettings()
    graphql: GraphqlSettings = GraphqlSettings()
    access: AccessSettings = AccessSettings()
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

    @property
    def spark_master(self) -> str:
        """The Spark master's address, or `local`."""
        cluster = self.cluster
        return (
            f"spark://{cluster.host}:{cluster.port}" if self.streaming.master == "standalone" else self.streaming.master
        )

    @cached_property
    def intervals(self) -> tuple[Interval, ...]:
        """The bar intervals, shortest first."""
        return tuple(map(Interval.parse, self.streaming.intervals))

    @property
    def lake_url(self) -> str:
        """Where the data lake is."""
        return self.archive.url or str(self.data_dir / "lake")


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

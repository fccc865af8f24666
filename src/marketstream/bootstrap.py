"""Picks the implementations: the only place that joins settings, stages and the world.

`PROCESSES` names every process of the platform that `marketstream run NAME` starts. Each imports its stage only when it
is run, so that one process never pays for another's libraries.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from marketstream.settings import PostgresSettings, Settings

if TYPE_CHECKING:
    from marketstream.contracts.access import AuditTrail, KeyKeeper
    from marketstream.contracts.dead_letters import DeadLetterDesk
    from marketstream.ports import Clock, KnownTrades, LatestReader, MarketReader, Provider
    from marketstream.producers.backfill.request import BackfillRequest
    from marketstream.producers.backfill.runner import Backfill
    from marketstream.producers.dead_letters.reinjection import Reinjector
    from marketstream.producers.memory import TradeMemory
    from marketstream.producers.past_trades import PastTrades
    from marketstream.producers.whole_bars import WholeBars
    from marketstream.serving.access.access import Access, Part
    from marketstream.serving.feed_data import FeedData
    from marketstream.serving.market_data import MarketData
    from marketstream.serving.platform_metrics import PlatformMetrics
    from marketstream.streaming.checkpoint_desk import CheckpointDesk
    from marketstream.streaming.rebuild_job import RebuildStores


def run_producer(settings: Settings) -> None:
    """Provider to `tick_data`."""
    from marketstream.producers.main import run

    run(settings, build_whole_bars(settings))


def run_closer(settings: Settings) -> None:
    """Bars to final bars."""
    from marketstream.streaming.closer import run_closer as run

    run(settings)


def run_corrector(settings: Settings) -> None:
    """Cancels to corrected bars."""
    from marketstream.storage.corrector import run_corrector as run

    run(settings)


def run_redis_writer(settings: Settings) -> None:
    """Topics to Redis."""
    from marketstream.storage.main import run_redis

    run_redis(settings)


def run_timescale_writer(settings: Settings) -> None:
    """Topics to PostgreSQL / TimescaleDB."""
    from marketstream.storage.main import run_timescale

    run_timescale(settings)


def run_influx_writer(settings: Settings) -> None:
    """Topics to InfluxDB."""
    from marketstream.storage.main import run_influx

    run_influx(settings)


def migrate(settings: Settings) -> None:
    """Brings the database's tables up to date."""
    from marketstream.storage.timescale.migrate import migrate as run_migrations

    run_migrations(settings.postgres)


def build_market_data(settings: Settings, newest: "LatestReader | None" = None) -> "MarketData":
    """What REST and screens read: Redis first, then PostgreSQL. Nothing connects before the first request.

    Args:
        settings: The platform's settings.
        newest: Reads the newest ticks without a thread, where one event loop does all the asking.
    """
    from marketstream.domain.conditions import RULES
    from marketstream.serving.market_data import MarketData
    from marketstream.storage.redis.reader import RedisReader
    from marketstream.storage.timescale.reader import TimescaleReader

    rules = RULES[settings.streaming.trade_conditions]
    return MarketData(
        RedisReader(settings.redis, rules),
        TimescaleReader(settings.postgres, rules=rules),
        symbols=settings.symbols,
        intervals=settings.intervals,
        stale_after_seconds=settings.serving.stale_after_seconds,
        newest=newest,
    )


def build_feed_data(settings: Settings) -> "FeedData":
    """What REST tells of the feeds. Nothing connects before the first request."""
    from marketstream.serving.feed_data import FeedData
    from marketstream.storage.timescale.feed_reader import TimescaleFeedReader

    configured = [name for name in settings.providers if name != "auto"]  # which stands for whichever can be reached
    return FeedData(TimescaleFeedReader(settings.postgres), providers=configured)


def build_platform_metrics(settings: Settings) -> "PlatformMetrics":
    """The platform's own figures. Nothing is asked before the first request."""
    from marketstream.launch.status import platform_status
    from marketstream.serving.platform_metrics import PlatformMetrics
    from marketstream.serving.scraping import Scraper, machine

    serving = settings.serving
    addresses = serving.metrics_addresses or [f"http://{serving.metrics_host}:{serving.metrics_port}/metrics"]

    def services() -> list[dict[str, object]]:
        status = platform_status(settings)
        return [service.model_dump(mode="json") for service in status.services] if status.running else []

    return PlatformMetrics(Scraper(addresses), services, machine)


def build_known_trades(settings: Settings) -> "KnownTrades":
    """Which trades PostgreSQL has. Nothing connects before the first question."""
    from marketstream.storage.timescale.known import TimescaleKnownTrades

    return TimescaleKnownTrades(settings.postgres)


def trades_stored(settings: Settings, timeout_seconds: float) -> bool:
    """Waits until PostgreSQL has every trade that is on `tick_data` now; False where it took too long.

    Raises:
        BusError: Kafka is away.
    """
    from marketstream.bus.progress import caught_up
    from marketstream.contracts.topics import TICKS
    from marketstream.storage.timescale.writer import TimescaleWriter

    return caught_up(settings.kafka.bootstrap_servers, TimescaleWriter.name, TICKS, timeout_seconds)


def build_past_trades(settings: Settings) -> "PastTrades":
    """What publishes past trades, each exactly once. Nothing connects before the first call."""
    from marketstream.bus.publisher import KafkaPublisher
    from marketstream.producers.past_trades import PastTrades
    from marketstream.storage.timescale.turn import PublishingTurn

    return PastTrades(
        KafkaPublisher(settings.kafka.bootstrap_servers),
        build_known_trades(settings),
        partial(trades_stored, settings),
        PublishingTurn(settings.postgres),
    )


def build_trade_memory(settings: Settings) -> "TradeMemory":
    """What tells of which days PostgreSQL still knows the trades. Nothing connects before the first question."""
    from marketstream.clock import SystemClock
    from marketstream.producers.memory import TradeMemory
    from marketstream.storage.timescale.reader import TimescaleReader

    return TradeMemory(TimescaleReader(settings.postgres), settings.intervals[-1], SystemClock())


def build_dead_letter_desk(settings: Settings, *, read_seconds: float = 20.0) -> "DeadLetterDesk":
    """Looks at dead letters and puts them back. Nothing connects before the first call.

    Args:
        settings: The platform's settings.
        read_seconds: How long one reading of the letters may take.
    """
    from marketstream.bus.topic_reader import ReadLimits, TopicReader
    from marketstream.contracts.topics import DEAD_LETTER_MARKS, DEAD_LETTERS
    from marketstream.producers.dead_letters.desk import TopicDesk

    limits = ReadLimits(seconds=read_seconds)
    letters, marks = (
        TopicReader(settings.kafka.bootstrap_servers, topic, limits) for topic in (DEAD_LETTERS, DEAD_LETTER_MARKS)
    )
    return TopicDesk(letters, marks, partial(_build_reinjector, settings))


def _build_reinjector(settings: Settings) -> "Reinjector":
    from marketstream.bus.publisher import KafkaPublisher
    from marketstream.clock import SystemClock
    from marketstream.producers.dead_letters.adapters import parser_of
    from marketstream.producers.dead_letters.contents import LetterReader
    from marketstream.producers.dead_letters.reinjection import Reinjector

    create_topics(settings)  # the marks' topic is younger than some platforms
    clock = SystemClock()
    reader = LetterReader(partial(parser_of, settings=settings), frozenset(settings.symbols), clock)
    publisher = KafkaPublisher(settings.kafka.bootstrap_servers)
    memory = build_trade_memory(settings)
    return Reinjector(reader, build_past_trades(settings), memory, publisher, clock)


def build_backfill(settings: Settings, request: "BackfillRequest") -> "Backfill":
    """What fetches this history and publishes it. Nothing connects before it runs.

    Raises:
        ProviderError: The provider has no such history.
        ConfigurationError: There is no such provider, or it doesn't carry a symbol.
    """
    from marketstream.bus.publisher import KafkaPublisher
    from marketstream.clock import SystemClock
    from marketstream.producers.backfill.guards import OpenGaps
    from marketstream.producers.backfill.request import check_possible
    from marketstream.producers.backfill.runner import Backfill
    from marketstream.producers.backfill.sinks import BarSink, TradeSink
    from marketstream.producers.backfill.state import StateFile
    from marketstream.producers.recovery import read_gaps

    clock, servers = SystemClock(), settings.kafka.bootstrap_servers
    provider = _history_provider(settings, request, clock)
    check_possible(request, provider)
    state = StateFile(settings.data_dir / "backfill", request)
    publisher = KafkaPublisher(servers)
    if request.data == "bars":
        return Backfill(request, provider, BarSink(publisher), state, lambda: None)
    guard = OpenGaps(request, partial(read_gaps, servers), clock, settings.gaps.give_up_seconds)
    return Backfill(request, provider, TradeSink(build_past_trades(settings), publisher), state, guard)


def _history_provider(settings: Settings, request: "BackfillRequest", clock: "Clock") -> "Provider":
    """The adapter for the request's symbols, whatever the settings subscribe to."""
    from marketstream.domain.errors import ConfigurationError
    from marketstream.providers.auto import Feed
    from marketstream.providers.registry import FACTORIES, create_provider
    from marketstream.providers.states import ignore_state

    if request.provider not in FACTORIES:
        raise ConfigurationError(f"{request.provider!r} is none of the providers {', '.join(FACTORIES)}")
    own = settings.model_copy(update={"symbols": list(request.symbols)})
    return create_provider(Feed(request.provider, getattr(own, request.provider), False), own, clock, ignore_state)


def build_whole_bars(settings: Settings) -> "WholeBars":
    """What tells which bars the bars query can still add to, where its checkpoint is on this machine."""
    from marketstream.producers.whole_bars import WholeBars
    from marketstream.streaming.checkpoint_starts import read_since_us

    return WholeBars(partial(read_since_us, settings.data_dir / "checkpoints" / "bars"), max(settings.intervals))


def check_backfill(settings: Settings, request: "BackfillRequest", *, mixed: bool, cut_bars: bool) -> None:
    """Refuses a range with trades that bars would count twice, or of which they would count only the missing ones.

    Raises:
        BackfillError: There are some.
        StoreUnavailableError: The database is away.
    """
    from marketstream.producers.backfill.guards import check_others, check_remembered, check_whole
    from marketstream.storage.timescale.reader import TimescaleReader

    check_remembered(request, build_trade_memory(settings))
    reader = TimescaleReader(settings.postgres)
    if not mixed:
        check_others(request, reader)
    if not cut_bars:
        check_whole(request, reader, build_whole_bars(settings))


def build_access(settings: Settings, part: "Part") -> "Access":
    """Who may use a process that serves. Nothing connects before somebody comes."""
    from marketstream.clock import SystemClock
    from marketstream.serving.access.build import build_access as build
    from marketstream.storage.timescale.access import TimescaleAccess

    store = TimescaleAccess(settings.postgres)
    return build(part, settings.access, store, SystemClock(), settings.serving.cors_origins)


def build_key_keeper(settings: Settings) -> "KeyKeeper":
    """What changes API keys, as the tables' owner. Nothing connects before the first call."""
    from marketstream.storage.timescale.access import TimescaleKeyKeeper

    return TimescaleKeyKeeper(settings.postgres)


def build_audit_trail(settings: Settings) -> "AuditTrail":
    """Who changed what. Nothing connects before the first question."""
    from marketstream.storage.timescale.access import TimescaleAccess

    return TimescaleAccess(settings.postgres)


def run_api(settings: Settings) -> None:
    """REST and GraphQL."""
    from marketstream.analytics.parameters import IndicatorParameters
    from marketstream.serving.api.app import Extras
    from marketstream.serving.api.main import run
    from marketstream.serving.exports import Exports
    from marketstream.serving.graphql.build import build_services
    from marketstream.storage.redis.latest import RedisLatestReader
    from marketstream.storage.timescale.reader import TimescaleReader

    market_data = build_market_data(settings, RedisLatestReader(settings.redis))
    feed_data, metrics = build_feed_data(settings), build_platform_metrics(settings)
    extras = Extras(
        dead_letters=build_dead_letter_desk(settings, read_seconds=5.0),
        exports=Exports(TimescaleReader(settings.postgres, pool_size=2, statement_seconds=30.0)),
        metrics=metrics,
        indicator_names=IndicatorParameters(**settings.indicators.model_dump()).names,
        cors_origins=settings.serving.cors_origins,
        graphql=build_services(settings, market_data, feed_data, metrics),
    )
    run(settings, build_access(settings, "rest"), market_data, feed_data, extras)


def run_websocket(settings: Settings) -> None:
    """WebSocket."""
    from marketstream.serving.websocket.main import run

    run(settings, build_access(settings, "websocket"), build_market_data(settings))


def run_dashboard(settings: Settings) -> None:
    """Dash."""
    from marketstream.analytics.parameters import IndicatorParameters
    from marketstream.serving.dashboard.main import run
    from marketstream.serving.dashboard.sources import Sources
    from marketstream.serving.exports import Exports
    from marketstream.storage.timescale.reader import TimescaleReader

    sources = Sources(
        market_data=build_market_data(settings),
        usual_window=settings.intervals[0].name,
        parameters=IndicatorParameters(**settings.indicators.model_dump()),
        feed_data=build_feed_data(settings),
        metrics=build_platform_metrics(settings),
        dead_letters=build_dead_letter_desk(settings, read_seconds=5.0),
        exports=Exports(TimescaleReader(settings.postgres, pool_size=2, statement_seconds=30.0)),
    )
    run(settings, build_access(settings, "dashboard"), sources)


def run_replay(settings: Settings) -> None:
    """The bundled replay server."""
    from marketstream.testing.replay.main import run

    run(settings)


def run_metrics(settings: Settings) -> None:
    """The Prometheus exporter of all processes, with what the broker and the stores know of themselves."""
    from marketstream.bus.inspector import KafkaInspector
    from marketstream.bus.probes import kafka_probes
    from marketstream.contracts.topics import all_topics
    from marketstream.observability.exporter import ProbeCollector, disk_probes, run
    from marketstream.storage.probes import store_probes

    broker = kafka_probes(KafkaInspector(settings.kafka.bootstrap_servers), all_topics(settings.intervals))
    run(
        settings,
        [ProbeCollector((*broker, *store_probes(settings, settings.symbols), *disk_probes(settings.data_dir)))],
    )


@contextmanager
def observed(process: str, settings: Settings) -> Iterator[None]:
    """Counts the process as up while the block runs; serves its metrics where each process serves its own."""
    from marketstream.observability import metrics
    from marketstream.observability.exporter import serving

    metrics.UP.labels(process).set(1)
    if settings.serving.metrics_per_process and process != "metrics":
        with serving(settings.serving.metrics_host, settings.serving.metrics_port):
            yield
    else:
        yield


@dataclass(frozen=True, slots=True)
class BarArchive:
    """Opens PostgreSQL's bars wherever it is called: what Spark's workers are sent.

    Attributes:
        postgres: Where it is.
    """

    postgres: PostgresSettings

    def __call__(self) -> "MarketReader":
        """A reader of one connection that rather gives up than keeps a query waiting; it connects when first asked."""
        from marketstream.storage.timescale.reader import TimescaleReader

        return TimescaleReader(self.postgres, pool_size=1, statement_seconds=2.0)


def build_checkpoint_desk(settings: Settings) -> "CheckpointDesk":
    """Looks at the Spark queries' checkpoints and resets them. Nothing connects before the first question."""
    from marketstream.bus.inspector import KafkaInspector
    from marketstream.streaming.checkpoint_desk import CheckpointDesk

    return CheckpointDesk(settings, KafkaInspector(settings.kafka.bootstrap_servers))


def submit_job(job: str, settings: Settings, arguments: Sequence[str] = ()) -> None:
    """A Spark job with arguments of its own, through spark-submit."""
    from marketstream.streaming.submit import submit

    submit(job, settings, arguments)


def build_rebuild_stores(settings: Settings) -> "RebuildStores":
    """What a rebuild reads and repairs. Nothing connects before it runs."""
    from marketstream.bus.publisher import KafkaPublisher
    from marketstream.storage.timescale.history import TimescaleTickHistory
    from marketstream.storage.timescale.reader import TimescaleReader
    from marketstream.storage.timescale.writer import TimescaleWriter
    from marketstream.streaming.rebuild_job import RebuildStores

    return RebuildStores(
        bars=TimescaleReader(settings.postgres, pool_size=1, statement_seconds=60.0),
        history=TimescaleTickHistory(settings.postgres),
        known=build_known_trades(settings),
        writer=TimescaleWriter(settings.postgres),
        publisher=KafkaPublisher(settings.kafka.bootstrap_servers),
    )


def run_spark_master(settings: Settings) -> None:
    """The master of a standalone Spark cluster."""
    from marketstream.streaming.cluster import run_master

    run_master(settings)


def run_spark_worker(settings: Settings) -> None:
    """A worker of a standalone Spark cluster."""
    from marketstream.streaming.cluster import run_worker

    run_worker(settings)


def run_spark_executor() -> None:
    """An executor in a pod that Spark has started."""
    from marketstream.streaming.kubernetes import run_executor

    run_executor()


def create_topics(settings: Settings) -> list[str]:
    """Creates the Kafka topics that are missing and returns their names."""
    from marketstream.bus.admin import ensure_topics
    from marketstream.contracts.topics import all_topics

    return ensure_topics(settings.kafka.bootstrap_servers, all_topics(settings.intervals), settings.kafka.partitions)


PROCESSES: dict[str, Callable[[Settings], None]] = {
    "producer": run_producer,
    "closer": run_closer,
    "corrector": run_corrector,
    "redis-writer": run_redis_writer,
    "timescale-writer": run_timescale_writer,
    "influx-writer": run_influx_writer,
    "api": run_api,
    "websocket": run_websocket,
    "dashboard": run_dashboard,
    "replay": run_replay,
    "metrics": run_metrics,
}

"""The indicators query, from start to stop.

Reads: topics `aggregated_data_*`, `provider_bars` and `query_wakes`; past bars through a reader that the caller picks.
Writes: topics `technical_indicators`, at least once, and `query_wakes`; `<data_dir>/run/indicators.json`, its progress.
"""

from dataclasses import dataclass

from pyspark.sql import SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from marketstream.analytics.parameters import IndicatorParameters
from marketstream.bus.admin import ensure_topics, partition_count, topic_ids
from marketstream.bus.publisher import KafkaPublisher
from marketstream.contracts.topics import INDICATORS, PROVIDER_BARS, QUERY_WAKES, all_topics, bars_topic
from marketstream.domain.interval import MICROSECONDS
from marketstream.observability.logs import get_logger
from marketstream.settings import Settings
from marketstream.streaming.checkpoints import Checkpoint, CheckpointStore, QueryShape
from marketstream.streaming.history import HistorySource
from marketstream.streaming.indicators import TRANSFORM_VERSION, IndicatorRecipe, make_indicators, to_messages
from marketstream.streaming.query_metrics import QueryObserver
from marketstream.streaming.resources import indicators_resources
from marketstream.streaming.running import stop_signal, watch
from marketstream.streaming.session import open_session
from marketstream.streaming.source_lag import source_lag
from marketstream.streaming.trigger import Trigger
from marketstream.streaming.waker import Waker

QUERY = "indicators"
_LOG = get_logger("streaming")
_BATCH_BARS_MAX = "100000"  # bounds a batch's memory while it catches up
_WAKES_MAX = 10  # that wait for a broker that is away


@dataclass(frozen=True, slots=True)
class IndicatorsJob:
    """The query's settings, resolved against the broker: build it with `prepare`."""

    settings: Settings
    trigger: Trigger
    shape: QueryShape
    topics: tuple[str, ...]
    recipe: IndicatorRecipe

    @classmethod
    def prepare(cls, settings: Settings, history: HistorySource | None) -> "IndicatorsJob":
        """Asks the broker for the source's partitions.

        Raises:
            BusError: The broker is away.
            ConfigurationError: The trigger is no micro-batch trigger.
        """
        trigger = indicators_trigger(settings)
        ensure_topics(settings.kafka.bootstrap_servers, all_topics(settings.intervals), settings.kafka.partitions)
        topics, recipe = indicators_sources(settings), recipe_of(settings, history)
        shape = indicators_shape(settings)
        return cls(settings, trigger, shape, topics, recipe)

    def start(self, spark: SparkSession, checkpoint: Checkpoint) -> StreamingQuery:
        """Starts the query."""
        kafka = {"kafka.bootstrap.servers": self.settings.kafka.bootstrap_servers}
        source = (
            spark.readStream.format("kafka")
            .options(**kafka, **checkpoint.source_options, subscribe=",".join(self.topics))
            .option("maxOffsetsPerTrigger", _BATCH_BARS_MAX)
            .option("failOnDataLoss", "false")  # after a stop past the topics' retention, go on with what is left
            .load()
            # A dozen partitions with a few hundred messages each: reading them costs less than a task for each. Where
            # the state has one partition too, there is nothing to shuffle, and a batch is one task.
            .coalesce(self.shape.shuffle_partitions)
        )
        writer = (
            to_messages(make_indicators(source, self.recipe))
            .writeStream.queryName(QUERY)
            .outputMode("update")
            .format("kafka")
            .options(**kafka, topic=INDICATORS)
            .option("kafka.linger.ms", "3")
            .option("kafka.compression.type", "snappy")
            .option("checkpointLocation", str(checkpoint.path))
        )
        return self.trigger.apply(writer).start()


def indicators_trigger(settings: Settings) -> Trigger:
    """What starts the query's batches.

    Raises:
        ConfigurationError: The setting is no micro-batch trigger.
    """
    return Trigger.micro_batches(settings.streaming.indicators_trigger)


def indicators_sources(settings: Settings) -> tuple[str, ...]:
    """The topics whose bars have indicators, and the one that wakes the query."""
    return (PROVIDER_BARS, QUERY_WAKES, *map(bars_topic, settings.intervals))


def indicators_shape(settings: Settings) -> QueryShape:
    """What the query's checkpoint has to be made for.

    Raises:
        BusError: The broker is away, or lacks a topic.
        ConfigurationError: The trigger is no micro-batch trigger.
    """
    servers, topics = settings.kafka.bootstrap_servers, indicators_sources(settings)
    ids = topic_ids(servers, topics)
    return QueryShape(
        transform_version=TRANSFORM_VERSION,
        mode=indicators_trigger(settings).mode,
        intervals=tuple(settings.streaming.intervals),
        source_partitions=sum(partition_count(servers, topic) for topic in topics),
        shuffle_partitions=settings.streaming.shuffle_partitions,
        source=" ".join(ids[topic] for topic in topics),
        parameters=recipe_of(settings, None).parameters.fingerprint.hex(),
    )


def indicators_checkpoints(settings: Settings, *, has_past: bool = True) -> CheckpointStore:
    """Where the query's checkpoints are.

    Args:
        settings: The settings.
        has_past: The query can read past bars from elsewhere.
    """
    longest = max(interval.seconds for interval in settings.intervals)
    return CheckpointStore(
        settings.data_dir / "checkpoints" / QUERY,
        reach_back_seconds=longest + settings.ingest.allowed_lateness_seconds,
        has_past=has_past,
    )


def recipe_of(settings: Settings, history: HistorySource | None) -> IndicatorRecipe:
    """How these settings want indicators computed."""
    return IndicatorRecipe(
        parameters=IndicatorParameters(**settings.indicators.model_dump()),
        lateness_us=round(settings.ingest.allowed_lateness_seconds * MICROSECONDS),
        history=history,
    )


def run_indicators(settings: Settings, history: HistorySource | None) -> None:
    """Computes indicators until SIGTERM or SIGINT.

    Args:
        settings: The settings.
        history: Where past bars are.

    Raises:
        StreamingError: The query failed, and the supervisor starts it again from its checkpoint; or another one runs.
        ConfigurationError: A setting is wrong.
        BusError: The broker is away.
    """
    stop = stop_signal()
    job = IndicatorsJob.prepare(settings, history)
    store = indicators_checkpoints(settings, has_past=history is not None)
    with store.held():
        spark = open_session(settings, indicators_resources(settings), name=f"marketstream-{QUERY}")
        checkpoint = store.open(job.shape)
        _LOG.info("query starts", trigger=settings.streaming.indicators_trigger, checkpoint=checkpoint.reason)
        query = job.start(spark, checkpoint)
        observer = QueryObserver(QUERY, job.trigger, source_lag(settings, job.trigger, spark))
        waker = Waker(QUERY, KafkaPublisher(settings.kafka.bootstrap_servers, queue_messages=_WAKES_MAX))
        watch(query, stop, settings.data_dir / "run", observer, waker=waker)
        query.stop()
        spark.stop()

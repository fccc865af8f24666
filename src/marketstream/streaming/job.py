"""The bars query, from start to stop.

Reads: topic `tick_data`. Writes: topics `aggregated_data_*`, at least once; `<data_dir>/run/bars.json`, its progress.
"""

from dataclasses import dataclass, replace

from pyspark.sql import SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from marketstream.bus.admin import ensure_topics, partition_count, topic_ids
from marketstream.contracts.topics import TICKS, all_topics
from marketstream.domain.conditions import RULES
from marketstream.observability.logs import get_logger
from marketstream.settings import Settings
from marketstream.streaming.bars import TRANSFORM_VERSION, make_bars, parse_ticks, to_messages
from marketstream.streaming.checkpoints import Checkpoint, CheckpointStore, QueryShape
from marketstream.streaming.query_metrics import QueryObserver
from marketstream.streaming.resources import bars_resources
from marketstream.streaming.running import stop_signal, watch
from marketstream.streaming.session import open_session
from marketstream.streaming.slots import slots_needed
from marketstream.streaming.source_lag import source_lag
from marketstream.streaming.trigger import Trigger

QUERY = "bars"
_LOG = get_logger("streaming")
_BATCH_TICKS_MAX = "500000"  # bounds a batch's memory while it catches up


@dataclass(frozen=True, slots=True)
class BarsJob:
    """The query's settings, resolved against the broker: build it with `prepare`."""

    settings: Settings
    trigger: Trigger
    shape: QueryShape
    slots: int

    @classmethod
    def prepare(cls, settings: Settings) -> "BarsJob":
        """Asks the broker for the source's partitions and works out the slots.

        Raises:
            BusError: The broker is away.
            ConfigurationError: The trigger is no trigger.
        """
        trigger = bars_trigger(settings)
        ensure_topics(settings.kafka.bootstrap_servers, all_topics(settings.intervals), settings.kafka.partitions)
        shape = bars_shape(settings)
        slots = slots_needed(
            realtime=trigger.realtime,
            source_partitions=shape.source_partitions,
            shuffle_partitions=shape.shuffle_partitions,
        )
        return cls(settings, trigger, shape, slots)

    def start(self, spark: SparkSession, checkpoint: Checkpoint) -> StreamingQuery:
        """Starts the query."""
        kafka = {"kafka.bootstrap.servers": self.settings.kafka.bootstrap_servers}
        source = (
            spark.readStream.format("kafka")
            .options(**kafka, **checkpoint.source_options, **self._source_limits(), subscribe=TICKS)
            .option("failOnDataLoss", "false")  # after a stop past the topic's retention, go on with what is left
            .load()
        )
        rules = RULES[self.settings.streaming.trade_conditions]
        ticks = parse_ticks(source, counted_as=QUERY)
        bars = make_bars(ticks, self.settings.intervals, rules, checkpoint.since_us)
        writer = (
            to_messages(bars)
            .writeStream.queryName(QUERY)
            .outputMode("update")
            .format("kafka")
            .options(**kafka)
            .option("kafka.linger.ms", "5")
            .option("kafka.compression.type", "snappy")
            .option("checkpointLocation", str(checkpoint.path))
        )
        return self.trigger.apply(writer).start()

    def _source_limits(self) -> dict[str, str]:
        if self.trigger.realtime:
            # As many fetches as batches that could leave within a few milliseconds, rather than one for every tick.
            return {"kafka.fetch.max.wait.ms": "16", "kafka.fetch.min.bytes": "16384"}
        return {"maxOffsetsPerTrigger": _BATCH_TICKS_MAX}


def bars_trigger(settings: Settings) -> Trigger:
    """What starts the query's batches.

    Raises:
        ConfigurationError: The setting is no trigger.
    """
    streaming = settings.streaming
    return Trigger.parse(streaming.trigger, realtime_checkpoint_seconds=streaming.realtime_checkpoint_seconds)


def bars_shape(settings: Settings) -> QueryShape:
    """What the query's checkpoint has to be made for.

    Raises:
        BusError: The broker is away, or has no ticks' topic.
        ConfigurationError: The trigger is no trigger.
    """
    servers, streaming = settings.kafka.bootstrap_servers, settings.streaming
    return QueryShape(
        transform_version=TRANSFORM_VERSION,
        mode=bars_trigger(settings).mode,
        intervals=tuple(streaming.intervals),
        source_partitions=partition_count(servers, TICKS),
        shuffle_partitions=streaming.shuffle_partitions,
        source=topic_ids(servers, [TICKS])[TICKS],
        parameters=streaming.trade_conditions,
    )


def bars_checkpoints(settings: Settings) -> CheckpointStore:
    """Where the query's checkpoints are."""
    longest = max(interval.seconds for interval in settings.intervals)
    return CheckpointStore(
        settings.data_dir / "checkpoints" / QUERY,
        reach_back_seconds=longest + settings.ingest.allowed_lateness_seconds,
    )


def run_bars(settings: Settings) -> None:
    """Makes bars until SIGTERM or SIGINT.

    Raises:
        StreamingError: The query failed, and the supervisor starts it again from its checkpoint; or another one runs.
        ConfigurationError: A setting is wrong or the master has too few slots.
        BusError: The broker is away.
    """
    stop = stop_signal()
    job, store = BarsJob.prepare(settings), bars_checkpoints(settings)
    with store.held():
        spark = open_session(settings, replace(bars_resources(settings), slots=job.slots), name=f"marketstream-{QUERY}")
        observer = QueryObserver(QUERY, job.trigger, source_lag(settings, job.trigger, spark))
        checkpoint = store.open(job.shape)
        while True:
            _LOG.info("query starts", trigger=settings.streaming.trigger, checkpoint=checkpoint.reason)
            query = job.start(spark, checkpoint)
            rows = watch(query, stop, settings.data_dir / "run", observer, rows_max=settings.streaming.state_rows_max)
            query.stop()
            if stop.is_set():
                spark.stop()
                return
            checkpoint = store.rotate(job.shape, f"state holds {rows} bars")

"""The archive query, from start to stop.

Reads: topics `tick_data`, `trade_cancels`, `aggregated_data_*`, `provider_bars`.
Writes: the data lake, each row once; `<data_dir>/run/archive.json`, its progress.

A batch that a crash cut short is read and merged again, and what of it is in the lake already stays as it is. So not
even a lost checkpoint, with everything read from the beginning, doubles a row.
"""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from pyspark import StorageLevel
from pyspark.errors import StreamingQueryException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from marketstream.bus.admin import ensure_topics, topic_ids
from marketstream.bus.inspector import KafkaInspector
from marketstream.contracts.topics import RETENTION_MS, all_topics
from marketstream.domain.errors import StoreError, StreamingError
from marketstream.lake.compaction import compact
from marketstream.lake.datasets import DATASETS
from marketstream.lake.store import LakeStore
from marketstream.observability import metrics
from marketstream.observability.logs import get_logger
from marketstream.settings import Settings
from marketstream.streaming.archive import LakeRecipe, parse_rows, write_lake
from marketstream.streaming.checkpoint_files import dropped_messages
from marketstream.streaming.checkpoints import Checkpoint, CheckpointStore, QueryShape
from marketstream.streaming.query_metrics import QueryObserver
from marketstream.streaming.resources import archive_resources
from marketstream.streaming.running import stop_signal, watch
from marketstream.streaming.session import open_session
from marketstream.streaming.source_lag import source_lag
from marketstream.streaming.trigger import Trigger

QUERY = "archive"
_LOG = get_logger("streaming")
_COMPACT_SECONDS = 3_600.0
_COMPACT_DAYS = 8  # what is older has been compacted before, unless trades were backfilled: `marketstream lake compact`


@dataclass(slots=True)
class ArchiveJob:
    """The query's settings, resolved against the broker: build it with `prepare`."""

    settings: Settings
    trigger: Trigger
    shape: QueryShape
    topics: tuple[str, ...]
    compact_due: float = field(default=0.0, init=False)

    @classmethod
    def prepare(cls, settings: Settings) -> "ArchiveJob":
        """Asks the broker for its topics.

        Raises:
            BusError: The broker is away.
            ConfigurationError: The trigger is no micro-batch trigger, or the lake's URL is none.
        """
        trigger = archive_trigger(settings)
        LakeStore.at(settings.lake_url)
        ensure_topics(settings.kafka.bootstrap_servers, all_topics(settings.intervals), settings.kafka.partitions)
        return cls(settings, trigger, archive_shape(settings), archive_sources(settings))

    def start(self, spark: SparkSession, checkpoint: Checkpoint, *, once: bool) -> StreamingQuery:
        """Starts the query.

        Args:
            spark: The session.
            checkpoint: Where it goes on.
            once: It ends when everything is archived that was there at its start.
        """
        source = (
            spark.readStream.format("kafka")
            .option("kafka.bootstrap.servers", self.settings.kafka.bootstrap_servers)
            .options(**checkpoint.source_options, subscribe=",".join(self.topics))
            .option("maxOffsetsPerTrigger", str(self.settings.archive.batch_messages))
            .option("failOnDataLoss", "false")  # after a stop past the topics' retention, go on with what is left
            .load()
            .select("topic", "value")
        )
        writer = (
            source.writeStream.queryName(QUERY)
            .foreachBatch(self.take)
            .option("checkpointLocation", str(checkpoint.path))
        )
        return (writer.trigger(availableNow=True) if once else self.trigger.apply(writer)).start()

    def take(self, messages: DataFrame, batch_id: int) -> None:
        """Merges a batch into the lake, and compacts past dates when an hour has gone by.

        Messages that no writer would take are counted and left out, as rows `undecodable` of the query.
        """
        recipe = LakeRecipe(self.settings.lake_url, self.settings.archive.file_minutes)
        messages.persist(StorageLevel.DISK_ONLY)  # read from Kafka once, for all datasets
        try:
            written = {each.name: write_lake(parse_rows(messages, each), each, recipe) for each in DATASETS.values()}
            refused = messages.count() - sum(each.rows for each in written.values())
        finally:
            messages.unpersist()
        _LOG.debug("batch archived", batch=batch_id, **{name: each._asdict() for name, each in written.items()})
        if refused:
            metrics.QUERY_OBSERVED_ROWS.labels(QUERY, "undecodable").inc(refused)
            _LOG.warning("messages that fit no schema were left out", batch=batch_id, messages=refused)
        if time.monotonic() >= self.compact_due:
            self.compact_past()
            self.compact_due = time.monotonic() + _COMPACT_SECONDS

    def compact_past(self) -> None:
        """Merges the files of the dates just past. Where that fails, they stay as they are: rows need no compaction."""
        newest = datetime.now(UTC).date() - timedelta(days=1)
        oldest = newest - timedelta(days=_COMPACT_DAYS)
        store = LakeStore.at(self.settings.lake_url)
        try:
            fewer = compact(store, oldest, newest, self.settings.archive.compacted_rows)
        except (StoreError, OSError) as error:
            _LOG.error("past dates are not compacted", error=str(error))
            return
        if fewer:
            _LOG.info("past dates compacted", files_fewer=fewer)


def archive_trigger(settings: Settings) -> Trigger:
    """What starts the query's batches.

    Raises:
        ConfigurationError: The setting is no micro-batch trigger.
    """
    return Trigger.micro_batches(settings.archive.trigger, "ARCHIVE__TRIGGER")


def archive_sources(settings: Settings) -> tuple[str, ...]:
    """The topics that the lake has."""
    return tuple(topic for each in DATASETS.values() for topic in each.topics_for(settings.intervals))


def archive_shape(settings: Settings) -> QueryShape:
    """What the query's checkpoint has to be made for.

    Raises:
        BusError: The broker is away, or lacks a topic.
        ConfigurationError: The trigger is no micro-batch trigger.
    """
    topics = archive_sources(settings)
    ids = topic_ids(settings.kafka.bootstrap_servers, topics)
    return QueryShape(
        transform_version=1,
        mode=archive_trigger(settings).mode,
        intervals=tuple(settings.streaming.intervals),
        source_partitions=0,  # it keeps no state, and Spark itself notices new partitions
        shuffle_partitions=0,
        source=" ".join(ids[topic] for topic in topics),
        parameters=settings.lake_url,
    )


def archive_checkpoints(settings: Settings) -> CheckpointStore:
    """Where the query's checkpoints are. Reading twice changes nothing, so a fresh one begins with all there is."""
    return CheckpointStore(settings.data_dir / "checkpoints" / QUERY, reach_back_seconds=2 * RETENTION_MS / 1_000)


def run_archive(settings: Settings, *, once: bool = False) -> None:
    """Archives until SIGTERM or SIGINT, or until all is archived that is there.

    Args:
        settings: The settings.
        once: Ends by itself.

    Raises:
        StreamingError: The query failed, and started again goes on where it was; or another one runs.
        ConfigurationError: A setting is wrong.
        BusError: The broker is away.
    """
    stop = stop_signal()
    job, store = ArchiveJob.prepare(settings), archive_checkpoints(settings)
    with store.held():
        spark = open_session(settings, archive_resources(settings), name=f"marketstream-{QUERY}")
        checkpoint = store.open(job.shape)
        if dropped := dropped_messages(checkpoint.path, KafkaInspector(settings.kafka.bootstrap_servers)):
            _LOG.warning("Kafka has dropped messages that were not archived", messages=dropped)
        _LOG.info("query starts", lake=settings.lake_url, checkpoint=checkpoint.reason)
        query = job.start(spark, checkpoint, once=once)
        if once:
            _finish(query)
        else:
            observer = QueryObserver(QUERY, job.trigger, source_lag(settings, job.trigger, spark))
            watch(query, stop, settings.data_dir / "run", observer)
        query.stop()
        spark.stop()


def _finish(query: StreamingQuery) -> None:
    try:
        query.awaitTermination()
    except StreamingQueryException as error:
        raise StreamingError(f"the {QUERY} query failed: {error}") from error

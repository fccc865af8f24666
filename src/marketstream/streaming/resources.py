"""What each Spark job needs of its driver: slots, memory, a port for its page, and configuration of its own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from marketstream.settings import Settings
from marketstream.streaming.slots import slots_needed

_STATE_STORE = "spark.sql.streaming.stateStore"
# While Spark catches up it takes all it is given; ticks on their way to the cache go first.
NICENESS = 5
# State in RocksDB, which transformWithState asks for, with each batch's changes and not its whole files in the
# checkpoint; and none of the batches that Spark would run without data, one after the other, only to look at the clock.
KEYED_STATE = {
    f"{_STATE_STORE}.providerClass": "org.apache.spark.sql.execution.streaming.state.RocksDBStateStoreProvider",
    f"{_STATE_STORE}.rocksdb.changelogCheckpointing.enabled": "true",
    f"{_STATE_STORE}.rocksdb.boundedMemoryUsage": "true",
    f"{_STATE_STORE}.rocksdb.maxMemoryUsageMB": "64",
    "spark.sql.streaming.noDataMicroBatches.enabled": "false",
}
# A small batch a second never repays what the JVM's second compiler and its parallel collectors cost: without them the
# driver takes 0.3 cores at 1,000 ticks/s instead of 0.5, and less memory.
_SMALL_JVM = {"spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"}
# A batch a second fills Spark's page with history that nobody reads and that takes a hundred megabytes.
_LITTLE_HISTORY = {
    "spark.ui.retainedJobs": "50",
    "spark.ui.retainedStages": "50",
    "spark.ui.retainedTasks": "200",
    "spark.sql.ui.retainedExecutions": "20",
    "spark.sql.streaming.numRecentProgressUpdates": "10",
}

_REBUILD_PARTS = 8


@dataclass(frozen=True, slots=True)
class JobResources:
    """One job's share of the machine.

    Attributes:
        slots: Task slots it can't do without.
        memory_mb: Heap of its driver.
        ui_port: Where Spark's own page of it is.
        cores: Task slots it can make use of at once, where there are more.
        conf: Spark's configuration beyond what all jobs share.
    """

    slots: int
    cores: int
    memory_mb: int
    ui_port: int
    conf: Mapping[str, str] = field(default_factory=dict)


def bars_resources(settings: Settings) -> JobResources:
    """Slots enough for real-time mode."""
    streaming = settings.streaming
    slots = slots_needed(
        realtime=True, source_partitions=settings.kafka.partitions, shuffle_partitions=streaming.shuffle_partitions
    )
    return JobResources(slots, slots, streaming.driver_memory_mb, streaming.ui_port)


def indicators_resources(settings: Settings) -> JobResources:
    """Micro-batches of one stage: a slot for each of its partitions is all there is to use."""
    streaming = settings.streaming
    return JobResources(
        slots=1,
        cores=streaming.shuffle_partitions,
        memory_mb=streaming.indicators_memory_mb,
        ui_port=streaming.indicators_ui_port,
        conf=KEYED_STATE | _SMALL_JVM | _LITTLE_HISTORY,
    )


def archive_resources(settings: Settings) -> JobResources:
    """As many files at once as the settings say, each written by a task."""
    return _batch_resources(settings, settings.archive.tasks)


def rebuild_resources(settings: Settings) -> JobResources:
    """A day at a time, cut into parts that fit into memory."""
    return _batch_resources(settings, _REBUILD_PARTS)


def _batch_resources(settings: Settings, partitions: int) -> JobResources:
    archive = settings.archive
    conf = {"spark.sql.shuffle.partitions": str(partitions)}
    return JobResources(1, partitions, archive.memory_mb, archive.ui_port, conf | _LITTLE_HISTORY)


RESOURCES: Mapping[str, Callable[[Settings], JobResources]] = {
    "bars": bars_resources,
    "indicators": indicators_resources,
    "archive": archive_resources,
    "rebuild": rebuild_resources,
}

"""The Spark session: connector jars, slots and the settings that real-time mode needs."""

from pyspark.sql import SparkSession

from marketstream.domain.errors import ConfigurationError
from marketstream.settings import Settings, cache_dir
from marketstream.streaming.cluster import cluster_conf
from marketstream.streaming.resources import JobResources
from marketstream.streaming.slots import check_slots, resolve_master

# Checkpoints are on a file system of the machine. There Spark's own choice starts a process, `readlink`, for each file
# that it renames, some twenty in a batch, which costs a small batch more than its work does; this one renames only.
_CHECKPOINT_FILES = "org.apache.spark.sql.execution.streaming.checkpointing.FileSystemBasedCheckpointFileManager"


def connector_jars() -> list[str]:
    """Paths of Spark's Kafka connector and what it needs.

    Raises:
        ConfigurationError: They have not been resolved yet.
    """
    folder = cache_dir() / "jars" / "spark"
    jars = sorted(str(path) for path in folder.glob("*.jar"))
    if not jars:
        raise ConfigurationError(f"Spark's Kafka connector is not in {folder}; `make up` gets it")
    return jars


def spark_conf(settings: Settings, resources: JobResources) -> dict[str, str]:
    """Spark's configuration for this platform, for `spark-submit` and for a session alike.

    Raises:
        ConfigurationError: The master has too few slots or lacks something, or the jars are missing.
    """
    streaming = settings.streaming
    return {
        "spark.master": resolve_master(settings.spark_master, resources.slots),
        "spark.jars": ",".join(connector_jars()),
        "spark.driver.memory": f"{resources.memory_mb}m",
        "spark.sql.shuffle.partitions": str(streaming.shuffle_partitions),
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.adaptive.enabled": "false",  # has no meaning in streaming and only warns there
        "spark.sql.streaming.minBatchesToRetain": "10",
        "spark.sql.streaming.checkpointFileManagerClass": _CHECKPOINT_FILES,
        # A shuffled row waits at most this long for its buffer to fill; the default favours throughput over latency.
        "spark.shuffle.streaming.networkBufferMaxWaitTimeMs": "10",
        "spark.ui.port": str(resources.ui_port),
        "spark.ui.showConsoleProgress": "false",
        **cluster_conf(settings, resources),
        **resources.conf,
        **streaming.spark_conf,
    }


def open_session(settings: Settings, resources: JobResources, *, name: str) -> SparkSession:
    """Starts Spark, or joins the session that `spark-submit` prepared.

    Raises:
        ConfigurationError: The master has too few slots, or the jars are missing.
    """
    builder = SparkSession.builder.appName(name)
    for key, value in spark_conf(settings, resources).items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    context = session.sparkContext
    context.setLogLevel("WARN")
    check_slots(context.defaultParallelism, resources.slots, str(context.master))
    return session

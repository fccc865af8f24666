"""The Prometheus agent inside a JVM that is not ours: Kafka's broker, Spark's drivers. Reads: `<cache>/jars/jmx`."""

from pathlib import Path

from marketstream.settings import cache_dir


def agent_option(rules: Path, host: str, port: int) -> str | None:
    """The JVM's option that loads the agent; None where it is switched off, or its jar or its rules are missing.

    Args:
        rules: Which beans become which metrics.
        host: What it listens on.
        port: Where it listens; 0 for nowhere. A JVM whose agent finds its port taken does not start.
    """
    jars = sorted((cache_dir() / "jars" / "jmx").glob("jmx_prometheus_javaagent-*.jar"))
    if not port or not jars or not rules.is_file():
        return None
    return f"-javaagent:{jars[-1]}={host}:{port}:{rules}"

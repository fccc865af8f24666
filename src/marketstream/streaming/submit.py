"""Hands a job from `spark_jobs/` to spark-submit, with the platform's configuration."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from marketstream.domain.errors import ConfigurationError
from marketstream.observability.jmx import agent_option
from marketstream.settings import METRICS_DIRECTORY_VARIABLE, METRICS_FOLDER, Settings, metrics_directory
from marketstream.streaming.cluster import is_local, on_this_machine, spark_environment, spark_program
from marketstream.streaming.resources import NICENESS, RESOURCES
from marketstream.streaming.session import spark_conf

_CHECKOUT = Path(__file__).resolve().parents[3]
_JOBS = _CHECKOUT / "spark_jobs"
_AGENT_RULES = _CHECKOUT / "infra" / "spark" / "jmx-exporter.yml"
_JAVA_OPTIONS = "spark.driver.extraJavaOptions"
_JMX_METRICS = {
    "spark.metrics.conf.driver.sink.jmx.class": "org.apache.spark.metrics.sink.JmxSink",
    "spark.metrics.staticSources.enabled": "false",  # counts of compilations and file listings that nobody looks at
}


def submit(job: str, settings: Settings, arguments: Sequence[str] = ()) -> None:
    """Replaces this process by spark-submit running `spark_jobs/<job>.py`; does not return.

    Args:
        job: The file's name without its suffix.
        settings: The platform's settings.
        arguments: The job's own.

    Raises:
        ConfigurationError: There is no such job, or the master has too few slots.
    """
    script = _JOBS / f"{job}.py"
    if not script.is_file():
        known = ", ".join(sorted(path.stem for path in _JOBS.glob("*.py")))
        raise ConfigurationError(f"there is no job {job!r}; jobs: {known}")
    if is_local(settings.spark_master):
        os.nice(NICENESS)
    program = spark_program("spark-submit")
    command = [program, *submit_arguments(job, settings), str(script), *arguments]
    environment = submit_environment(settings) | metrics_environment(job, settings, arguments)
    os.execve(program, command, environment)  # noqa: S606  # no shell is wanted


def submit_arguments(job: str, settings: Settings) -> list[str]:
    """Options of spark-submit for a job: the master and every `--conf`."""
    conf = with_agent(spark_conf(settings, RESOURCES[job](settings)), job, settings)
    master = conf.pop("spark.master")
    return ["--master", master, *(part for name, value in conf.items() for part in ("--conf", f"{name}={value}"))]


def with_agent(conf: dict[str, str], job: str, settings: Settings) -> dict[str, str]:
    """The configuration with the agent that shows the driver's JVM and Spark's own metrics, for a job that has a port.

    Only a driver that spark-submit starts gets it; a session of a test's own has no use for a port.
    """
    ports = {"bars": settings.streaming.metrics_port, "indicators": settings.streaming.indicators_metrics_port}
    agent = agent_option(_AGENT_RULES, settings.serving.metrics_host, ports.get(job, 0))
    if agent is None:
        return conf
    options = f"{conf.get(_JAVA_OPTIONS, '')} {agent}".strip()
    return conf | {_JAVA_OPTIONS: options, **_JMX_METRICS, "spark.metrics.namespace": job}


def submit_environment(settings: Settings) -> dict[str, str]:
    """This process's environment, with Spark using this Python and, where it runs on this machine, loopback only."""
    environment = spark_environment({"PYSPARK_PYTHON": sys.executable, "PYSPARK_DRIVER_PYTHON": sys.executable})
    if on_this_machine(settings.spark_master):
        environment["SPARK_LOCAL_IP"] = "127.0.0.1"
    return environment


def metrics_environment(job: str, settings: Settings, arguments: Sequence[str]) -> dict[str, str]:
    """Lets the platform on this data directory serve a job's metrics, though its supervisor did not start the job.

    Args:
        job: The job's name.
        settings: The platform's settings.
        arguments: The job's own.

    Returns:
        The variable that says where; empty where something else says it, there is no platform, or the job ends by
        itself: each run would leave files behind, and its end would look like a death.
    """
    ends = job == "rebuild" or "--once" in arguments
    folder = settings.data_dir.resolve() / METRICS_FOLDER
    if ends or settings.serving.metrics_per_process or metrics_directory() is not None or not folder.is_dir():
        return {}
    return {METRICS_DIRECTORY_VARIABLE: str(folder)}

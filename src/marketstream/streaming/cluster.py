"""Spark on other machines, or in processes of its own: what a job tells a cluster, and a standalone one for oneself.

Writes: `<data_dir>/spark`, the worker's scratch space.
"""

import ipaddress
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

import pyspark

from marketstream.domain.errors import ConfigurationError
from marketstream.settings import Settings
from marketstream.streaming.resources import NICENESS, RESOURCES, JobResources

_IMAGE = "spark.kubernetes.container.image"
_DEPLOY = "org.apache.spark.deploy"
_DAEMON_MEMORY = "256m"
# Executors are there before the job looks how many slots it has.
_WAIT_FOR_EXECUTORS = {
    "spark.scheduler.minRegisteredResourcesRatio": "1.0",
    "spark.scheduler.maxRegisteredResourcesWaitingTime": "60s",
}


def is_local(master: str) -> bool:
    """Whether tasks run in the driver's own process."""
    return master.startswith("local")


def on_this_machine(master: str) -> bool:
    """Whether all of Spark is reached over loopback."""
    return is_local(master) or _is_loopback(urlsplit(master).hostname or "")


def cluster_conf(settings: Settings, resources: JobResources) -> dict[str, str]:
    """What a job needs to be told beyond `local`: its executors, and how they find the driver.

    Raises:
        ConfigurationError: Kubernetes is not told which image to run.
    """
    master, streaming = settings.spark_master, settings.streaming
    if is_local(master):
        return {}
    cores = max(resources.slots, resources.cores)
    conf = {"spark.executor.memory": f"{streaming.executor_memory_mb}m", **_WAIT_FOR_EXECUTORS}
    host = streaming.driver_host or ("127.0.0.1" if on_this_machine(master) else "")
    if host:
        conf |= {"spark.driver.host": host, "spark.driver.bindAddress": streaming.driver_bind_address or host}
    if not master.startswith("k8s://"):
        return conf | {"spark.cores.max": str(cores)}
    if _IMAGE not in streaming.spark_conf:
        raise ConfigurationError(
            f'Spark on Kubernetes needs an image: MARKETSTREAM_STREAMING__SPARK_CONF=\'{{"{_IMAGE}":"…"}}\''
        )
    # Slots mostly wait, so a pod has more of them than it asks Kubernetes for cores.
    slots = {"spark.executor.instances": "1", "spark.executor.cores": str(cores)}
    return conf | slots | {"spark.kubernetes.executor.request.cores": "1"}


def run_master(settings: Settings) -> NoReturn:
    """Replaces this process by the master of a standalone cluster; it ends on SIGTERM."""
    cluster = settings.cluster
    _become("master.Master", ["--port", str(cluster.port), "--webui-port", str(cluster.master_ui_port)], settings)


def run_worker(settings: Settings) -> NoReturn:
    """Replaces this process by a worker with room for every job; it ends on SIGTERM.

    Raises:
        ConfigurationError: The settings' master is no standalone one.
    """
    os.nice(NICENESS)
    _become("worker.Worker", worker_arguments(settings), settings)


def worker_arguments(settings: Settings) -> list[str]:
    """Options of Spark's worker.

    Raises:
        ConfigurationError: The settings' master is no standalone one.
    """
    master, cluster = settings.spark_master, settings.cluster
    if not master.startswith("spark://"):
        raise ConfigurationError(
            f"a worker belongs to a standalone master: MARKETSTREAM_STREAMING__MASTER={master!r}; say `standalone`, or "
            "spark://host:7077"
        )
    jobs = [resources(settings) for resources in RESOURCES.values()]
    slots = cluster.worker_slots or sum(max(job.slots, job.cores) for job in jobs)
    memory_mb = cluster.worker_memory_mb or len(jobs) * settings.streaming.executor_memory_mb
    folder = settings.data_dir / "spark" / "work"
    return [
        *("--cores", str(slots), "--memory", f"{memory_mb}m", "--work-dir", str(folder)),
        *("--webui-port", str(cluster.worker_ui_port), master),
    ]


def spark_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """This process's environment for Spark's own programs; another installation's jars would not match this pyspark."""
    return {name: value for name, value in os.environ.items() if name != "SPARK_HOME"} | dict(extra)


def spark_program(name: str) -> str:
    """The path of one of the programs that pyspark brings."""
    return str(Path(pyspark.__path__[0]) / "bin" / name)


def _become(daemon: str, arguments: list[str], settings: Settings) -> NoReturn:
    host = settings.cluster.host
    environment = spark_environment(
        {
            "SPARK_DAEMON_MEMORY": _DAEMON_MEMORY,
            "SPARK_LOCAL_IP": host,
            "SPARK_MASTER_OPTS": "-Dspark.master.rest.enabled=false",  # nobody submits over HTTP
            "SPARK_WORKER_OPTS": "-Dspark.worker.cleanup.enabled=true",  # of what jobs that have ended left
        }
    )
    program = spark_program("spark-class")
    os.execve(program, [program, f"{_DEPLOY}.{daemon}", "--host", host, *arguments], environment)  # noqa: S606  # no shell is wanted


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

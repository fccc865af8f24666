"""The executor in a pod: what Spark asks of an image that it runs on Kubernetes.

Spark starts the image with the one argument `executor` and says the rest in variables; its own images do the same in
their `entrypoint.sh`.
"""

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import pyspark

from marketstream.domain.errors import ConfigurationError

_BACKEND = "org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend"
_OPTION = re.compile(r"SPARK_JAVA_OPT_(\d+)")
_ARGUMENTS = {
    "--driver-url": "SPARK_DRIVER_URL",
    "--executor-id": "SPARK_EXECUTOR_ID",
    "--cores": "SPARK_EXECUTOR_CORES",
    "--app-id": "SPARK_APPLICATION_ID",
    "--hostname": "SPARK_EXECUTOR_POD_IP",
    "--resourceProfileId": "SPARK_RESOURCE_PROFILE_ID",
    "--podName": "SPARK_EXECUTOR_POD_NAME",
}


def executor_command(environment: Mapping[str, str]) -> list[str]:
    """The command line of an executor, from the variables that Spark gives its pod.

    Raises:
        ConfigurationError: Some are missing, so it was not Spark that started this.
    """
    missing = [name for name in (*_ARGUMENTS.values(), "SPARK_EXECUTOR_MEMORY") if name not in environment]
    if missing:
        raise ConfigurationError(f"only Spark on Kubernetes starts an executor; it gives {', '.join(missing)}")
    numbered = sorted((int(match[1]), name) for name in environment if (match := _OPTION.fullmatch(name)))
    memory = environment["SPARK_EXECUTOR_MEMORY"]
    classes = [environment.get("SPARK_CLASSPATH", ""), str(Path(pyspark.__path__[0]) / "jars" / "*")]
    home = environment.get("JAVA_HOME")
    return [
        str(Path(home) / "bin" / "java") if home else "java",
        *(environment[name] for _, name in numbered),
        *(f"-Xms{memory}", f"-Xmx{memory}", "-cp", ":".join(filter(None, classes)), _BACKEND),
        *(part for option, name in _ARGUMENTS.items() for part in (option, environment[name])),
    ]


def run_executor() -> NoReturn:
    """Replaces this process by an executor.

    Raises:
        ConfigurationError: It was not Spark that started this, or there is no Java.
    """
    command = executor_command(os.environ)
    program = shutil.which(command[0])
    if program is None:
        raise ConfigurationError("an executor needs Java: no java is on PATH")
    os.execv(program, command)  # noqa: S606  # no shell is wanted

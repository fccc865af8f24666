"""The executor's command line, from the variables that Spark's own pods get."""

import pytest

from marketstream.domain.errors import ConfigurationError
from marketstream.streaming.kubernetes import executor_command

POD = {
    "SPARK_DRIVER_URL": "spark://CoarseGrainedScheduler@marketstream-bars:7078",
    "SPARK_EXECUTOR_ID": "1",
    "SPARK_EXECUTOR_CORES": "5",
    "SPARK_EXECUTOR_MEMORY": "1024m",
    "SPARK_APPLICATION_ID": "spark-1",
    "SPARK_EXECUTOR_POD_IP": "10.1.2.3",
    "SPARK_EXECUTOR_POD_NAME": "bars-exec-1",
    "SPARK_RESOURCE_PROFILE_ID": "0",
}


def test_an_executor_is_told_what_spark_told_its_pod():
    options = {f"SPARK_JAVA_OPT_{number}": f"-Dn={number}" for number in (10, 2, 0)}
    java, *rest = executor_command(POD | options | {"JAVA_HOME": "/jdk", "SPARK_CLASSPATH": "/more.jar"})
    assert java == "/jdk/bin/java"
    assert rest[:6] == ["-Dn=0", "-Dn=2", "-Dn=10", "-Xms1024m", "-Xmx1024m", "-cp"]
    assert rest[6].startswith("/more.jar:")
    assert rest[6].endswith("/pyspark/jars/*")
    assert rest[7].endswith("KubernetesExecutorBackend")
    told = dict(zip(rest[8::2], rest[9::2], strict=True))
    assert told["--driver-url"] == POD["SPARK_DRIVER_URL"]
    assert (told["--cores"], told["--hostname"], told["--podName"]) == ("5", "10.1.2.3", "bars-exec-1")


def test_anyone_else_is_told_what_is_missing():
    with pytest.raises(ConfigurationError, match=r"only Spark on Kubernetes.*SPARK_DRIVER_URL"):
        executor_command({})

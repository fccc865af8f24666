import os
import sys

import pytest
from pyspark.sql import SparkSession

from marketstream.streaming.resources import KEYED_STATE


@pytest.fixture(scope="session")
def spark(tmp_path_factory):
    os.environ["PYSPARK_PYTHON"] = sys.executable  # the one place where the planner of Python state looks for it
    builder = (
        SparkSession.builder.master("local[2]")
        .appName("marketstream-tests")
        .config("spark.pyspark.python", sys.executable)
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.sql.warehouse.dir", str(tmp_path_factory.mktemp("warehouse")))
        .config(map=KEYED_STATE)
    )
    session = builder.getOrCreate()
    yield session
    session.stop()
